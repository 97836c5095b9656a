"""The PostgreSQL pool: which connections are discarded, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from reachbook.domain.errors import Reason, Refusal
from reachbook.metrics import Metrics
from reachbook.storage.postgres.pool import POOL_SIZE, Pool

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool(shared_postgres: str) -> AsyncIterator[Pool]:
    opened = await Pool.open(shared_postgres, Metrics())
    yield opened
    await opened.close()


async def process_ids(pool: Pool) -> set[int]:
    """The process ids of as many connections as the pool has, all in use at once."""
    together = asyncio.Barrier(POOL_SIZE)

    async def one() -> int:
        async with pool.connection() as connection:
            await together.wait()
            return int(await connection.fetchval("SELECT pg_backend_pid()"))

    return set(await asyncio.gather(*(one() for _ in range(POOL_SIZE))))


async def given_up(pool: Pool, seconds: float) -> None:
    """A statement whose caller stops waiting."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds), pool.connection() as connection:
            await connection.fetchval("SELECT pg_sleep(30)")


async def refused_for_its_time(pool: Pool, seconds: float) -> None:
    """A statement that the pool itself stops waiting for."""
    with pytest.raises(Refusal) as caught:
        async with pool.connection() as connection:
            await connection.fetchval("SELECT pg_sleep(30)", timeout=seconds)
    assert caught.value.reason is Reason.STORE_UNAVAILABLE


@pytest.mark.parametrize("give_up", [given_up, refused_for_its_time])
async def test_one_slow_statement_costs_one_connection(pool: Pool, give_up: object) -> None:
    assert callable(give_up)
    before = await process_ids(pool)

    await give_up(pool, 0.1)

    after = await process_ids(pool)
    assert len(before) == len(after) == POOL_SIZE
    assert len(before & after) == POOL_SIZE - 1


async def test_many_slow_statements_cost_no_more_than_themselves(pool: Pool) -> None:
    before = await process_ids(pool)

    await asyncio.gather(*(given_up(pool, 0.1) for _ in range(4)))

    assert len(before & await process_ids(pool)) == POOL_SIZE - 4


async def test_once_every_connection_has_answered_none_is_asked_again(pool: Pool) -> None:
    await process_ids(pool)
    await given_up(pool, 0.1)
    assert pool._suspicion is not None

    await process_ids(pool)

    assert pool._suspicion is None


async def test_a_caller_that_leaves_while_a_connection_is_asked_keeps_none(pool: Pool) -> None:
    await process_ids(pool)
    await given_up(pool, 0.1)

    for _ in range(2 * POOL_SIZE):
        context = asyncio.create_task(_use(pool))
        await asyncio.sleep(0)
        context.cancel()
        await asyncio.wait({context})

    assert len(await asyncio.wait_for(process_ids(pool), 5)) == POOL_SIZE


async def _use(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.fetchval("SELECT 1")


async def test_a_server_that_ends_a_connection_is_asked_on_another(
    pool: Pool, shared_postgres: str
) -> None:
    """A request does not fail if the connection that it acquires is closed."""
    ids = await process_ids(pool)
    await given_up(pool, 0.1)
    other = await Pool.open(shared_postgres, Metrics())
    async with other.connection() as connection:
        # With a time limit it returns when they have ended.
        await connection.fetch("SELECT pg_terminate_backend(unnest($1::int[]), 5000)", list(ids))
    await other.close()

    await asyncio.wait_for(asyncio.gather(*(_use(pool) for _ in range(2 * POOL_SIZE))), 5)
