"""SQLite's scans run in a thread, one at a time, and a cancelled scan ends soon."""

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

COUNT_TO = (
    "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1) "
    "SELECT count(*) FROM number"
)
LONG, SHORT = 5 * 10**7, 1000  # rows: some seconds, and less than a millisecond


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Sqlite]:
    opened = await Sqlite.open(tmp_path / "reachbook.db", Metrics())
    opened._sql["count_to"] = COUNT_TO
    yield opened
    await opened.close()


async def cancel_scan(engine: Sqlite, after: float = 0.1) -> None:
    """Start a long scan, and stop waiting for it."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(after):
            await engine.scan("count_to", LONG)


async def test_scans_after_a_cancelled_scan_return(engine: Sqlite) -> None:
    for after in (0.0, 0.001, 0.05, 0.1):
        await cancel_scan(engine, after)
        start = time.monotonic()

        responses = await asyncio.gather(*(engine.scan("count_to", SHORT + n) for n in range(5)))

        assert [rows[0][0] for rows in responses] == [SHORT + n for n in range(5)]
        assert time.monotonic() - start < 2


async def test_a_waiting_scan_can_be_cancelled(engine: Sqlite) -> None:
    long = asyncio.create_task(engine.scan("count_to", LONG))
    await asyncio.sleep(0.02)
    await cancel_scan(engine, 0.02)
    long.cancel()

    assert await engine.scan("count_to", SHORT) == [(SHORT,)]


async def test_cancelled_scans_do_not_affect_others(engine: Sqlite) -> None:
    """Only the scan whose caller was cancelled is interrupted."""

    async def send(number: int) -> int:
        if number % 2:
            await cancel_scan(engine, 0.01 * number)
            return 0
        return int((await engine.scan("count_to", 20_000 + number))[0][0])

    responses = await asyncio.gather(*(send(number) for number in range(10)))

    assert responses == [0 if number % 2 else 20_000 + number for number in range(10)]


async def test_reads_and_writes_run_during_a_scan(engine: Sqlite) -> None:
    long = asyncio.create_task(engine.scan("count_to", LONG))
    await asyncio.sleep(0.02)

    assert await engine.read("ping") is not None
    assert await engine.reserve_ids("contact", 2) == [1, 2]
    long.cancel()


async def test_close_refuses_running_and_waiting_scans(tmp_path: Path) -> None:
    """They are refused with 503, not 500."""
    engine = await Sqlite.open(tmp_path / "reachbook.db", Metrics())
    engine._sql["count_to"] = COUNT_TO
    scans = [asyncio.create_task(engine.scan("count_to", LONG)) for _ in range(2)]
    await asyncio.sleep(0.05)
    start = time.monotonic()

    await engine.close()

    assert time.monotonic() - start < 1
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


async def test_close_after_a_cancelled_scan_leaves_no_thread(tmp_path: Path) -> None:
    engine = await Sqlite.open(tmp_path / "reachbook.db", Metrics())
    engine._sql["count_to"] = COUNT_TO
    await cancel_scan(engine)

    await engine.close()

    loop = asyncio.get_running_loop()
    await asyncio.wait_for(loop.shutdown_default_executor(), 2)
    loop.set_default_executor(ThreadPoolExecutor())


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_a_cancelled_list_does_not_delay_another_team(api: Api) -> None:
    engine = api.store.engine
    assert isinstance(engine, Sqlite)
    statement = engine._sql["contacts_before"]
    # It has the same eight parameters.
    endless = COUNT_TO.replace("?1", str(LONG))
    engine._sql["contacts_before"] = f"{endless} WHERE ?1 + ?2 + ?3 + ?4 + ?5 + ?6 + ?7 + ?8 > 0"
    async with asyncio.timeout(0.1):
        cancelled_response = await api.request("POST", "/v2/contacts/list", {})
    engine._sql["contacts_before"] = statement

    requests = [
        api.request("POST", "/v2/contacts/list", {}, by=api.charlie.by_key()) for _ in range(5)
    ]
    responses = await asyncio.gather(*requests)

    assert cancelled_response.status_code == 503
    assert [(response.status_code, response.json()) for response in responses] == [(200, [])] * 5


async def test_a_count_does_not_delay_a_scan(engine: Sqlite) -> None:
    counting = asyncio.create_task(engine.count("count_to", LONG))
    await asyncio.sleep(0.05)
    start = time.monotonic()

    assert await engine.scan("count_to", SHORT) == [(SHORT,)]
    assert time.monotonic() - start < 1
    assert not counting.done()
    counting.cancel()
