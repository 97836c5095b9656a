"""Random concurrent writes: replaying the history gives the contacts, and the feed is complete."""

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
"""The channels of contacts in responses, by UUID and revision."""


def random_address(choose: random.Random) -> Address:
    kind = addresses.channel_type(choose.choice(["phone", "phone", "email", "facebook"]))
    number = choose.randrange(5)
    typed = {"phone": f"1510555000{number}", "email": f"p{number}@example.com"}
    return addresses.parse(kind, typed.get(kind, f"17890{number}"))


class RandomClient:
    """A client that makes random writes to the contacts of a team, and records the results."""

    def __init__(
        self, service: Service, context: WriteContext, uuids: list[str], seed: int
    ) -> None:
        self.service = service
        self.context = context
        self.uuids = uuids
        self.choose = random.Random(seed)
        self.seen: Seen = {}

    async def run(self, steps: int) -> None:
        for _ in range(steps):
            try:
                after = await self.step()
            except Refusal as refusal:
                if refusal.reason.kind not in EXPECTED:
                    raise
            else:
                self.seen[after.uuid, after.rev] = after.channels

    async def step(self) -> ChannelList:
        """Make a random write, which may be refused."""
        uuid, address = self.choose.choice(self.uuids), random_address(self.choose)
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
        existing = (await channels.all(context, uuid)).channels
        number = self.choose.choice(existing).id if existing else 1
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
    """Return the events of a contact, oldest first."""
    queries = Queries(store.engine)
    found = await queries.history(context.team_id, number, before_rev=FAR_FUTURE, limit=MAX_EVENTS)
    return found[::-1]


async def test_the_history_reproduces_every_revision(database: str) -> None:
    """Replaying it gives the stored contact, each revision, and the state at each time."""
    async with stores(database) as opened, asyncio.timeout(PATIENCE_SECONDS):
        context = await team(opened[0])
        processes = services(opened)
        uuids = [
            (
                await processes[0].contacts.create(context, ContactInput(first=f"Person {number}"))
            ).uuid
            for number in range(PEOPLE)
        ]
        clients = [
            RandomClient(processes[turn % len(processes)], context, uuids, turn)
            for turn in range(CLIENTS)
        ]
        await asyncio.gather(*(client.run(STEPS) for client in clients))
        seen: Seen = {key: channels for client in clients for key, channels in client.seen.items()}
        for uuid in uuids:
            await _assert_history_reproduces_contact(opened[0], context, uuid, seen)

    assert len(seen) > STEPS


async def _assert_history_reproduces_contact(
    store: Store, context: WriteContext, uuid: str, seen: Seen
) -> None:
    contact = await store.read_ever(context.team_id, uuid)
    assert contact
    records = await events(store, context, contact.id)
    rows: list[replay.Row] = [
        (record.rev, record.at, record.before, record.after) for record in records
    ]
    assert [record.rev for record in records] == list(range(1, contact.rev + 1))
    assert replay.contact(replay.replay(rows), contact) == contact
    history = Service(store, TeamKeys(store, (MASTER_KEY,))).history
    for record in records:
        then = replay.replay(rows, rev=record.rev).channels
        assert then == seen.get((uuid, record.rev), then)
        as_of = await history.channels_as_of(context.team_id, uuid, record.at)
        assert (as_of.rev, as_of.channels) == (record.rev, then)
        before = await history.channels_as_of(context.team_id, uuid, record.at - 1)
        assert before.rev == record.rev - 1


async def follow(
    service: Service, context: WriteContext, writers_done: asyncio.Event
) -> list[EventRecord]:
    """Read the feed while it grows, until the writers are done and no event follows."""
    records: list[EventRecord] = []
    for _ in range(MAX_PAGES):
        done = writers_done.is_set()
        page = await service.history.feed(context.team_id, len(records), 7)
        assert page.next == len(records) + len(page.events)
        records += page.events
        if done and not page.events:
            return records
        await asyncio.sleep(0)
    raise AssertionError("the feed has no end")


async def write(service: Service, context: WriteContext, uuids: Sequence[str], seed: int) -> int:
    """Change contacts at random; return the number of changes."""
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


async def test_the_feed_has_no_gaps_and_is_the_same_for_all_readers(database: str) -> None:
    """Three clients of two processes read the feed while sixteen write."""
    async with stores(database) as opened, asyncio.timeout(PATIENCE_SECONDS):
        context = await team(opened[0])
        processes = services(opened)
        uuids = [
            (await processes[0].contacts.create(context, ContactInput())).uuid for _ in range(8)
        ]
        writers_done = asyncio.Event()
        readers = [
            asyncio.create_task(follow(processes[turn % len(processes)], context, writers_done))
            for turn in range(READERS)
        ]
        writers = [
            write(processes[turn % len(processes)], context, uuids, turn) for turn in range(WRITERS)
        ]
        made = await asyncio.gather(*writers)
        writers_done.set()
        first, *others = await asyncio.gather(*readers)

    assert [record.seq for record in first] == list(range(1, sum(made) + len(uuids) + 1))
    assert all(other == first for other in others)
    for uuid in uuids:
        revisions = [record.rev for record in first if record.contact_uuid == uuid]
        assert revisions == list(range(1, len(revisions) + 1))
