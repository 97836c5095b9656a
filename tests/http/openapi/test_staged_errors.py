"""Errors that need a prepared state: a spent rate limit, an unavailable store, a key in use."""

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
from tests.support.openapi import Call
from tests.support.openapi_walk import (
    DESCRIPTION,
    PROVOKE,
    PreparedApi,
    declared,
    on_new_contacts,
    said,
    set_up,
)
from tests.support.personas import NOBODY, Api, open_api

pytestmark = pytest.mark.anyio

STAGED = {
    *(Reason.TOO_MANY_REQUESTS, Reason.BUG, Reason.NO_TEAM, Reason.IN_PROGRESS),
    *(Reason.STORE_UNAVAILABLE, Reason.STORE_UNFIT, Reason.CONTENDED, Reason.DATE_TOO_COARSE),
}
"""Errors that no single request causes; each has a test in this module."""

SOCKET_ERRORS = {Reason.MALFORMED_REQUEST, Reason.TOO_MANY_CONNECTIONS, Reason.STOPPING}
"""Errors that are sent before a request is parsed (server/protocol.py) or when the process ends."""

LIST = "/v2/contacts/list"


@pytest.fixture
async def prepared(api: Api) -> PreparedApi:
    return await set_up(api)


async def test_an_exceeded_rate_limit_is_described(database: str) -> None:
    async with open_api(database, per_minute=1) as api:
        prepared = PreparedApi(api, NOBODY, {}, api.charlie, {})
        await api.request("GET", "/v1/team")

        received = await said(prepared, prepared.calls())

    assert received == declared(Reason.TOO_MANY_REQUESTS)


async def test_a_bug_is_described(prepared: PreparedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RequestContext", "PublicRequest"):
        monkeypatch.setattr(operation, name, None)

    assert await said(prepared, prepared.calls()) == declared(Reason.BUG)


async def test_an_unavailable_store_is_described(postgres: str, empty_postgres: str) -> None:
    store = await open_store(empty_postgres)
    await store.migrate()
    await store.close()
    async with open_api(empty_postgres) as api:
        prepared = PreparedApi(api, NOBODY, {}, api.charlie, {})
        await execute(postgres, f"DROP DATABASE {urlsplit(empty_postgres).path[1:]} WITH (FORCE)")

        received = await said(prepared, prepared.calls())

    assert received == declared(Reason.STORE_UNAVAILABLE)


async def test_a_locked_contact_is_described(shared_postgres: str) -> None:
    """On PostgreSQL only, because SQLite has a single writer."""
    async with open_api(shared_postgres) as api:
        prepared = await set_up(api)
        calls = [call for call in await on_new_contacts(prepared) if call.name != UNSUPPRESSED]
        other = await asyncpg.connect(shared_postgres)
        async with other.transaction():
            await other.execute("LOCK TABLE contact, contact_channel IN EXCLUSIVE MODE")
            received = await send_in_batches(prepared, calls)
        await other.close()

    assert received == {
        error for error in declared(Reason.CONTENDED) if error[0] not in NOT_CONTENDED
    }


UNSUPPRESSED = "resolve_end_suppression"
NOT_CONTENDED = {"contacts_write_many", "channel_detail_make_primary", UNSUPPRESSED}
"""In a bulk write each row fails alone; the channel is primary already; and an address cannot be
suppressed before the request while the tables are locked.
"""


async def test_a_store_with_an_old_schema_is_described(database: str) -> None:
    """The store has not been migrated."""
    async with open_api(database) as api:
        prepared = await set_up(api)
        calls = await on_new_contacts(prepared)
        await execute(database, "DELETE FROM schema_version WHERE version > 1")
        await execute(database, "UPDATE store_info SET value = 1 WHERE name = 'identity_version'")
        api.store.has_current_identities = False

        assert await said(prepared, calls) == declared(Reason.STORE_UNFIT)


async def test_a_deleted_team_is_described(
    prepared: PreparedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No operation deletes a team; its row is deleted by SQL."""
    monkeypatch.setattr(authentication, "TRUSTED_SECONDS", 60)
    team = [
        call for call in prepared.calls(by=prepared.american.by_key()) if call.path == "/v1/team"
    ]
    assert await said(prepared, team) == set()
    number = prepared.american.team.team_id
    await execute(prepared.api.database, f"DELETE FROM team WHERE team_id = {number}")

    assert await said(prepared, team) == declared(Reason.NO_TEAM)


async def test_a_date_of_too_many_contacts_is_described(prepared: PreparedApi) -> None:
    await plant_many(prepared.api, 5001, start=0, step=100)
    date = "2026-01-02T10:00:00Z"
    calls = [replace(call, body={"date": date}) for call in prepared.calls() if call.path == LIST]

    assert await said(prepared, calls) == declared(Reason.DATE_TOO_COARSE)


KEY, KEY_HEADER = "held", "Idempotency-Key"
CONNECTIONS = 8


async def test_a_key_that_is_in_use_is_described(shared_postgres: str) -> None:
    """Another request with the key has not ended; on PostgreSQL only, see above."""
    async with open_api(shared_postgres) as api:
        prepared = await set_up(api)
        by = {**api.bob.by_key(), "idempotency-key": KEY}
        calls = [
            call for call in await on_new_contacts(prepared, by) if KEY_HEADER in call.parameters
        ]
        async with key_in_use(shared_postgres, api.bob.team.team_id):
            received = await send_in_batches(prepared, calls)

    assert received == declared(Reason.IN_PROGRESS)


@asynccontextmanager
async def key_in_use(url: str, team_id: int) -> AsyncIterator[None]:
    """Holds the key in a transaction that does not end."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(
                "INSERT INTO idempotency"
                " (team_id, key, request_hash, status, headers, body, created)"
                " VALUES ($1, $2, $3, 200, '[]', $3, 0)",
                team_id,
                KEY,
                b"",
            )
            yield
    finally:
        await connection.close()


def batched(calls: list[Call], size: int) -> Iterator[list[Call]]:
    """Yields the calls in batches."""
    for start in range(0, len(calls), size):
        yield calls[start : start + size]


def test_every_described_reason_is_tested() -> None:
    tested = {*PROVOKE, *STAGED, *SOCKET_ERRORS}

    assert {code for _, code in DESCRIPTION.reasons()} == {reason.code for reason in tested}


async def send_in_batches(prepared: PreparedApi, calls: list[Call]) -> set[tuple[str, str]]:
    """Returns the errors of all calls; a batch of calls is sent at once, on a connection each."""
    received: set[tuple[str, str]] = set()
    for batch in batched(calls, CONNECTIONS):
        for errors in await asyncio.gather(*(said(prepared, [call]) for call in batch)):
            received |= errors
    return received


async def execute(url: str, statement: str) -> None:
    """Executes a statement without checking foreign keys."""
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
