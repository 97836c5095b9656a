"""How contacts come and go: pure, as the rules of their channels are."""

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


def stored() -> Contact:
    """Alice as the store gives her back."""
    new = contact.create(1, ALICE, ContactInput((want("phone:15105553344"),)), BEFORE)
    channels = tuple(with_fields(one, id=1) for one in new.channels)
    return with_fields(new, id=7, channels=channels)


def test_it_works() -> None:
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

    made = contact.create(1, ALICE, wanted, NOW)

    assert made == Contact(
        team_id=1,
        id=contact.NOT_STORED,
        uuid=ALICE,
        rev=1,
        updated=NOW,
        channels=made.channels,
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
    assert values(made) == ["15105553344", "alice@example.com"]
    assert {(one.id, one.created, one.updated) for one in made.channels} == {
        (NOT_NUMBERED, NOW, NOW)
    }


def test_a_contact_may_begin_with_nothing() -> None:
    made = contact.create(1, ALICE, ContactInput(()), NOW)

    assert made == Contact(1, contact.NOT_STORED, ALICE, 1, NOW, (), NOW)


def test_what_is_left_unset_is_not_supplied() -> None:
    """Unset, as the decoder leaves it, is neither null nor the empty text."""
    made = contact.create(1, ALICE, ContactInput((), first=UNSET, external_id=UNSET), NOW)

    assert (made.first, made.external_id) == ("", None)


def test_two_new_contacts_do_not_share_their_custom_fields() -> None:
    one, other = (contact.create(1, ALICE, ContactInput(()), NOW) for _ in range(2))

    assert one.custom is not other.custom


def test_an_address_that_is_given_twice_is_one_channel() -> None:
    twice = (want("phone:5511987654321"), want("phone:551187654321", "@alice"))

    (one,) = contact.create(1, ALICE, ContactInput(twice), NOW).channels

    assert (one.channel_id, one.channel_handle, one.created) == ("5511987654321", "@alice", NOW)


def test_a_new_contact_is_not_given_digits_in_doubt() -> None:
    wanted = ContactInput((want("phone:6465550123", region="US"),))

    assert refusal(lambda: contact.create(1, ALICE, wanted, NOW)).reason is Reason.AMBIGUOUS


def test_deleting_frees_the_addresses_and_keeps_the_rest() -> None:
    before = stored()

    after = contact.delete(before, NOW)

    assert after == with_fields(before, rev=before.rev + 1, updated=NOW, deleted=NOW, channels=())


@pytest.mark.parametrize("behind", [0, SECOND])
def test_deleting_is_later_than_what_was_there_whatever_the_clock_says(behind: int) -> None:
    before = stored()

    after = contact.delete(before, before.updated - behind)

    assert after.updated == after.deleted == before.updated + 1


def test_a_contact_that_is_not_there_cannot_be_deleted() -> None:
    assert refusal(lambda: contact.delete(None, NOW)).reason is Reason.NO_CONTACT


def test_too_many_tags_are_counted() -> None:
    no = contact.too_many_tags(6)

    assert no.reason.kind is Kind.BAD_DATA
    assert "5 tags; 6 were sent" in no.message
    assert list(no.fields) == ["tags"]


# ── limits and equal JSON values ─────────────────────────────────────────────────────────────

WRITTEN = ["0", "0.0", "-0.0", "false", "1", "1.0", "true", "null", '""', "[]", "{}", '"0"', "2"]


@pytest.mark.parametrize("form", ["{}", '{{"a":{}}}', "[[{}]]", '{{"a":[1,{{"b":{}}}]}}'])
def test_values_are_the_same_if_they_are_written_alike(form: str) -> None:
    for one in WRITTEN:
        for other in WRITTEN:
            pair = (msgspec.json.decode(form.format(text)) for text in (one, other))
            assert contact.same_json(*pair) is (one == other), (one, other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
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
def test_the_order_of_keys_and_the_spelling_of_a_number_do_not_count(
    one: str, other: str, *, same: bool
) -> None:
    assert contact.same_json(msgspec.json.decode(one), msgspec.json.decode(other)) is same


def many(count: int, kinds: int = 1) -> ContactInput:
    """A contact with so many channels, of so many types."""
    return ContactInput(tuple(want(f"t{one % kinds}:{one}") for one in range(count)))


def test_a_contact_has_at_most_500_channels() -> None:
    full = contact.create(1, ALICE, many(500), NOW)

    for too_much in (
        lambda: contact.create(1, ALICE, many(501), NOW),
        lambda: contact.update(full, many(501), NOW, overwrite=False),
    ):
        no = refusal(too_much)
        assert (no.reason, list(no.fields)) == (Reason.TOO_MANY, ["contact_channels"])
    assert contact.update(full, many(500), NOW, overwrite=False) is full


@pytest.mark.parametrize("kinds", [1, 500])
def test_the_rules_take_a_few_milliseconds_for_500_channels(kinds: int) -> None:
    """Returns the least CPU time of some tries of adding, listing and recording channels."""
    wanted = many(500, kinds)
    handles = ContactInput(tuple(with_fields(one, channel_handle="a") for one in wanted.channels))
    made = contact.create(1, ALICE, wanted, NOW)
    full = numbered(made)
    assert isinstance(full, Contact)
    changed = contact.update(full, handles, NOW + 1, overwrite=False)

    for rule in (
        lambda: contact.create(1, ALICE, wanted, NOW),
        lambda: contact.update(full, wanted, NOW, overwrite=False),
        lambda: contact.update(full, handles, NOW, overwrite=False),
        lambda: event.diff(event.change(full, changed)),
        lambda: extensions.channel_details(full),
    ):
        assert least_seconds(rule) < 0.015


def least_seconds(rule: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        began = time.thread_time()
        rule()
        times.append(time.thread_time() - began)
    return min(times)
