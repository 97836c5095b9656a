"""The PostgreSQL pool: discarded connections, waiting callers and cached plans."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import asyncpg
import pytest

from reachbook.domain.errors import Reason, Refusal
from reachbook.metrics import Metrics
from reachbook.storage import open_store, sql
from reachbook.storage.postgres import citus
from reachbook.storage.postgres import connection as connection_module
from reachbook.storage.postgres import pool as pool_module
from reachbook.storage.postgres.connection import Connection
from reachbook.storage.postgres.pool import POOL_SIZE, Pool
from tests.support import bulk_rows

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool(shared_postgres: str) -> AsyncIterator[Pool]:
    opened = await Pool.open(shared_postgres, Metrics())
    yield opened
    await opened.close()


async def process_ids(pool: Pool) -> set[int]:
    """Return the process ids of all connections of the pool, all in use at the same time."""
    barrier = asyncio.Barrier(POOL_SIZE)

    async def backend_pid() -> int:
        async with pool.connection() as connection:
            await barrier.wait()
            return int(await connection.fetchval("SELECT pg_backend_pid()"))

    return set(await asyncio.gather(*(backend_pid() for _ in range(POOL_SIZE))))


async def cancelled_statement(pool: Pool, seconds: float) -> None:
    """Run a statement whose caller stops waiting."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds), pool.connection() as connection:
            await connection.fetchval("SELECT pg_sleep(30)")


async def timed_out_statement(pool: Pool, seconds: float) -> None:
    """Run a statement that the pool stops waiting for."""
    with pytest.raises(Refusal) as caught:
        async with pool.connection() as connection:
            await connection.fetchval("SELECT pg_sleep(30)", timeout=seconds)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE


@pytest.mark.parametrize("give_up", [cancelled_statement, timed_out_statement])
async def test_a_slow_statement_discards_one_connection(pool: Pool, give_up: object) -> None:
    assert callable(give_up)
    before = await process_ids(pool)

    await give_up(pool, 0.1)

    after = await process_ids(pool)
    assert len(before) == len(after) == POOL_SIZE
    assert len(before & after) == POOL_SIZE - 1


async def test_slow_statements_discard_only_their_connections(pool: Pool) -> None:
    before = await process_ids(pool)

    await asyncio.gather(*(cancelled_statement(pool, 0.1) for _ in range(4)))

    assert len(before & await process_ids(pool)) == POOL_SIZE - 4


async def test_connections_are_not_checked_after_all_have_responded(pool: Pool) -> None:
    await process_ids(pool)
    await cancelled_statement(pool, 0.1)
    assert pool._suspicion is not None

    await process_ids(pool)

    assert pool._suspicion is None


async def test_a_caller_cancelled_during_a_check_releases_its_connection(pool: Pool) -> None:
    await process_ids(pool)
    await cancelled_statement(pool, 0.1)

    for _ in range(2 * POOL_SIZE):
        context = asyncio.create_task(_use(pool))
        await asyncio.sleep(0)
        context.cancel()
        await asyncio.wait({context})

    assert len(await asyncio.wait_for(process_ids(pool), 5)) == POOL_SIZE


async def _use(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.fetchval("SELECT 1")


async def test_a_closed_connection_is_replaced_for_the_caller(
    pool: Pool, shared_postgres: str
) -> None:
    """A request does not fail if the server has closed the connection that it acquires."""
    ids = await process_ids(pool)
    await cancelled_statement(pool, 0.1)
    other = await Pool.open(shared_postgres, Metrics())
    async with other.connection() as connection:
        # With a time limit it returns when they have ended.
        await connection.fetch("SELECT pg_terminate_backend(unnest($1::int[]), 5000)", list(ids))
    await other.close()

    await asyncio.wait_for(asyncio.gather(*(_use(pool) for _ in range(2 * POOL_SIZE))), 5)


async def test_a_cancelled_caller_passes_its_connection_to_the_next(pool: Pool) -> None:
    """It is cancelled after the connection was assigned to it, and before it runs."""
    held = [await pool.acquire() for _ in range(POOL_SIZE)]
    first, second = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)

    pool.release(held[0])
    first.cancel()

    assert await asyncio.wait_for(second, 1) is held[0]
    assert first.cancelled()
    for connection in held:
        pool.release(connection)
    assert len(await process_ids(pool)) == POOL_SIZE


async def test_a_waiting_caller_connects_if_a_connection_was_closed(pool: Pool) -> None:
    held = [await pool.acquire() for _ in range(POOL_SIZE)]
    first, second = asyncio.create_task(pool.acquire()), asyncio.create_task(pool.acquire())
    await asyncio.sleep(0)

    held[0].raw.terminate()
    pool.release(held[0])
    first.cancel()

    connection = await asyncio.wait_for(second, 5)
    assert connection not in held
    for each in (connection, *held[1:]):
        pool.release(each)
    assert len(await process_ids(pool)) == POOL_SIZE


