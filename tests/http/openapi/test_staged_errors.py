"""Refusals that take more than a request: a full allowance, a store that is away, a key in use."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from urllib.parse import urlsplit

import asyncpg
import pytest

from reachbook.domain.errors import Reason
from reachbook.http import operation
from reachbook.service import authentication
from reachbook.storage import open_store
from tests.support.dated_contacts import plant_many
from tests.support.openapi import Ask
from tests.support.openapi_walk import (
    DESCRIPTION,
    PROVOKE,
    Stage,
    declared,
    on_new_contacts,
    said,
    set_up,
)
from tests.support.personas import NOBODY, Book, open_book

pytestmark = pytest.mark.anyio

STAGED = {
    *(Reason.TOO_MANY_REQUESTS, Reason.BUG, Reason.NO_TEAM, Reason.IN_PROGRESS),
    *(Reason.STORE_UNAVAILABLE, Reason.STORE_UNFIT, Reason.CONTENDED, Reason.DATE_TOO_COARSE),
}
"""What takes more than a request; each has a test here."""

OF_THE_SOCKET = {Reason.MALFORMED_REQUEST, Reason.TOO_MANY_CONNECTIONS, Reason.STOPPING}
"""Said before there is a request (server/protocol.py), or when the process ends before it does."""

LIST = "/v2/contacts/list"


@pytest.fixture
async def stage(book: Book) -> Stage:
    return await set_up(book)


async def test_a_used_up_allowance_is_described(database: str) -> None:
    async with open_book(database, per_minute=1) as book:
        stage = Stage(book, NOBODY, {}, book.charlie, {})
        await book.ask("GET", "/v1/team")

        heard = await said(stage, stage.asks())

    assert heard == declared(Reason.TOO_MANY_REQUESTS)


async def test_a_bug_is_described(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RequestContext", "PublicRequest"):
        monkeypatch.setattr(operation, name, None)

    assert await said(stage, stage.asks()) == declared(Reason.BUG)


async def test_a_store_that_is_gone_is_described(postgres: str, empty_postgres: str) -> None:
    store = await open_store(empty_postgres)
    await store.migrate()
    await store.close()
    async with open_book(empty_postgres) as book:
        stage = Stage(book, NOBODY, {}, book.charlie, {})
        await execute(postgres, f"DROP DATABASE {urlsplit(empty_postgres).path[1:]} WITH (FORCE)")

        heard = await said(stage, stage.asks())

    assert heard == declared(Reason.STORE_UNAVAILABLE)


async def test_a_contact_that_others_hold_is_described(shared_postgres: str) -> None:
    """On PostgreSQL, as SQLite writes in turn."""
    async with open_book(shared_postgres) as book:
        stage = await set_up(book)
        asks = [one for one in await on_new_contacts(stage) if one.name != UNSUPPRESSED]
        other = await asyncpg.connect(shared_postgres)
        async with other.transaction():
            await other.execute("LOCK TABLE contact, contact_channel IN EXCLUSIVE MODE")
            heard = await heard_at_once(stage, asks)
        await other.close()

    assert heard == {told for told in declared(Reason.CONTENDED) if told[0] not in NOT_CONTENDED}


UNSUPPRESSED = "resolve_end_suppression"
NOT_CONTENDED = {"contacts_write_many", "channel_detail_make_primary", UNSUPPRESSED}
"""Of many rows each fails alone; the channel is the primary one already; and no address can be
suppressed before the request while the tables are locked.
"""


async def test_a_store_of_another_release_is_described(database: str) -> None:
    """One that has not been migrated yet."""
    async with open_book(database) as book:
        stage = await set_up(book)
        asks = await on_new_contacts(stage)
        await execute(database, "DELETE FROM schema_version WHERE version > 1")
        await execute(database, "UPDATE store_info SET value = 1 WHERE name = 'identity_version'")
        book.store.has_current_identities = False

        assert await said(stage, asks) == declared(Reason.STORE_UNFIT)


async def test_a_team_that_is_gone_is_described(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing deletes a team; this is what a caller sees whose team was taken by hand."""
    monkeypatch.setattr(authentication, "TRUSTED_SECONDS", 60)
    team = [ask for ask in stage.asks(by=stage.american.by_key()) if ask.path == "/v1/team"]
    assert await said(stage, team) == set()
    number = stage.american.team.team_id
    await execute(stage.book.database, f"DELETE FROM team WHERE team_id = {number}")

    assert await said(stage, team) == declared(Reason.NO_TEAM)


async def test_a_date_that_too_many_share_is_described(stage: Stage) -> None:
    await plant_many(stage.book, 5001, start=0, step=100)
    date = "2026-01-02T10:00:00Z"
    asks = [replace(ask, body={"date": date}) for ask in stage.asks() if ask.path == LIST]

    assert await said(stage, asks) == declared(Reason.DATE_TOO_COARSE)


HELD, HELD_NAME = "held", "Idempotency-Key"
CONNECTIONS = 8


async def test_a_key_that_is_in_use_is_described(shared_postgres: str) -> None:
    """Another request with the key has not ended: on PostgreSQL, as SQLite writes in turn."""
    async with open_book(shared_postgres) as book:
        stage = await set_up(book)
        by = {**book.bob.by_key(), "idempotency-key": HELD}
        asks = [ask for ask in await on_new_contacts(stage, by) if HELD_NAME in ask.parameters]
        async with in_use(shared_postgres, book.bob.team.team_id):
            heard = await heard_at_once(stage, asks)

    assert heard == declared(Reason.IN_PROGRESS)


@asynccontextmanager
async def in_use(url: str, team_id: int) -> AsyncIterator[None]:
    """The key is used by a commit that does not end."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO idempotency"
                " (team_id, key, request_hash, status, headers, body, created)"
                " VALUES ($1, $2, $3, 200, '[]', $3, 0)",
                team_id,
                HELD,
                b"",
            )
            yield
    finally:
        await connection.close()


def batched(asks: list[Ask], size: int) -> Iterator[list[Ask]]:
    """As many at a time as find a connection."""
    for start in range(0, len(asks), size):
        yield asks[start : start + size]


def test_every_reason_has_been_on_the_tour() -> None:
    toured = {*PROVOKE, *STAGED, *OF_THE_SOCKET}

    assert {code for _, code in DESCRIPTION.reasons()} == {one.code for one in toured}


async def heard_at_once(stage: Stage, asks: list[Ask]) -> set[tuple[str, str]]:
    """What is said to many, as many at a time as can have a connection each."""
    heard: set[tuple[str, str]] = set()
    for some in batched(asks, CONNECTIONS):
        for told in await asyncio.gather(*(said(stage, [ask]) for ask in some)):
            heard |= told
    return heard


async def execute(url: str, statement: str) -> None:
    """A statement by hand, past every foreign key."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            file.execute(statement)
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute(statement)
    finally:
        await connection.close()
