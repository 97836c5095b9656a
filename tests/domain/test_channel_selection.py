"""Which channel is meant, how one goes, and what every rule has in common."""

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


def made_primary(channel_list: ChannelList, *when: int | None) -> ChannelList:
    """The page with its channels made primary at these revisions."""
    pairs = zip(channel_list.channels, when, strict=True)
    return with_fields(
        channel_list, channels=tuple(with_fields(one, made_primary=rev) for one, rev in pairs)
    )


# ── GET ──────────────────────────────────────────────────────────────────────────────────────


def test_it_works() -> None:
    channel_list = page("email:a@b.com", "phone:15105553344")

    assert select_channel(channel_list, name("phone")) is channel_list.channels[1]


@pytest.mark.parametrize(
    ("when", "picked"),
    [
        ((None, None), "15105553344"),
        ((None, 4), "14155551234"),
        ((4, None), "15105553344"),
        ((4, 9), "14155551234"),
        ((9, 4), "15105553344"),
    ],
)
def test_the_primary_is_the_one_last_made_so_else_the_oldest(
    when: tuple[int | None, ...], picked: str
) -> None:
    channel_list = made_primary(page(*TWO_PHONES), *when)

    assert select_channel(channel_list, name("phone")).channel_id == picked


def test_when_the_primary_goes_the_same_rule_names_the_next() -> None:
    three = made_primary(page(*TWO_PHONES, "phone:13105550000"), None, 3, 5)

    two = channel_rules.remove_channel(three, name("phone", "13105550000"), NOW)
    one = channel_rules.remove_channel(two, name("phone", "14155551234"), NOW)

    assert select_channel(three, name("phone")).channel_id == "13105550000"
    assert select_channel(two, name("phone")).channel_id == "14155551234"
    assert select_channel(one, name("phone")).channel_id == "15105553344"


def test_of_two_made_at_the_same_time_the_lower_number_is_the_older() -> None:
    channel_list = page(*TWO_PHONES)
    first, second = (with_fields(one, created=NOW) for one in channel_list.channels)

    assert primary([second, first]) is first


def test_of_no_channels_none_is_primary() -> None:
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
def test_a_value_names_one_channel_in_any_spelling_of_its_identity(held: str, value: str) -> None:
    kind = held.partition(":")[0]
    channel_list = page("phone:15105553344", "email:a@b.com", "facebook:1", held)

    assert select_channel(channel_list, name(kind, value)) is channel_list.channels[3]


@pytest.mark.parametrize(
    "named", [name("email"), name("phone", "13105550000"), name("sms", "15105553344")]
)
def test_what_the_contact_does_not_have_is_not_found(named: ChannelSelector) -> None:
    channel_list = page(*TWO_PHONES)

    for no in (
        refusal(lambda: select_channel(channel_list, named)),
        refusal(lambda: channel_rules.remove_channel(channel_list, named, NOW)),
    ):
        assert no.reason is Reason.NO_CHANNEL
        assert named.channel_type in no.message


# ── DELETE ───────────────────────────────────────────────────────────────────────────────────


def test_removing_takes_the_channel_of_the_type() -> None:
    before = page("phone:15105553344", "email:a@b.com")

    after = channel_rules.remove_channel(before, name("phone"), NOW)

    assert after == with_fields(
        before, rev=before.rev + 1, updated=NOW, channels=before.channels[1:]
    )


def test_the_last_channel_may_go() -> None:
    assert (
        channel_rules.remove_channel(page("phone:15105553344"), name("phone"), NOW).channels == ()
    )


def test_removing_by_type_takes_none_of_several() -> None:
    channel_list = page(*TWO_PHONES, "email:a@b.com")

    no = refusal(lambda: channel_rules.remove_channel(channel_list, name("phone"), NOW))

    assert no.reason is Reason.SEVERAL
    assert "?channel_id=" in no.message
    listed = no.facts["channels"]
    assert isinstance(listed, ChannelList)
    assert listed == with_fields(channel_list, channels=channel_list.channels[:2])


def test_removing_one_of_several_needs_its_name() -> None:
    after = channel_rules.remove_channel(page(*TWO_PHONES), name("phone", "+1 510 555 3344"), NOW)

    assert values(after) == ["14155551234"]


def test_removing_again_finds_nothing() -> None:
    named = name("phone", "15105553344")
    after = channel_rules.remove_channel(page(*TWO_PHONES), named, NOW)

    no = refusal(lambda: channel_rules.remove_channel(after, named, NOW))

    assert no.reason is Reason.NO_CHANNEL


# ── what everyone asks of every rule ─────────────────────────────────────────────────────────


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
def test_a_contact_that_is_not_there_is_told_so(rule: Callable[[], object]) -> None:
    assert refusal(rule).reason is Reason.NO_CONTACT


@pytest.mark.parametrize("behind", [0, 1, 3600 * SECOND])
def test_time_moves_forward_whatever_the_clock_says(behind: int) -> None:
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
def test_whatever_is_asked_a_page_stays_in_order(
    asked: list[tuple[str, ChannelInput, ChannelSelector]],
) -> None:
    """Each change is one revision later in time; a refusal changes nothing; nothing is twice."""
    channel_list, next_id = page(), 1
    for verb, wanted, named in asked:
        after = attempt(verb, channel_list, wanted, named)
        if after is channel_list:
            continue
        assert (after.rev, after.updated > channel_list.updated) == (channel_list.rev + 1, True)
        born = {one.id: one.created for one in channel_list.channels}
        assert all(born.get(one.id, after.updated) == one.created for one in after.channels)
        next_id += 1
        channel_list = with_fields(
            after, channels=tuple(with_fields(one, id=one.id or next_id) for one in after.channels)
        )
        unique = {(one.channel_type, one.scope, one.identity) for one in channel_list.channels}
        assert len(unique) == len(channel_list.channels)
        assert [one.created for one in channel_list.channels] == sorted(
            one.created for one in channel_list.channels
        )


def attempt(
    verb: str, channel_list: ChannelList, wanted: ChannelInput, named: ChannelSelector
) -> ChannelList:
    """What one of the rules makes of a page; the page itself when the rule refuses."""
    of_type = ChannelSelector(wanted.address.channel_type)
    try:
        if verb == "+":
            return channel_rules.add_channel(channel_list, wanted, NOW)
        if verb == "=":
            same_type = named.channel_type == wanted.address.channel_type
            return channel_rules.replace_channel(
                channel_list, wanted, named if same_type else of_type, NOW
            )
        return channel_rules.remove_channel(channel_list, named, NOW)
    except Refusal:
        return channel_list
