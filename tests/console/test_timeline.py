"""The sentences of a contact's history."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reachbook.console import timeline
from reachbook.domain.event import EventRecord
from reachbook.domain.event_kind import Kind
from reachbook.service.history import EventPage

CHANNEL = {
    "id": 1,
    "channel_type": "phone",
    "channel_id": "15105553344",
    "scope": "",
    "identity": "15105553344",
    "channel_handle": "",
    "info_channel": "",
    "made_primary": None,
    "created": 1,
    "updated": 1,
    "primary": True,
}


def sentences(
    kind: str,
    before: dict[str, Any] | str | None,
    after: dict[str, Any] | str | None,
    actor: str = "x",
) -> list[str]:
    """Return the lines of an event."""
    texts = [
        each if each is None or isinstance(each, str) else json.dumps(each)
        for each in (before, after)
    ]
    event = EventRecord("uuid", 2, kind, texts[0], texts[1], actor, "request", 7, None)
    [entry] = timeline.entries(EventPage([event], None, {}))
    return [" ".join(line.parts) for line in entry.lines]


def channels(**changes: object) -> dict[str, Any]:
    """Return the values of an event that changes a channel."""
    return {"channels": [{**CHANNEL, **changes}]}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"channel_id": "14155550120"}, "changed from +1 510-555-3344 to +1 415-555-0120"),
        ({"label": "home"}, "Label of Phone set to home"),
        ({"channel_handle": "al"}, "Handle of Phone set to al"),
        ({"info_channel": "desk"}, "Info channel of Phone set to desk"),
        ({"held_reason": "bounced"}, "+1 510-555-3344 held: bounced"),
        ({"consent": "opted_out"}, "+1 510-555-3344 has the consent: opted out"),
        ({"consent_source": "a form"}, "Source of the consent of Phone set to a form"),
    ],
)
def test_a_changed_field_of_a_channel_has_a_sentence(
    changes: dict[str, Any], sentence: str
) -> None:
    [line] = sentences(Kind.CHANNEL_UPDATED, channels(), channels(**changes))

    assert line.endswith(sentence)


def test_a_release_and_a_new_primary_channel_have_sentences() -> None:
    held, released = channels(held_reason="other", primary=False), channels()

    assert sentences(Kind.CHANNEL_UPDATED, held, released) == [
        "Phone +1 510-555-3344 released: messages may be sent again",
        "Phone +1 510-555-3344 made primary",
    ]


def test_a_channel_added_with_a_suppression_has_sentences() -> None:
    after = channels(consent="opted_out", consent_source="suppression", held_reason="bounced")

    assert sentences(Kind.CHANNEL_ADDED, {}, after) == [
        "Phone +1 510-555-3344 added",
        "Phone +1 510-555-3344 held: bounced",
        "Phone +1 510-555-3344 has the consent: opted out, source suppression",
    ]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ({"first": "A"}, {"first": "B"}, "First name changed from A to B"),
        ({"first": "A"}, {"first": ""}, "First name removed; it was A"),
        ({"tags": [1]}, {"tags": [1, 2]}, "Tags changed from 1 to 1, 2"),
        ({"is_opted_out": False}, {"is_opted_out": True}, "Opted out set to yes"),
        ({"assigned_user_id": 0}, {"assigned_user_id": None}, "Assigned user removed; it was 0"),
        ({"custom": {"a": 1}}, {"custom": {}}, "Custom field a removed; it was 1"),
        ({"custom": {"a": {}}}, {"custom": {"a": []}}, "Custom field a changed from {} to []"),
        ({"custom": {}}, {"custom": {"a": "x" * 400}}, f"Custom field a set to {'x' * 297}..."),
    ],
)
def test_a_changed_field_of_the_contact_has_a_sentence(
    before: dict[str, Any], after: dict[str, Any], sentence: str
) -> None:
    assert sentences(Kind.CONTACT_UPDATED, before, after) == [sentence]


@pytest.mark.parametrize("kind", [*Kind, "a_later_kind"])
@pytest.mark.parametrize(
    "values", [None, "{", "[]", '{"channels": [{"id": "x"}]}', '{"custom": 7}']
)
def test_every_kind_has_a_sentence_if_its_values_are_unreadable(
    kind: str, values: str | None
) -> None:
    assert sentences(kind, values, values)


def test_an_event_with_many_changes_is_shortened() -> None:
    after = {"custom": {str(number): number for number in range(100)}}
    event = EventRecord("u", 2, "contact_updated", "{}", json.dumps(after), "x", "r", 7, None)

    [entry] = timeline.entries(EventPage([event], None, {}))

    assert (len(entry.lines), entry.more) == (30, 70)


def test_an_unknown_user_is_shown_as_a_former_user() -> None:
    event = EventRecord("u", 2, "contact_updated", None, None, "user:7", "r", 7, None)

    assert timeline.entries(EventPage([event], None, {}))[0].actor == "a former user"
