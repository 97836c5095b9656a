"""SQLite's scans: they run in a thread, one at a time, and one that is given up ends soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reachbook.domain.errors import Reason, Refusal
from reachbook.metrics import Metrics
from reachbook.storage.sqlite.engine import Sqlite
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

FOREVER = (
    "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) "
    "SELECT count(*) FROM number"
)
AGES, MOMENT = 5 * 10**7, 1000  # some seconds, and next to nothing


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Sqlite]:
    opened = await Sqlite.open(tmp_path / "reachbook.db", Metrics())
    opened._sql["count_to"] = FOREVER
    yield opened
    await opened.close()


async def given_up(engine: Sqlite, after: float = 0.1) -> None:
    """A long scan whose caller stops waiting."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(after):
            await engine.scan("count_to", AGES)


async def test_scans_after_one_that_was_given_up_are_answered(engine: Sqlite) -> None:
    for after in (0.0, 0.001, 0.05, 0.1):
        await given_up(engine, after)
        began = time.monotonic()

        answers = await asyncio.gather(*(engine.scan("count_to", MOMENT + n) for n in range(5)))

        assert [rows[0][0] for rows in answers] == [MOMENT + n for n in range(5)]
        assert time.monotonic() - began < 2


async def test_a_scan_that_waits_for_its_turn_can_be_given_up(engine: Sqlite) -> None:
    long = asyncio.create_task(engine.scan("count_to", AGES))
    await asyncio.sleep(0.02)
    await given_up(engine, 0.02)
    long.cancel()

    assert await engine.scan("count_to", MOMENT) == [(MOMENT,)]


async def test_many_that_give_up_at_once_harm_no_other(engine: Sqlite) -> None:
    """Only the scan whose caller left is interrupted."""

    async def send(number: int) -> int:
        if number % 2:
            await given_up(engine, 0.01 * number)
            return 0
        return int((await engine.scan("count_to", 20_000 + number))[0][0])

    answers = await asyncio.gather(*(send(number) for number in range(10)))

    assert answers == [0 if number % 2 else 20_000 + number for number in range(10)]


async def test_reads_and_writes_go_on_beside_a_scan(engine: Sqlite) -> None:
    long = asyncio.create_task(engine.scan("count_to", AGES))
    await asyncio.sleep(0.02)

    assert await engine.read("ping") is not None
    assert await engine.reserve_ids("contact", 2) == [1, 2]
    long.cancel()


async def test_closing_ends_a_scan(tmp_path: Path) -> None:
    """The running and the waiting scan are refused; neither is a 500."""
    engine = await Sqlite.open(tmp_path / "reachbook.db", Metrics())
    engine._sql["count_to"] = FOREVER
    scans = [asyncio.create_task(engine.scan("count_to", AGES)) for _ in range(2)]
    await asyncio.sleep(0.05)
    began = time.monotonic()

    await engine.close()

    assert time.monotonic() - began < 1
    outcomes = await asyncio.gather(*scans, return_exceptions=True)
    outcomes.append(await refused(engine))
    for outcome in outcomes:
        assert isinstance(outcome, Refusal)
        assert outcome.reason is Reason.STORE_UNAVAILABLE
        assert "being closed" in outcome.message


async def refused(engine: Sqlite) -> BaseException:
    with pytest.raises(Refusal) as caught:
        await engine.read("ping")
    return caught.value


async def test_closing_after_a_scan_was_given_up_leaves_no_thread(tmp_path: Path) -> None:
    engine = await Sqlite.open(tmp_path / "reachbook.db", Metrics())
    engine._sql["count_to"] = FOREVER
    await given_up(engine)

    await engine.close()

    loop = asyncio.get_running_loop()
    await asyncio.wait_for(loop.shutdown_default_executor(), 2)
    loop.set_default_executor(ThreadPoolExecutor())


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_a_list_that_was_given_up_costs_another_team_nothing(api: Api) -> None:
    engine = api.store.engine
    assert isinstance(engine, Sqlite)
    statement = engine._sql["contacts_before"]
    # It has the same eight parameters.
    endless = FOREVER.replace("?1", str(AGES))
    engine._sql["contacts_before"] = f"{endless} WHERE ?1 + ?2 + ?3 + ?4 + ?5 + ?6 + ?7 + ?8 > 0"
    async with asyncio.timeout(0.1):
        given_up = await api.request("POST", "/v2/contacts/list", {})
    engine._sql["contacts_before"] = statement

    asked = [
        api.request("POST", "/v2/contacts/list", {}, by=api.charlie.by_key()) for _ in range(5)
    ]
    answers = await asyncio.gather(*asked)

    assert given_up.status_code == 503
    assert [(one.status_code, one.json()) for one in answers] == [(200, [])] * 5


async def test_a_count_holds_up_no_scan(engine: Sqlite) -> None:
    counting = asyncio.create_task(engine.count("count_to", AGES))
    await asyncio.sleep(0.05)
    began = time.monotonic()

    assert await engine.scan("count_to", MOMENT) == [(MOMENT,)]
    assert time.monotonic() - began < 1
    assert not counting.done()
    counting.cancel()
