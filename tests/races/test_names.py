"""The index of names is correct while contacts are renamed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import asyncpg
import pytest

from reachbook.domain.contact import ContactInput
from reachbook.domain.names import prefixes
from reachbook.service import Service, WriteContext
from reachbook.storage import Queries, Store, names
from tests.support.full_size import scaled
from tests.support.names import expected, indexed
from tests.support.raw_sql import sql_runner
from tests.support.services import services, stores, team

pytestmark = pytest.mark.anyio

CONTACTS = 12
RENAMES = scaled(20, 300)
WRITERS = 4
FIRST = ("Anna", "Annette", "Bob", "Straße", "王小明", "")
LAST = ("Smith", "Smythe", "Jones Smith", "")


async def create_contacts(
    service: Service, context: WriteContext, count: int = CONTACTS
) -> list[str]:
    """Create contacts, and return their UUIDs."""
    wanted = [ContactInput(first="Anna", last=f"Smith {n}") for n in range(count)]
    return [(await service.contacts.create(context, each)).uuid for each in wanted]


async def rename(service: Service, context: WriteContext, uuids: Sequence[str], seed: int) -> None:
    """Rename contacts at random."""
    choose = random.Random(seed)
    for _ in range(RENAMES):
        wanted = ContactInput(first=choose.choice(FIRST), last=choose.choice(LAST))
        await service.contacts.update(context, choose.choice(uuids), wanted, overwrite=False)


async def delete_words(database: str) -> None:
    """Put a database in the state after the migration of the schema."""
    await sql_runner(database)("DELETE FROM contact_name")
    await sql_runner(database)("UPDATE store_info SET value = '{}' WHERE name = 'names_cursor'")


async def test_concurrent_renames_leave_the_words_of_the_last(database: str) -> None:
    async with stores(database) as opened:
        processes = services(opened)
        context = await team(opened[0])
        [uuid] = await create_contacts(processes[0], context, 1)

        await asyncio.gather(
            *(rename(processes[n % len(processes)], context, [uuid], n) for n in range(WRITERS))
        )

        assert await indexed(database, context.team_id) == await expected(database, context.team_id)


async def test_a_migration_during_writes_indexes_all_names(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contacts are renamed, created and deleted while their words are written in small batches."""
    monkeypatch.setattr(names, "BATCH", 2)
    async with stores(database) as opened:
        processes = services(opened)
        context = await team(opened[0])
        uuids = await create_contacts(processes[0], context)
        await delete_words(database)

        async def create_and_delete() -> None:
            for turn in range(RENAMES // 2):
                wanted = ContactInput(first=f"New {turn}")
                new = await processes[-1].contacts.create(context, wanted)
                if turn % 2:
                    await processes[0].contacts.delete(context, new.uuid)

        await asyncio.gather(
            create_and_delete(),
            *(store.index_names() for store in opened),
            *(rename(processes[n % len(processes)], context, uuids, n) for n in range(WRITERS)),
        )

        assert await opened[0].has_all_names()
        assert await indexed(database, context.team_id) == await expected(database, context.team_id)


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_the_migration_waits_for_a_rename_of_an_older_release(database: str) -> None:
    """That rename writes no words, and commits after the migration has started to read."""
    async with stores(database) as [store, _]:
        context = await team(store)
        await create_contacts(services([store])[0], context, 1)
        await delete_words(database)
        connection = await asyncpg.connect(database)
        renaming = connection.transaction()
        await renaming.start()
        await connection.execute("UPDATE contact SET last = 'Latest', rev = rev + 1")

        migration = asyncio.create_task(store.index_names())
        await wait_for_a_lock_waiter(database)
        await renaming.commit()
        await connection.close()
        await migration

        assert list((await indexed(database, context.team_id)).values()) == [["anna", "latest"]]


async def wait_for_a_lock_waiter(database: str) -> None:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    for _ in range(400):
        if await sql_runner(database)(statement) != [(0,)]:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("no statement waited for a lock")


async def test_a_search_during_renames_finds_all_unchanged_contacts(database: str) -> None:
    """Each page is complete although entries change between the reads."""
    async with stores(database) as opened:
        processes = services(opened)
        context = await team(opened[0])
        uuids = await create_contacts(processes[0], context, 2 * CONTACTS)
        unchanged, renamed = set(uuids[::2]), uuids[1::2]
        writers = [
            asyncio.create_task(rename(processes[n % len(processes)], context, renamed, n))
            for n in range(WRITERS)
        ]
        searches = 0
        while searches < 5 or not all(writer.done() for writer in writers):
            found = await search_all(opened[-1], context)
            searches += 1
            assert unchanged <= set(found)
            assert len([uuid for uuid in found if uuid in unchanged]) == len(unchanged)
        await asyncio.gather(*writers)


async def search_all(store: Store, context: WriteContext) -> list[str]:
    """Return the UUIDs of all pages of a search."""
    queries, after, uuids = Queries(store.engine), None, []
    while True:
        page = await queries.contacts_named(context.team_id, prefixes("ann sm"), after, 5)
        uuids += [each.uuid for each in page.contacts]
        after = page.following
        if after is None:
            return uuids
