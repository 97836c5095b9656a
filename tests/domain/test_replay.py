"""Replaying events: the past states of a contact equal the states that the rules returned."""

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
from reachbook.domain.replay import PastState, Row
from reachbook.storage.commit import Commit, with_ids

PHONE = addresses.channel_type("phone")
NUMBERS = [f"1510555{number:04}" for number in range(12)]


def channel_input(number: str, handle: str) -> ChannelInput:
    return ChannelInput(addresses.parse(PHONE, number), channel_handle=handle)


def random_history(seed: int, steps: int) -> list[tuple[ChannelList, Row]]:
    """Returns the states of a contact and the event of each, as a store would have them."""
    chooser, numbers = random.Random(seed), count(1)
    page: ChannelList | None = None
    after: ChannelList = contacts.create(1, "an uuid", ContactInput(first="A"), 1_000)
    history: list[tuple[ChannelList, Row]] = []
    while len(history) < steps:
        step = Commit(event.change(page, after), "a", "r")
        change = with_ids(step, 7, numbers).change
        page = change.after
        history.append((page, (page.rev, page.updated, *event.diff(change))))
        while (after := random_change(page, chooser)) is page:
            pass
    return history


def random_change(page: ChannelList, chooser: random.Random) -> ChannelList:
    """Applies a random rule; returns the same object if the rule refuses."""
    assert isinstance(page, Contact)
    address = channel_input(chooser.choice(NUMBERS), chooser.choice(["", "a", "b"]))
    selector = ChannelSelector(PHONE, addresses.parse(PHONE, chooser.choice(NUMBERS)))
    now = page.updated + chooser.randint(-5, 50)
    try:
        match chooser.randrange(5):
            case 0 | 1:
                return channel_rules.add_channel(page, address, now)
            case 2:
                return channel_rules.replace_channel(page, address, selector, now)
            case 3:
                return channel_rules.remove_channel(page, selector, now)
    except Refusal:
        return page
    custom = {"size": chooser.randrange(3), "nested": [None, 1.5]}
    later = {"rev": page.rev + 1, "updated": page.updated + 1}
    return replace(page, custom=custom, tags=(chooser.randrange(3),), **later)


@pytest.mark.parametrize("seed", range(5))
def test_replay_returns_the_state_of_each_revision_and_time(seed: int) -> None:
    """Compares the states by revision and by time."""
    history = random_history(seed, 60)
    rows = [row for _, row in history]

    for page, _ in history:
        assert isinstance(page, Contact)
        assert replay.contact(replay.replay(rows, rev=page.rev), page) == page
        assert replay.contact(replay.replay(rows, at=page.updated), page) == page
    assert replay.replay(rows) == replay.replay(rows, rev=len(history))


def test_a_deleted_contact_has_no_channels_and_a_deletion_time() -> None:
    [*_, (page, _)] = history = random_history(1, 20)
    assert isinstance(page, Contact)
    deleted = contacts.delete(page, 9_999)
    last = (deleted.rev, deleted.updated, *event.diff(event.change(page, deleted)))

    past = replay.replay([*(row for _, row in history), last])

    assert past.channels == ()
    assert past.fields["deleted"] == deleted.updated


@pytest.mark.parametrize(("rev", "at"), [(0, None), (None, 999)])
def test_the_state_before_the_creation_is_empty(rev: int | None, at: int | None) -> None:
    rows = [row for _, row in random_history(1, 3)]

    assert replay.replay(rows, rev=rev, at=at) == PastState()


def test_an_erased_contact_has_no_values() -> None:
    """The values of the event of the erasure are ignored too."""
    erased: list[Row] = [(1, 10, None, None), (2, 20, None, None), (3, 30, None, '{"first": "A"}')]

    assert replay.replay(erased) == PastState(3, 30, erased=True)


@pytest.mark.parametrize("text", ["{", "[]", '{"channels": [{"id": 1}]}', '{"channels": 1}'])
def test_a_malformed_event_raises_decode_error(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        replay.replay([(1, 10, None, text)])


def test_the_time_to_replay_an_event_does_not_depend_on_other_channels() -> None:
    """An event takes about the same time if the contact has 500 channels or 5."""
    [(created, first)] = random_history(1, 1)
    after = rename_events(created, 2_000)

    def seconds(channels: int) -> float:
        began = time.thread_time()
        past = replay.replay([with_channels(first, channels), *after])
        took = time.thread_time() - began
        assert (past.rev, len(past.channels)) == (2_001, channels)
        return took

    assert min(seconds(500) for _ in range(3)) < 3 * min(seconds(5) for _ in range(3)) + 0.01


def rename_events(page: ChannelList, times: int) -> list[Row]:
    """Returns events that rename a contact."""
    names = (f'{{"channels":[],"first":"{number}"}}' for number in range(times))
    return [
        (page.rev + number, page.updated + number, '{"channels":[],"first":""}', name)
        for number, name in enumerate(names, 1)
    ]


def with_channels(row: Row, count: int) -> Row:
    """Returns the event of a new contact with `count` channels."""
    rev, at, before, _ = row
    new = ContactInput(tuple(channel_input(f"1510555{number:04}", "") for number in range(count)))
    created = event.change(None, contacts.create(1, "an uuid", new, at))
    [change] = with_ids(Commit(created, "a", "r"), 7, numbers()).changes
    return (rev, at, before, event.diff(change)[1])


def numbers() -> Iterator[int]:
    return count(1)
