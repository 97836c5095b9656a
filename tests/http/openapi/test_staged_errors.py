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
"""What takes more than a request; each has a test here."""

OF_THE_SOCKET = {Reason.MALFORMED_REQUEST, Reason.TOO_MANY_CONNECTIONS, Reason.STOPPING}
"""Said before there is a request (server/protocol.py), or when the process ends before it does."""

LIST = "/v2/contacts/list"


@pytest.fixture
async def prepared(api: Api) -> PreparedApi:
    return await set_up(api)


async def test_a_used_up_allowance_is_described(database: str) -> None:
    async with open_api(database, per_minute=1) as api:
        prepared = PreparedApi(api, NOBODY, {}, api.charlie, {})
        await api.request("GET", "/v1/team")

        heard = await said(prepared, prepared.calls())

    assert heard == declared(Reason.TOO_MANY_REQUESTS)


async def test_a_bug_is_described(prepared: PreparedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RequestContext", "PublicRequest"):
        monkeypatch.setattr(operation, name, None)

    assert await said(prepared, prepared.calls()) == declared(Reason.BUG)


async def test_a_store_that_is_gone_is_described(postgres: str, empty_postgres: str) -> None:
    store = await open_store(empty_postgres)
    await store.migrate()
    await store.close()
    async with open_api(empty_postgres) as api:
        prepared = PreparedApi(api, NOBODY, {}, api.charlie, {})
        await execute(postgres, f"DROP DATABASE {urlsplit(empty_postgres).path[1:]} WITH (FORCE)")

        heard = await said(prepared, prepared.calls())

    assert heard == declared(Reason.STORE_UNAVAILABLE)


async def test_a_contact_that_others_hold_is_described(shared_postgres: str) -> None:
    """On PostgreSQL, as SQLite writes in turn."""
    async with open_api(shared_postgres) as api:
        prepared = await set_up(api)
        calls = [one for one in await on_new_contacts(prepared) if one.name != UNSUPPRESSED]
        other = await asyncpg.connect(shared_postgres)
        async with other.transaction():
            await other.execute("LOCK TABLE contact, contact_channel IN EXCLUSIVE MODE")
            heard = await heard_at_once(prepared, calls)
        await other.close()

    assert heard == {told for told in declared(Reason.CONTENDED) if told[0] not in NOT_CONTENDED}


UNSUPPRESSED = "resolve_end_suppression"
NOT_CONTENDED = {"contacts_write_many", "channel_detail_make_primary", UNSUPPRESSED}
"""Of many rows each fails alone; the channel is the primary one already; and no address can be
suppressed before the request while the tables are locked.
"""


async def test_a_store_of_another_release_is_described(database: str) -> None:
    """One that has not been migrated yet."""
    async with open_api(database) as api:
        prepared = await set_up(api)
        calls = await on_new_contacts(prepared)
        await execute(database, "DELETE FROM schema_version WHERE version > 1")
        await execute(database, "UPDATE store_info SET value = 1 WHERE name = 'identity_version'")
        api.store.has_current_identities = False

        assert await said(prepared, calls) == declared(Reason.STORE_UNFIT)


async def test_a_team_that_is_gone_is_described(
    prepared: PreparedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing deletes a team; this is what a caller sees whose team was taken by hand."""
    monkeypatch.setattr(authentication, "TRUSTED_SECONDS", 60)
    team = [
        call for call in prepared.calls(by=prepared.american.by_key()) if call.path == "/v1/team"
    ]
    assert await said(prepared, team) == set()
    number = prepared.american.team.team_id
    await execute(prepared.api.database, f"DELETE FROM team WHERE team_id = {number}")

    assert await said(prepared, team) == declared(Reason.NO_TEAM)


async def test_a_date_that_too_many_share_is_described(prepared: PreparedApi) -> None:
    await plant_many(prepared.api, 5001, start=0, step=100)
    date = "2026-01-02T10:00:00Z"
    calls = [replace(call, body={"date": date}) for call in prepared.calls() if call.path == LIST]

    assert await said(prepared, calls) == declared(Reason.DATE_TOO_COARSE)


HELD, HELD_NAME = "held", "Idempotency-Key"
CONNECTIONS = 8


async def test_a_key_that_is_in_use_is_described(shared_postgres: str) -> None:
    """Another request with the key has not ended: on PostgreSQL, as SQLite writes in turn."""
    async with open_api(shared_postgres) as api:
        prepared = await set_up(api)
        by = {**api.bob.by_key(), "idempotency-key": HELD}
        calls = [
            call for call in await on_new_contacts(prepared, by) if HELD_NAME in call.parameters
        ]
        async with in_use(shared_postgres, api.bob.team.team_id):
            heard = await heard_at_once(prepared, calls)

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


def batched(calls: list[Call], size: int) -> Iterator[list[Call]]:
    """As many at a time as find a connection."""
    for start in range(0, len(calls), size):
        yield calls[start : start + size]


def test_every_reason_has_been_on_the_tour() -> None:
    toured = {*PROVOKE, *STAGED, *OF_THE_SOCKET}

    assert {code for _, code in DESCRIPTION.reasons()} == {one.code for one in toured}


async def heard_at_once(prepared: PreparedApi, calls: list[Call]) -> set[tuple[str, str]]:
    """What is said to many, as many at a time as can have a connection each."""
    heard: set[tuple[str, str]] = set()
    for some in batched(calls, CONNECTIONS):
        for told in await asyncio.gather(*(said(prepared, [call]) for call in some)):
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