async def test_a_waiting_caller_is_refused_after_the_timeout(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "CONNECT_SECONDS", 0.1)
    held = [await pool.acquire() for _ in range(POOL_SIZE)]

    with pytest.raises(Refusal) as caught:
        await _use(pool)

    assert caught.value.reason is Reason.STORE_UNAVAILABLE
    for connection in held:
        pool.release(connection)
    assert len(await process_ids(pool)) == POOL_SIZE


async def test_callers_are_served_in_order(pool: Pool) -> None:
    held = [await pool.acquire() for _ in range(POOL_SIZE)]
    served: list[int] = []

    async def caller(number: int) -> None:
        async with pool.connection():
            served.append(number)

    callers = [asyncio.create_task(caller(number)) for number in range(3 * POOL_SIZE)]
    await asyncio.sleep(0)
    for connection in held:
        pool.release(connection)
    await asyncio.wait_for(asyncio.gather(*callers), 5)

    assert served == list(range(3 * POOL_SIZE))


async def rows_read(connection: Connection) -> int:
    """Return the number of contacts that statements have read by an index."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    counted = "SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'contact'"
    return int(await connection.fetchval(counted))


async def test_statements_are_planned_again_after_a_table_has_grown(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL caches the plan that it made while the table was empty."""
    monkeypatch.setattr(connection_module, "FIRST_PLAN_SECONDS", 0.0)
    store = await open_store(empty_postgres)
    await store.migrate()
    opened = await Pool.open(empty_postgres, Metrics())
    look_up = sql.statements("postgres")["channel_list"]
    async with opened.connection() as connection:
        await connection.fetch(look_up, 1, bulk_rows.uuid(1))
    await bulk_rows.copy_postgres(empty_postgres, range(1, 3001))

    async with opened.connection() as connection:
        before = await rows_read(connection)
        assert len(await connection.fetch(look_up, 1, bulk_rows.uuid(1))) == 1
        assert await rows_read(connection) - before < 10

    await opened.close()
    await store.close()


async def test_plans_are_renewed_more_often_after_a_pause(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(connection_module, "time", SimpleNamespace(monotonic=lambda: now))
    uses = []
    async with pool.connection() as connection:
        for pause in (*[0.3] * 60, 60.0, *[0.3] * 5):
            now += pause
            planned = connection._planned
            await connection.discard_old_plans()
            if connection._planned != planned:
                uses.append(connection._plan_seconds)

    assert uses == [1.0, 2.0, 4.0, 5.0, 5.0, 0.5, 1.0]


async def test_a_statement_is_prepared_again_after_a_migration(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute("CREATE TEMPORARY TABLE changing (value int)")
        await connection.fetch("SELECT * FROM changing")
        await connection.execute("ALTER TABLE changing ALTER COLUMN value TYPE text")
        with pytest.raises(asyncpg.InvalidCachedStatementError):
            await connection.fetch("SELECT * FROM changing")

        assert await connection.fetch("SELECT * FROM changing") == []


async def test_an_internal_error_of_postgresql_is_store_unavailable(pool: Pool) -> None:
    """Citus reports a lost worker as XX000."""
    with pytest.raises(Refusal) as caught:
        async with pool.connection() as connection:
            await connection.execute(
                "DO $$ BEGIN RAISE EXCEPTION 'failure on connection marked as essential' "
                "USING ERRCODE = 'XX000'; END $$"
            )

    assert caught.value.reason is Reason.STORE_UNAVAILABLE


async def test_close_closes_connections_in_use(shared_postgres: str) -> None:
    opened = await Pool.open(shared_postgres, Metrics())
    used = await opened.acquire()

    await asyncio.wait_for(opened.close(), 3)

    assert used.raw.is_closed()
    with pytest.raises(Refusal):
        await _use(opened)


async def test_sessions_on_citus_use_custom_plans(
    shared_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Citus chooses the shard by the value of team_id. Only the detection of Citus is replaced."""

    async def is_installed(_connection: Connection) -> bool:
        return True

    monkeypatch.setattr(citus, "is_installed", is_installed)
    opened = await Pool.open(shared_postgres, Metrics())
    async with opened.connection() as first, opened.connection() as second:
        modes = [await each.fetchval("SHOW plan_cache_mode") for each in (first, second)]
    await opened.close()

    assert opened.has_citus
    assert modes == ["force_custom_plan"] * 2
