"""What happened: each step of a contact is named, and told with the values before and after."""

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
    """Alice as the store gives her back, with two phones and a name."""
    phones = tuple(want(spec) for spec in TWO_PHONES)
    made = contact.create(1, ALICE, ContactInput(phones, first="Alice", tags=(3,)), NOW - 1)
    page = numbered(made)
    assert isinstance(page, Contact)
    return page


def told(before: ChannelList | None, after: ChannelList) -> tuple[Any, Any]:
    was, now = event.diff(event.change(before, after))
    return (None if was is None else json.loads(was)), json.loads(now or "null")


def test_it_works() -> None:
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
def test_a_step_is_named_for_what_it_does(
    before: ChannelList | None, after: ChannelList, kind: Kind
) -> None:
    assert event.change(before, after).kind is kind


def test_an_added_channel_is_told_with_nothing_before() -> None:
    before = page("phone:15105553344")
    after = numbered(channel_rules.add_channel(before, want("email:a@b.com"), NOW))

    was, now = told(before, after)

    assert was == {"channels": []}
    assert [one["channel_id"] for one in now["channels"]] == ["a@b.com"]


def test_a_removed_channel_is_told_with_nothing_after() -> None:
    before = page(*TWO_PHONES)
    after = channel_rules.remove_channel(before, name("phone", "14155551234"), NOW)

    was, now = told(before, after)

    assert [one["channel_id"] for one in was["channels"]] == ["14155551234"]
    assert now == {"channels": []}


def test_a_channel_that_becomes_primary_without_a_change_of_its_own_is_told() -> None:
    before = page(*TWO_PHONES)
    removed = channel_rules.remove_channel(before, name("phone", "15105553344"), NOW)
    for after in (removed, channel_rules.make_primary(before, 2, NOW)):
        was, now = told(before, after)

        assert [one["primary"] for one in was["channels"]] == [True, False]
        assert {one["channel_id"]: one["primary"] for one in now["channels"]}["14155551234"]


def test_a_changed_channel_is_told_with_its_old_value_and_its_new_one() -> None:
    before = page(*TWO_PHONES)
    after = channel_rules.replace_channel(before, want("phone:13105550000"), name("phone"), NOW)

    was, now = told(before, after)

    (old,), (new,) = was["channels"], now["channels"]
    assert (old["id"], old["channel_id"]) == (1, "15105553344")
    assert (new["id"], new["channel_id"]) == (1, "13105550000")
    assert (old["updated"], new["updated"]) == (before.channels[0].updated, NOW)


def test_a_new_contact_is_told_with_all_that_is_known() -> None:
    was, now = told(None, alice())

    assert was is None
    assert [one["channel_id"] for one in now.pop("channels")] == ["15105553344", "14155551234"]
    assert now["uuid"] == ALICE
    assert now["first"] == "Alice"
    assert now["tags"] == [3]


def test_a_deleted_contact_is_told_with_what_it_had() -> None:
    was, now = told(alice(), contact.delete(alice(), NOW))

    assert [one["channel_id"] for one in was.pop("channels")] == ["15105553344", "14155551234"]
    assert was == {"deleted": None}
    assert now == {"channels": [], "deleted": NOW}


def test_only_the_fields_that_changed_are_told() -> None:
    before = alice()
    after = with_fields(before, rev=2, updated=NOW, first="Alicia", custom={"1": "\u00e9"})

    was, now = told(before, after)

    assert was == {"channels": [], "first": "Alice", "custom": {}}
    assert now == {"channels": [], "first": "Alicia", "custom": {"1": "\u00e9"}}
