"""Creating, updating and deleting contacts, which are pure functions."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest
from msgspec import UNSET
from msgspec.structs import replace as with_fields

from reachbook.domain import contact, event
from reachbook.domain.channel import NOT_NUMBERED
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.errors import Kind, Reason
from reachbook.wire import extensions
from tests.support.domain import BEFORE, NOW, SECOND, numbered, refusal, values, want
from tests.support.personas import ALICE


def stored_alice() -> Contact:
    """Returns Alice with the ids that the store allocates."""
    new = contact.create(1, ALICE, ContactInput((want("phone:15105553344"),)), BEFORE)
    channels = tuple(with_fields(channel, id=1) for channel in new.channels)
    return with_fields(new, id=7, channels=channels)


def test_a_contact_is_created_with_all_fields() -> None:
    wanted = ContactInput(
        channels=(want("phone:15105553344"), want("email:alice@example.com", "@alice")),
        first="Alice",
        last="Liddell",
        display_name="Alice L.",
        avatar="https://example.com/alice.png",
        assigned_user_id=5,
        external_id="crm-1",
        is_opted_out=True,
        custom={"12": "cats"},
        tags=(3, 4),
    )

    created = contact.create(1, ALICE, wanted, NOW)

    assert created == Contact(
        team_id=1,
        id=contact.NOT_STORED,
        uuid=ALICE,
        rev=1,
        updated=NOW,
        channels=created.channels,
        created=NOW,
        deleted=None,
        first="Alice",
        last="Liddell",
        display_name="Alice L.",
        avatar="https://example.com/alice.png",
        assigned_user_id=5,
        external_id="crm-1",
        is_opted_out=True,
        custom={"12": "cats"},
        tags=(3, 4),
    )
    assert values(created) == ["15105553344", "alice@example.com"]
    assert {(channel.id, channel.created, channel.updated) for channel in created.channels} == {
        (NOT_NUMBERED, NOW, NOW)
    }


def test_a_contact_is_created_without_fields() -> None:
    created = contact.create(1, ALICE, ContactInput(()), NOW)

    assert created == Contact(1, contact.NOT_STORED, ALICE, 1, NOW, (), NOW)


def test_unset_fields_have_their_defaults() -> None:
    """UNSET is how the decoder represents an absent field."""
    created = contact.create(1, ALICE, ContactInput((), first=UNSET, external_id=UNSET), NOW)

    assert (created.first, created.external_id) == ("", None)


def test_two_new_contacts_do_not_share_their_custom_fields() -> None:
    first, second = (contact.create(1, ALICE, ContactInput(()), NOW) for _ in range(2))

    assert first.custom is not second.custom


def test_an_address_that_is_listed_twice_is_one_channel() -> None:
    twice = (want("phone:5511987654321"), want("phone:551187654321", "@alice"))

    (channel,) = contact.create(1, ALICE, ContactInput(twice), NOW).channels

    assert (channel.channel_id, channel.channel_handle, channel.created) == (
        "5511987654321",
        "@alice",
        NOW,
    )


def test_a_new_contact_with_ambiguous_digits_is_refused() -> None:
    wanted = ContactInput((want("phone:6465550123", region="US"),))

    assert refusal(lambda: contact.create(1, ALICE, wanted, NOW)).reason is Reason.AMBIGUOUS


def test_deleting_removes_the_channels_and_no_other_field() -> None:
    before = stored_alice()

    after = contact.delete(before, NOW)

    assert after == with_fields(before, rev=before.rev + 1, updated=NOW, deleted=NOW, channels=())


@pytest.mark.parametrize("behind", [0, SECOND])
def test_deleting_increases_updated_even_if_the_clock_is_behind(behind: int) -> None:
    before = stored_alice()

    after = contact.delete(before, before.updated - behind)

    assert after.updated == after.deleted == before.updated + 1


def test_a_missing_contact_cannot_be_deleted() -> None:
    assert refusal(lambda: contact.delete(None, NOW)).reason is Reason.NO_CONTACT


def test_the_error_for_too_many_tags_has_their_number() -> None:
    error = contact.too_many_tags(6)

    assert error.reason.kind is Kind.BAD_DATA
    assert "5 tags; 6 were sent" in error.message
    assert list(error.fields) == ["tags"]


# ── limits and equal JSON values ─────────────────────────────────────────────────────────────

JSON_TEXTS = ["0", "0.0", "-0.0", "false", "1", "1.0", "true", "null", '""', "[]", "{}", '"0"', "2"]


@pytest.mark.parametrize("form", ["{}", '{{"a":{}}}', "[[{}]]", '{{"a":[1,{{"b":{}}}]}}'])
def test_json_values_are_equal_only_if_their_texts_are(form: str) -> None:
    for first in JSON_TEXTS:
        for second in JSON_TEXTS:
            pair = (msgspec.json.decode(form.format(text)) for text in (first, second))
            assert contact.same_json(*pair) is (first == second), (first, second)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ('{"a":1,"b":2}', '{"b":2,"a":1}', True),
        ('[{"a":1,"b":[{"c":1,"d":2}]}]', '[{"b":[{"d":2,"c":1}],"a":1}]', True),
        ("[1,2]", "[2,1]", False),
        ('{"a":1}', '{"a":1,"b":null}', False),
        ("1e2", "100.0", True),
        ("100", "1e2", False),
        ("18446744073709551616", "1.8446744073709552e19", False),
    ],
)
def test_json_values_are_compared_without_key_order_and_number_format(
    first: str, second: str, *, same: bool
) -> None:
    assert contact.same_json(msgspec.json.decode(first), msgspec.json.decode(second)) is same


def contact_with_channels(count: int, kinds: int = 1) -> ContactInput:
    """Returns a contact with `count` channels of `kinds` different types."""
    return ContactInput(tuple(want(f"t{number % kinds}:{number}") for number in range(count)))


def test_a_contact_has_at_most_500_channels() -> None:
    full = contact.create(1, ALICE, contact_with_channels(500), NOW)

    for above_limit in (
        lambda: contact.create(1, ALICE, contact_with_channels(501), NOW),
        lambda: contact.update(full, contact_with_channels(501), NOW, overwrite=False),
    ):
        error = refusal(above_limit)
        assert (error.reason, list(error.fields)) == (Reason.TOO_MANY, ["contact_channels"])
    assert contact.update(full, contact_with_channels(500), NOW, overwrite=False) is full


@pytest.mark.parametrize("kinds", [1, 500])
def test_rules_on_500_channels_take_less_than_15_ms(kinds: int) -> None:
    """Measures creating, updating, comparing and listing."""
    wanted = contact_with_channels(500, kinds)
    handles = ContactInput(
        tuple(with_fields(channel, channel_handle="a") for channel in wanted.channels)
    )
    created = contact.create(1, ALICE, wanted, NOW)
    full = numbered(created)
    assert isinstance(full, Contact)
    changed = contact.update(full, handles, NOW + 1, overwrite=False)

    for rule in (
        lambda: contact.create(1, ALICE, wanted, NOW),
        lambda: contact.update(full, wanted, NOW, overwrite=False),
        lambda: contact.update(full, handles, NOW, overwrite=False),
        lambda: event.diff(event.change(full, changed)),
        lambda: extensions.channel_details(full),
    ):
        assert least_cpu_seconds(rule) < 0.015


def least_cpu_seconds(rule: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        began = time.thread_time()
        rule()
        times.append(time.thread_time() - began)
    return min(times)
