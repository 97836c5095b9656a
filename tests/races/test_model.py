"""Random lives of contacts: the past replayed is the present, and the feed tells all of it once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

import pytest
from msgspec.structs import replace

from reachbook.domain import replay
from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import Address
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.channel import ChannelList, ChannelSelector, ContactChannel
from reachbook.domain.channel_rules import ChannelInput, Patch
from reachbook.domain.consent import Consent, HeldReason
from reachbook.domain.contact import ContactInput
from reachbook.domain.errors import Kind, Refusal
from reachbook.domain.event import EventRecord
from reachbook.domain.on_conflict import OnConflict
from reachbook.service import Service, TeamKeys, WriteContext
from reachbook.storage import Queries, Store
from reachbook.storage.queries import FAR_FUTURE
from tests.support.full_size import scaled
from tests.support.personas import MASTER_KEY
from tests.support.services import services, stores, team

pytestmark = pytest.mark.anyio

PEOPLE = 6
CLIENTS = 4
STEPS = scaled(60, 3000)
WRITERS = 16
WRITES = scaled(15, 500)
READERS = 3
MAX_EVENTS = 100_000
MAX_PAGES = 200_000
PATIENCE_SECONDS = scaled(60, 900)
EXPECTED = (Kind.CONFLICT, Kind.NOT_FOUND)

Seen = dict[tuple[str, int], tuple[ContactChannel, ...]]
"""The channels of contacts, by UUID and revision, as they were answered."""


def some_address(choose: random.Random) -> Address:
    kind = addresses.channel_type(choose.choice(["phone", "phone", "email", "facebook"]))
    number = choose.randrange(5)
    typed = {"phone": f"1510555000{number}", "email": f"p{number}@example.com"}
    return addresses.parse(kind, typed.get(kind, f"17890{number}"))


class Life:
    """A client's random steps on the contacts of a team, and what it was answered."""

    def __init__(
        self, service: Service, context: WriteContext, uuids: list[str], seed: int
    ) -> None:
        self.service = service
        self.context = context
        self.uuids = uuids
        self.choose = random.Random(seed)
        self.seen: Seen = {}

    async def live(self, steps: int) -> None:
        for _ in range(steps):
            try:
                after = await self.step()
            except Refusal as no:
                if no.reason.kind not in EXPECTED:
                    raise
            else:
                self.seen[after.uuid, after.rev] = after.channels

    async def step(self) -> ChannelList:
        """One random operation; it may be refused."""
        uuid, address = self.choose.choice(self.uuids), some_address(self.choose)
        if self.choose.random() < 0.3:
            return await self._step_on_contact(uuid, address)
        return await self._step_on_channel(uuid, address)

    async def _step_on_contact(self, uuid: str, address: Address) -> ChannelList:
        contacts = self.service.contacts
        wanted = ContactInput(
            first=f"Person {self.choose.randrange(9)}",
            custom={f"field {self.choose.randrange(3)}": self.choose.randrange(3)},
            tags=(self.choose.randrange(9),),
        )
        match self.choose.randrange(8):
            case 0:
                return await contacts.delete(self.context, uuid)
            case 1 | 2:
                made = await contacts.create(self.context, wanted)
                self.uuids.append(made.uuid)
                return made
            case 3 | 4:
                resolving = self.service.resolving
                found = await resolving.one(self.context, AddressQuery(address), wanted)
                assert found.contact
                return found.contact
            case _:
                overwrite = self.choose.random() < 0.5
                return await contacts.update(self.context, uuid, wanted, overwrite=overwrite)

    async def _step_on_channel(self, uuid: str, address: Address) -> ChannelList:
        channels = self.service.channels
        on_conflict = self.choose.choice(list(OnConflict))
        context = replace(self.context, on_conflict=on_conflict)
        handle, page = self.choose.choice(["", "a"]), self.choose.choice(["", "page"])
        match self.choose.randrange(10):
            case 0:
                return await channels.remove(
                    context, uuid, ChannelSelector(address.channel_type, address)
                )
            case 1 | 2:
                wanted = ChannelInput(address, channel_handle=handle)
                named = ChannelSelector(address.channel_type)
                return await channels.replace(context, uuid, wanted, named)
            case 3 | 4 | 5:
                return await self._step_on_one(context, uuid)
            case _:
                wanted = ChannelInput(address, channel_handle=handle, info_channel=page)
                return await channels.add(context, uuid, wanted)

    async def _step_on_one(self, context: WriteContext, uuid: str) -> ChannelList:
        channels = self.service.channels
        there = (await channels.all(context, uuid)).channels
        number = self.choose.choice(there).id if there else 1
        match self.choose.randrange(4):
            case 0:
                return await channels.make_primary(context, uuid, number)
            case 1:
                return await channels.remove_exactly(context, uuid, number)
            case 2:
                held = Patch(held=True, held_reason=self.choose.choice(list(HeldReason)))
                return await channels.patch(context, uuid, number, held)
            case _:
                known = Patch(label="a label", consent=self.choose.choice(list(Consent)))
                return await channels.patch(context, uuid, number, known)


