"""Events: the kind of each change of a contact, and its values before and after."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace as with_fields

from reachbook.domain import channel_rules, contact, event
from reachbook.domain.channel import ChannelList
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.event_kind import Kind
from tests.support.domain import NOW, TWO_PHONES, name, numbered, page, want
from tests.support.personas import ALICE


def alice() -> Contact:
    """Returns Alice with two phones, a name, and the ids that the store allocates."""
    phones = tuple(want(spec) for spec in TWO_PHONES)
    created = contact.create(1, ALICE, ContactInput(phones, first="Alice", tags=(3,)), NOW - 1)
    page = numbered(created)
    assert isinstance(page, Contact)
    return page


def diff_of(before: ChannelList | None, after: ChannelList) -> tuple[Any, Any]:
    old_values, new_values = event.diff(event.change(before, after))
    return (None if old_values is None else json.loads(old_values)), json.loads(
        new_values or "null"
    )


def test_adding_a_channel_is_a_channel_added_event() -> None:
    before = page("phone:15105553344")
    after = channel_rules.add_channel(before, want("email:a@b.com"), NOW)

    change = event.change(before, after)

    assert change == event.Change(Kind.CHANNEL_ADDED, before, after)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (None, alice(), Kind.CONTACT_CREATED),
        (alice(), contact.delete(alice(), NOW), Kind.CONTACT_DELETED),
        (
            page(*TWO_PHONES),
            channel_rules.remove_channel(page(*TWO_PHONES), name("phone", "15105553344"), NOW),
            Kind.CHANNEL_REMOVED,
        ),
        (
            page(*TWO_PHONES),
            channel_rules.replace_channel(
                page(*TWO_PHONES), want("phone:13105550000"), name("phone"), NOW
            ),
            Kind.CHANNEL_UPDATED,
        ),
        (
            page(*TWO_PHONES),
            channel_rules.add_channel(page(*TWO_PHONES), want("phone:15105553344", "@alice"), NOW),
            Kind.CHANNEL_UPDATED,
        ),
    ],
)
def test_each_change_has_its_kind(
    before: ChannelList | None, after: ChannelList, kind: Kind
) -> None:
    assert event.change(before, after).kind is kind


def test_an_added_channel_has_no_value_before() -> None:
    before = page("phone:15105553344")
    after = numbered(channel_rules.add_channel(before, want("email:a@b.com"), NOW))

    old_values, new_values = diff_of(before, after)

    assert old_values == {"channels": []}
    assert [channel["channel_id"] for channel in new_values["channels"]] == ["a@b.com"]


def test_a_removed_channel_has_no_value_after() -> None:
    before = page(*TWO_PHONES)
    after = channel_rules.remove_channel(before, name("phone", "14155551234"), NOW)

    old_values, new_values = diff_of(before, after)

    assert [channel["channel_id"] for channel in old_values["channels"]] == ["14155551234"]
    assert new_values == {"channels": []}


def test_a_channel_that_becomes_primary_is_part_of_the_event() -> None:
    before = page(*TWO_PHONES)
    removed = channel_rules.remove_channel(before, name("phone", "15105553344"), NOW)
    for after in (removed, channel_rules.make_primary(before, 2, NOW)):
        old_values, new_values = diff_of(before, after)

        assert [channel["primary"] for channel in old_values["channels"]] == [True, False]
        assert {channel["channel_id"]: channel["primary"] for channel in new_values["channels"]}[
            "14155551234"
        ]


def test_a_changed_channel_has_its_old_and_new_values() -> None:
    before = page(*TWO_PHONES)
    after = channel_rules.replace_channel(before, want("phone:13105550000"), name("phone"), NOW)

    old_values, new_values = diff_of(before, after)

    (old,), (new,) = old_values["channels"], new_values["channels"]
    assert (old["id"], old["channel_id"]) == (1, "15105553344")
    assert (new["id"], new["channel_id"]) == (1, "13105550000")
    assert (old["updated"], new["updated"]) == (before.channels[0].updated, NOW)


def test_a_new_contact_has_all_fields_after() -> None:
    old_values, new_values = diff_of(None, alice())

    assert old_values is None
    assert [channel["channel_id"] for channel in new_values.pop("channels")] == [
        "15105553344",
        "14155551234",
    ]
    assert new_values["uuid"] == ALICE
    assert new_values["first"] == "Alice"
    assert new_values["tags"] == [3]


def test_a_deleted_contact_has_its_channels_before() -> None:
    old_values, new_values = diff_of(alice(), contact.delete(alice(), NOW))

    assert [channel["channel_id"] for channel in old_values.pop("channels")] == [
        "15105553344",
        "14155551234",
    ]
    assert old_values == {"deleted": None}
    assert new_values == {"channels": [], "deleted": NOW}


def test_only_changed_fields_are_part_of_the_event() -> None:
    before = alice()
    after = with_fields(before, rev=2, updated=NOW, first="Alicia", custom={"1": "\u00e9"})

    old_values, new_values = diff_of(before, after)

    assert old_values == {"channels": [], "first": "Alice", "custom": {}}
    assert new_values == {"channels": [], "first": "Alicia", "custom": {"1": "\u00e9"}}
