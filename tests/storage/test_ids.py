"""Ids are reserved in growing blocks, and each is used once."""

from __future__ import annotations

import asyncio

import pytest

from reachbook.domain import contact as contacts
from reachbook.domain import event
from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.storage.commit import Commit
from reachbook.storage.ids import MAX_ID_BLOCK, IdBlocks, IdsExhaustedError, IdsOfCommit

pytestmark = pytest.mark.anyio

PHONE = ChannelType("phone")


class Sequence:
    """A sequence that lets other tasks run before it returns."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.last = 0

    async def reserve(self, _table: str, count: int) -> list[int]:
        self.counts.append(count)
        self.last += count
        ids = list(range(self.last - count + 1, self.last + 1))
        await asyncio.sleep(0)
        return ids


def create_commit(*digits: str) -> Commit:
    channels = tuple(ChannelInput(addresses.parse(PHONE, each)) for each in digits)
    new = contacts.create(1, "a1b2c3d4-e5f6-7890-abcd-ef1234567890", ContactInput(channels), 1)
    return Commit(event.change(None, new), "a", "r")


async def test_blocks_grow_to_the_maximum() -> None:
    sequence = Sequence()
    ids = IdBlocks(sequence.reserve)

    taken = [await ids.take("contact") for _ in range(200)]

    assert taken == [[number] for number in range(1, 201)]
    assert sequence.counts == [1, 2, 4, 8, 16, 32, 64, MAX_ID_BLOCK, MAX_ID_BLOCK]


async def test_more_ids_than_a_block_are_reserved_if_requested() -> None:
    ids = IdBlocks(Sequence().reserve)

    assert await ids.take("contact_channel", 500) == list(range(1, 501))


async def test_no_id_is_returned_twice_to_concurrent_tasks() -> None:
    ids = IdBlocks(Sequence().reserve)

    taken = await asyncio.gather(*(ids.take("contact", 1 + turn % 5) for turn in range(100)))

    given = [number for numbers in taken for number in numbers]
    assert len(set(given)) == len(given) == sum(1 + turn % 5 for turn in range(100))


async def test_discard_drops_the_reserved_ids() -> None:
    ids = IdBlocks(Sequence().reserve)
    for _ in range(4):
        await ids.take("contact")  # 1, then 2 and 3, then 4 to 7

    ids.discard()

    assert await ids.take("contact") == [8]


async def test_a_retried_commit_gets_the_same_ids() -> None:
    """The transaction of the previous attempt was rolled back."""
    ids, commit = IdsOfCommit([7], [21, 22]), create_commit("15105553344", "15105553345")

    first, second = ids.assign(commit), ids.assign(commit)

    assert first == second
    assert first.change.after.id == 7
    assert [channel.id for channel in first.change.after.channels] == [21, 22]
    assert first.new_ids == {21, 22}


@pytest.mark.parametrize("ids", [IdsOfCommit([], [21, 22]), IdsOfCommit([7], [21])])
async def test_too_few_ids_raise_an_error(ids: IdsOfCommit) -> None:
    with pytest.raises(IdsExhaustedError):
        ids.assign(create_commit("15105553344", "15105553345"))


async def test_a_commit_with_ids_is_not_changed() -> None:
    commit = IdsOfCommit([7], [21]).assign(create_commit("15105553344"))

    assert IdsOfCommit([8], [22]).assign(commit) == commit
