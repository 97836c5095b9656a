"""Events folded: a contact as it stood, held against the pages that the rules made."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from itertools import count

import msgspec
import pytest
from msgspec.structs import replace

from reachbook.domain import channel_rules, event, replay
from reachbook.domain import contact as contacts
from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel import ChannelList, ChannelSelector
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.errors import Refusal
from reachbook.domain.replay import NOTHING, PastState, Row
from reachbook.storage.commit import Commit, with_ids

PHONE = addresses.channel_type("phone")
NUMBERS = [f"1510555{number:04}" for number in range(12)]


def wanted(number: str, handle: str) -> ChannelInput:
    return ChannelInput(addresses.parse(PHONE, number), channel_handle=handle)


def lived(seed: int, steps: int) -> list[tuple[ChannelList, Row]]:
    """A contact's pages, and the event that tells of each, as a store would keep them."""
    choose, numbers = random.Random(seed), count(1)
    page: ChannelList | None = None
    after: ChannelList = contacts.create(1, "an uuid", ContactInput(first="A"), 1_000)
    life: list[tuple[ChannelList, Row]] = []
    while len(life) < steps:
        step = Commit(event.change(page, after), "a", "r")
        change = with_ids(step, 7, numbers).change
        page = change.after
        life.append((page, (page.rev, page.updated, *event.diff(change))))
        while (after := changed(page, choose)) is page:
            pass
    return life


def changed(page: ChannelList, choose: random.Random) -> ChannelList:
    """One of the rules applied to a page at random; the same page when it refuses."""
    assert isinstance(page, Contact)
    address = wanted(choose.choice(NUMBERS), choose.choice(["", "a", "b"]))
    which = ChannelSelector(PHONE, addresses.parse(PHONE, choose.choice(NUMBERS)))
    now = page.updated + choose.randint(-5, 50)
    try:
        match choose.randrange(5):
            case 0 | 1:
                return channel_rules.add_channel(page, address, now)
            case 2:
                return channel_rules.replace_channel(page, address, which, now)
            case 3:
                return channel_rules.remove_channel(page, which, now)
    except Refusal:
        return page
    custom = {"size": choose.randrange(3), "nested": [None, 1.5]}
    later = {"rev": page.rev + 1, "updated": page.updated + 1}
    return replace(page, custom=custom, tags=(choose.randrange(3),), **later)


@pytest.mark.parametrize("seed", range(5))
def test_it_works(seed: int) -> None:
    """As of every revision and every moment, the page that stood then."""
    life = lived(seed, 60)
    rows = [row for _, row in life]

    for page, _ in life:
        assert isinstance(page, Contact)
        assert replay.contact(replay.replay(rows, rev=page.rev), page) == page
        assert replay.contact(replay.replay(rows, at=page.updated), page) == page
    assert replay.replay(rows) == replay.replay(rows, rev=len(life))


def test_a_deleted_contact_has_no_channels_and_says_when() -> None:
    [*_, (page, _)] = life = lived(1, 20)
    assert isinstance(page, Contact)
    gone = contacts.delete(page, 9_999)
    last = (gone.rev, gone.updated, *event.diff(event.change(page, gone)))

    past = replay.replay([*(row for _, row in life), last])

    assert past.channels == ()
    assert past.fields["deleted"] == gone.updated


@pytest.mark.parametrize(("rev", "at"), [(0, None), (None, 999)])
def test_before_it_was_made_there_is_nothing(rev: int | None, at: int | None) -> None:
    rows = [row for _, row in lived(1, 3)]

    assert replay.replay(rows, rev=rev, at=at) == NOTHING


def test_of_an_erased_contact_nothing_is_told() -> None:
    """Not by the event that says so either."""
    erased: list[Row] = [(1, 10, None, None), (2, 20, None, None), (3, 30, None, '{"first": "A"}')]

    assert replay.replay(erased) == PastState(3, 30, erased=True)


@pytest.mark.parametrize("text", ["{", "[]", '{"channels": [{"id": 1}]}', '{"channels": 1}'])
def test_what_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        replay.replay([(1, 10, None, text)])


def test_an_event_costs_what_it_touches() -> None:
    """An event is folded in about the same time if the contact has 500 channels or 5."""
    [(made, first)] = lived(1, 1)
    after = changed_often(made, 2_000)

    def seconds(channels: int) -> float:
        began = time.thread_time()
        past = replay.replay([with_channels(first, channels), *after])
        took = time.thread_time() - began
        assert (past.rev, len(past.channels)) == (2_001, channels)
        return took

    assert min(seconds(500) for _ in range(3)) < 3 * min(seconds(5) for _ in range(3)) + 0.01


def changed_often(page: ChannelList, times: int) -> list[Row]:
    """Events that rename a contact."""
    names = (f'{{"channels":[],"first":"{number}"}}' for number in range(times))
    return [
        (page.rev + number, page.updated + number, '{"channels":[],"first":""}', name)
        for number, name in enumerate(names, 1)
    ]


def with_channels(row: Row, count: int) -> Row:
    """The event of a new contact, with so many channels."""
    rev, at, before, _ = row
    new = ContactInput(tuple(wanted(f"1510555{number:04}", "") for number in range(count)))
    made = event.change(None, contacts.create(1, "an uuid", new, at))
    [change] = with_ids(Commit(made, "a", "r"), 7, numbers()).changes
    return (rev, at, before, event.diff(change)[1])


def numbers() -> Iterator[int]:
    return count(1)
