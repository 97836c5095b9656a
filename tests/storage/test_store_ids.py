"""Ids allocated twice, after a failover or a restore that lost the sequence's last steps.

No row may be overwritten, and the store must skip all used ids in one step.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.credential import TeamId
from reachbook.service import Service, TeamKeys, WriteContext
from reachbook.storage import Store, open_store
from reachbook.storage.opening import sqlite_path
from tests.support import bulk_rows as filling
from tests.support.personas import MASTER_KEY
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

FILLED = 2000
TEAMS = 20
CONTEXT = WriteContext(TeamId(filling.TEAM), "test", "test")
PHONE = addresses.channel_type("phone")


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """A store with many contacts, each with a phone and an event, and several teams."""
    opened = await open_store(database)
    if database.startswith("sqlite"):
        filling.fill_sqlite(str(sqlite_path(database)), range(1, FILLED + 1))
    else:
        await filling.copy_postgres(database, range(1, FILLED + 1))
    for number in range(2, TEAMS + 1):
        await opened.create_team(f"Team {number}", None, filling.START)
    yield opened
    await opened.close()


async def reset_sequence(database: str, table: str, id_column: str) -> None:
    """Reset the sequence of a table to its start."""
    statement = (
        f"UPDATE sequence SET last = 0 WHERE name = '{table}'"
        if database.startswith("sqlite")
        else f"SELECT setval(pg_get_serial_sequence('{table}', '{id_column}'), 1, false)"
    )
    await sql_runner(database)(statement)


def phone(digits: str) -> ChannelInput:
    return ChannelInput(addresses.parse(PHONE, digits))


async def test_used_ids_are_skipped(store: Store, database: str) -> None:
    """For each table with ids allocated ahead, existing rows are unchanged and a write succeeds."""
    service, last = Service(store, TeamKeys(store, (MASTER_KEY,))), filling.uuid(FILLED)
    writes: list[tuple[str, str, Callable[[], Awaitable[Any]]]] = [
        (
            "contact_channel",
            "id",
            lambda: service.channels.add(CONTEXT, last, phone("15105553344")),
        ),
        ("event", "id", lambda: service.channels.add(CONTEXT, last, phone("15105553345"))),
        ("contact", "id", lambda: service.contacts.create(CONTEXT, ContactInput())),
        ("team", "team_id", lambda: store.create_team("New team", None, filling.START)),
    ]
    for table, id_column, write in writes:
        rows = f"SELECT {id_column} AS id, {table}.* FROM {table} ORDER BY {id_column}"
        before = await sql_runner(database)(rows)
        await reset_sequence(database, table, id_column)
        for _ in range(5):  # PostgreSQL allocates growing blocks; the last has unused ids
            await store._ids.take(table)

        assert await write()

        after = await sql_runner(database)(rows)
        assert after[:-1] == before, table
        assert after[-1][0] > before[-1][0]


async def test_used_ids_of_several_channels_are_skipped(store: Store, database: str) -> None:
    """A contact is created with three channels whose ids are all used."""
    rows = "SELECT * FROM contact_channel ORDER BY id"
    before = await sql_runner(database)(rows)
    await reset_sequence(database, "contact_channel", "id")
    numbers = tuple(phone(f"1510555334{number}") for number in range(3))

    made = await Service(store, TeamKeys(store, (MASTER_KEY,))).contacts.create(
        CONTEXT, ContactInput(numbers)
    )

    assert (await sql_runner(database)(rows))[:-3] == before
    assert min(channel.id for channel in made.channels) > FILLED


async def test_each_process_skips_the_used_ids_of_its_own_block(
    store: Store, database: str
) -> None:
    """Two processes that allocated the same ids ahead add a channel each."""
    other = await open_store(database)
    await reset_sequence(database, "contact_channel", "id")
    for process in (store, other):
        for _ in range(5):
            await process._ids.take("contact_channel")

    for number, process in enumerate((store, other)):
        wanted = phone(f"1510555334{number}")
        service = Service(process, TeamKeys(process, (MASTER_KEY,)))
        await service.channels.add(CONTEXT, filling.uuid(1 + number), wanted)
    await other.close()

    assert await sql_runner(database)("SELECT count(*) FROM contact_channel") == [(FILLED + 2,)]