async def events(store: Store, context: WriteContext, number: int) -> list[EventRecord]:
    """A contact's events, oldest first."""
    directory = Queries(store.engine)
    found = await directory.history(
        context.team_id, number, before_rev=FAR_FUTURE, limit=MAX_EVENTS
    )
    return found[::-1]


async def test_it_works(database: str) -> None:
    """The history gives exactly the present, every revision that was seen, and every moment."""
    async with stores(database) as opened, asyncio.timeout(PATIENCE_SECONDS):
        context = await team(opened[0])
        some = services(opened)
        uuids = [
            (await some[0].contacts.create(context, ContactInput(first=f"Person {number}"))).uuid
            for number in range(PEOPLE)
        ]
        lives = [Life(some[turn % len(some)], context, uuids, turn) for turn in range(CLIENTS)]
        await asyncio.gather(*(one.live(STEPS) for one in lives))
        seen: Seen = {key: channels for one in lives for key, channels in one.seen.items()}
        for uuid in uuids:
            await _is_what_its_history_says(opened[0], context, uuid, seen)

    assert len(seen) > STEPS


async def _is_what_its_history_says(
    store: Store, context: WriteContext, uuid: str, seen: Seen
) -> None:
    contact = await store.read_ever(context.team_id, uuid)
    assert contact
    told = await events(store, context, contact.id)
    rows: list[replay.Row] = [(one.rev, one.at, one.before, one.after) for one in told]
    assert [one.rev for one in told] == list(range(1, contact.rev + 1))
    assert replay.contact(replay.replay(rows), contact) == contact
    past = Service(store, TeamKeys(store, (MASTER_KEY,))).history
    for one in told:
        then = replay.replay(rows, rev=one.rev).channels
        assert then == seen.get((uuid, one.rev), then)
        as_of = await past.channels_as_of(context.team_id, uuid, one.at)
        assert (as_of.rev, as_of.channels) == (one.rev, then)
        before = await past.channels_as_of(context.team_id, uuid, one.at - 1)
        assert before.rev == one.rev - 1


async def follow(
    service: Service, context: WriteContext, still: asyncio.Event
) -> list[EventRecord]:
    """Read the feed as it grows, until the writers are done and nothing more comes."""
    told: list[EventRecord] = []
    for _ in range(MAX_PAGES):
        done = still.is_set()
        page = await service.history.feed(context.team_id, len(told), 7)
        assert page.next == len(told) + len(page.events)
        told += page.events
        if done and not page.events:
            return told
        await asyncio.sleep(0)
    raise AssertionError("the feed has no end")


async def write(service: Service, context: WriteContext, uuids: Sequence[str], seed: int) -> int:
    """Change contacts at random; how many changes were made."""
    choose = random.Random(seed)
    made = 0
    for _ in range(WRITES):
        wanted = ContactInput(first=f"Person {choose.random()}")
        with suppress(Refusal):
            await service.contacts.update(context, choose.choice(uuids), wanted, overwrite=False)
            made += 1
        await service.contacts.create(context, wanted)
        made += 1
    return made


async def test_the_feed_is_gapless_and_the_same_for_everyone(database: str) -> None:
    """Three follow it live, from both ends of the house, while sixteen write."""
    async with stores(database) as opened, asyncio.timeout(PATIENCE_SECONDS):
        context = await team(opened[0])
        some = services(opened)
        uuids = [(await some[0].contacts.create(context, ContactInput())).uuid for _ in range(8)]
        still = asyncio.Event()
        readers = [
            asyncio.create_task(follow(some[turn % len(some)], context, still))
            for turn in range(READERS)
        ]
        writers = [write(some[turn % len(some)], context, uuids, turn) for turn in range(WRITERS)]
        made = await asyncio.gather(*writers)
        still.set()
        first, *others = await asyncio.gather(*readers)

    assert [one.seq for one in first] == list(range(1, sum(made) + len(uuids) + 1))
    assert all(other == first for other in others)
    for uuid in uuids:
        revisions = [one.rev for one in first if one.contact_uuid == uuid]
        assert revisions == list(range(1, len(revisions) + 1))
