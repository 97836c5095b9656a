"""Selecting and removing a channel, and properties of all rules."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields

from reachbook.domain import channel as channel_list
from reachbook.domain import channel_rules
from reachbook.domain.channel import (
    ChannelList,
    ChannelSelector,
    ContactChannel,
    primary,
    select_channel,
)
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.errors import Reason, Refusal
from tests.support import strategies
from tests.support.domain import NOW, SECOND, TWO_PHONES, name, page, refusal, values, want


def make_primary(channel_list: ChannelList, *when: int | None) -> ChannelList:
    """Returns the channels, made primary at these revisions."""
    pairs = zip(channel_list.channels, when, strict=True)
    return with_fields(
        channel_list,
        channels=tuple(with_fields(channel, made_primary=rev) for channel, rev in pairs),
    )


# ── GET ──────────────────────────────────────────────────────────────────────────────────────


def test_a_channel_is_selected_by_type() -> None:
    channel_list = page("email:a@b.com", "phone:15105553344")

    assert select_channel(channel_list, name("phone")) is channel_list.channels[1]


@pytest.mark.parametrize(
    ("when", "selected"),
    [
        ((None, None), "15105553344"),
        ((None, 4), "14155551234"),
        ((4, None), "15105553344"),
        ((4, 9), "14155551234"),
        ((9, 4), "15105553344"),
    ],
)
def test_primary_is_the_last_channel_made_primary_or_the_oldest(
    when: tuple[int | None, ...], selected: str
) -> None:
    channel_list = make_primary(page(*TWO_PHONES), *when)

    assert select_channel(channel_list, name("phone")).channel_id == selected


def test_removing_the_primary_channel_makes_the_previous_one_primary() -> None:
    three = make_primary(page(*TWO_PHONES, "phone:13105550000"), None, 3, 5)

    two = channel_rules.remove_channel(three, name("phone", "13105550000"), NOW)
    single = channel_rules.remove_channel(two, name("phone", "14155551234"), NOW)

    assert select_channel(three, name("phone")).channel_id == "13105550000"
    assert select_channel(two, name("phone")).channel_id == "14155551234"
    assert select_channel(single, name("phone")).channel_id == "15105553344"


def test_of_two_channels_with_the_same_created_the_lower_id_is_older() -> None:
    channel_list = page(*TWO_PHONES)
    first, second = (with_fields(channel, created=NOW) for channel in channel_list.channels)

    assert primary([second, first]) is first


def test_an_empty_list_has_no_primary_channel() -> None:
    none: list[ContactChannel] = []

    assert primary(none) is None


@pytest.mark.parametrize(
    ("held", "value"),
    [
        ("phone:14155551234", "+1 (415) 555-1234"),
        ("phone:5511987654321", "551187654321"),
        ("phone:525512345678", "+52 1 55 1234 5678"),
        ("email:Bob@example.com", "bob@EXAMPLE.COM"),
        ("facebook:Abc", "Abc"),
    ],
)
def test_a_channel_is_selected_by_any_spelling_of_its_address(held: str, value: str) -> None:
    kind = held.partition(":")[0]
    channel_list = page("phone:15105553344", "email:a@b.com", "facebook:1", held)

    assert select_channel(channel_list, name(kind, value)) is channel_list.channels[3]


@pytest.mark.parametrize(
    "selector", [name("email"), name("phone", "13105550000"), name("sms", "15105553344")]
)
def test_a_missing_channel_is_not_found(selector: ChannelSelector) -> None:
    channel_list = page(*TWO_PHONES)

    for error in (
        refusal(lambda: select_channel(channel_list, selector)),
        refusal(lambda: channel_rules.remove_channel(channel_list, selector, NOW)),
    ):
        assert error.reason is Reason.NO_CHANNEL
        assert selector.channel_type in error.message


# ── DELETE ───────────────────────────────────────────────────────────────────────────────────


def test_removing_by_type_removes_the_channel() -> None:
    before = page("phone:15105553344", "email:a@b.com")

    after = channel_rules.remove_channel(before, name("phone"), NOW)

    assert after == with_fields(
        before, rev=before.rev + 1, updated=NOW, channels=before.channels[1:]
    )


def test_the_last_channel_can_be_removed() -> None:
    assert (
        channel_rules.remove_channel(page("phone:15105553344"), name("phone"), NOW).channels == ()
    )


def test_removing_by_type_is_refused_if_there_are_several() -> None:
    channel_list = page(*TWO_PHONES, "email:a@b.com")

    error = refusal(lambda: channel_rules.remove_channel(channel_list, name("phone"), NOW))

    assert error.reason is Reason.SEVERAL
    assert "?channel_id=" in error.message
    listed = error.facts["channels"]
    assert isinstance(listed, ChannelList)
    assert listed == with_fields(channel_list, channels=channel_list.channels[:2])


def test_removing_by_address_removes_that_channel() -> None:
    after = channel_rules.remove_channel(page(*TWO_PHONES), name("phone", "+1 510 555 3344"), NOW)

    assert values(after) == ["14155551234"]


def test_removing_twice_is_refused() -> None:
    selector = name("phone", "15105553344")
    after = channel_rules.remove_channel(page(*TWO_PHONES), selector, NOW)

    error = refusal(lambda: channel_rules.remove_channel(after, selector, NOW))

    assert error.reason is Reason.NO_CHANNEL


# ── properties of all rules ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "rule",
    [
        lambda: channel_rules.add_channel(None, want("phone:15105553344"), NOW),
        lambda: channel_rules.replace_channel(None, want("phone:15105553344"), name("phone"), NOW),
        lambda: channel_rules.remove_channel(None, name("phone"), NOW),
        lambda: select_channel(None, name("phone")),
        lambda: channel_list.require_contact(None),
    ],
)
def test_every_rule_refuses_a_missing_contact(rule: Callable[[], object]) -> None:
    assert refusal(rule).reason is Reason.NO_CONTACT


@pytest.mark.parametrize("behind", [0, 1, 3600 * SECOND])
def test_updated_increases_even_if_the_clock_is_behind(behind: int) -> None:
    before = page("phone:15105553344")
    late = before.updated - behind

    added = channel_rules.add_channel(before, want("email:a@b.com"), late)
    put = channel_rules.replace_channel(added, want("email:c@d.com"), name("email"), late)
    left = channel_rules.remove_channel(put, name("phone"), late)

    assert before.updated < added.updated < put.updated < left.updated
    assert added.channels[1].created == added.updated
    assert put.channels[1].updated == put.updated


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from("+=-"), strategies.wanted(), strategies.named())))
def test_random_changes_preserve_the_invariants(
    changes: list[tuple[str, ChannelInput, ChannelSelector]],
) -> None:
    """Each change is a revision with a later time; no address is stored twice; order is by age."""
    channel_list, next_id = page(), 1
    for verb, wanted, selector in changes:
        after = apply_or_ignore(verb, channel_list, wanted, selector)
        if after is channel_list:
            continue
        assert (after.rev, after.updated > channel_list.updated) == (channel_list.rev + 1, True)
        created_by_id = {channel.id: channel.created for channel in channel_list.channels}
        assert all(
            created_by_id.get(channel.id, after.updated) == channel.created
            for channel in after.channels
        )
        next_id += 1
        channel_list = with_fields(
            after,
            channels=tuple(
                with_fields(channel, id=channel.id or next_id) for channel in after.channels
            ),
        )
        unique = {
            (channel.channel_type, channel.scope, channel.identity)
            for channel in channel_list.channels
        }
        assert len(unique) == len(channel_list.channels)
        assert [channel.created for channel in channel_list.channels] == sorted(
            channel.created for channel in channel_list.channels
        )


def apply_or_ignore(
    verb: str, channel_list: ChannelList, wanted: ChannelInput, selector: ChannelSelector
) -> ChannelList:
    """Returns the result of a rule, or the unchanged list if the rule refuses."""
    of_type = ChannelSelector(wanted.address.channel_type)
    try:
        if verb == "+":
            return channel_rules.add_channel(channel_list, wanted, NOW)
        if verb == "=":
            same_type = selector.channel_type == wanted.address.channel_type
            return channel_rules.replace_channel(
                channel_list, wanted, selector if same_type else of_type, NOW
            )
        return channel_rules.remove_channel(channel_list, selector, NOW)
    except Refusal:
        return channel_list
