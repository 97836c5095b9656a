"""The writer thread groups waiting jobs into one transaction, and each job is atomic."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from reachbook.domain.errors import Reason, Refusal
from reachbook.metrics import Metrics
from reachbook.storage.engine import UniqueViolationError
from reachbook.storage.sqlite.writer import MAX_GROUPED_WRITES, Writer

pytestmark = pytest.mark.anyio

Job = Callable[[apsw.Connection], int]


class WriterHarness:
    """A writer on a file, with its transactions counted, and a second connection to observe."""

    def __init__(self, path: Path) -> None:
        connection = apsw.Connection(str(path))
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA foreign_keys=ON",
            "CREATE TABLE number (n INTEGER PRIMARY KEY) STRICT",
            "CREATE TABLE child (n INTEGER NOT NULL REFERENCES number (n)) STRICT",
        ):
            connection.execute(statement)
        self.commits = 0
        connection.set_commit_hook(self._count)
        self.connection = connection
        self.writer = Writer(connection, Metrics())
        self.observer = apsw.Connection(str(path))

    def _count(self) -> bool:
        self.commits += 1
        return False

    def numbers(self) -> list[int]:
        return [row[0] for row in self.observer.execute("SELECT n FROM number ORDER BY n")]

    async def run_together(self, *jobs: Job) -> list[object]:
        """Run jobs that wait at the same time, because the writer is busy until all are queued."""
        gate = threading.Event()
        holder = asyncio.create_task(self.writer.run(lambda _: gate.wait(10)))
        await asyncio.sleep(0.02)
        waiting = [asyncio.create_task(self.writer.run(job)) for job in jobs]
        await asyncio.sleep(0.02)
        gate.set()
        assert await holder
        return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[WriterHarness]:
    harness = WriterHarness(tmp_path / "bench.db")
    yield harness
    harness.writer.close()
    harness.observer.close()


def insert(number: int) -> Job:
    def job(connection: apsw.Connection) -> int:
        connection.execute("INSERT INTO number VALUES (?)", (number,))
        return number

    return job


def insert_and_raise(number: int, error: Exception) -> Job:
    def job(connection: apsw.Connection) -> int:
        insert(number)(connection)
        raise error

    return job


def insert_orphan(connection: apsw.Connection) -> int:
    """A job that succeeds, but whose transaction cannot be committed."""
    connection.execute("PRAGMA defer_foreign_keys=ON")
    connection.execute("INSERT INTO child VALUES (4711)")
    return 0


def is_unavailable(outcome: object) -> bool:
    return isinstance(outcome, Refusal) and outcome.reason is Reason.STORE_UNAVAILABLE


async def test_a_result_is_returned_after_its_commit(harness: WriterHarness) -> None:
    assert await harness.writer.run(insert(7)) == 7
    assert harness.numbers() == [7]


async def test_waiting_jobs_share_a_transaction(harness: WriterHarness) -> None:
    outcomes = await harness.run_together(*(insert(number) for number in range(100)))

    assert outcomes == list(range(100))
    assert harness.numbers() == list(range(100))
    assert harness.commits == 2  # that of the job that kept the writer busy, and theirs


async def test_the_number_of_jobs_in_a_transaction_is_limited(harness: WriterHarness) -> None:
    await harness.run_together(*(insert(number) for number in range(MAX_GROUPED_WRITES + 1)))

    assert harness.commits == 3
    assert len(harness.numbers()) == MAX_GROUPED_WRITES + 1


async def test_concurrent_callers_share_transactions(harness: WriterHarness) -> None:
    async def send(first: int) -> None:
        for number in range(first, first + 20):
            await harness.writer.run(insert(number))

    await asyncio.gather(*(send(first) for first in range(0, 1000, 20)))

    assert harness.numbers() == list(range(1000))
    assert harness.commits < 500


async def test_a_failed_job_does_not_affect_the_others(harness: WriterHarness) -> None:
    bug = ValueError("a bug")
    outcomes = await harness.run_together(
        insert(1), insert_and_raise(2, bug), insert(3), insert(1), insert(4)
    )

    assert [outcomes[index] for index in (0, 2, 4)] == [1, 3, 4]
    assert outcomes[1] is bug
    assert isinstance(outcomes[3], UniqueViolationError)
    assert harness.numbers() == [1, 3, 4]


async def test_a_refusal_is_raised_to_its_caller(harness: WriterHarness) -> None:
    refusal = Refusal(Reason.NO_CHANNEL, "No.", retry_after=3)
    [outcome, other] = await harness.run_together(insert_and_raise(1, refusal), insert(2))

    assert isinstance(outcome, Refusal)
    assert (outcome.reason, outcome.message, outcome.retry_after) == (refusal.reason, "No.", 3)
    assert other == 2
    assert harness.numbers() == [2]


async def test_a_refusal_has_its_fields_and_facts(harness: WriterHarness) -> None:
    """Without them a 409 response would not name the conflicting contact."""
    refusal = Refusal(Reason.SEVERAL, "Many.", fields={"a": "b"}, facts={"channels": (1, 2)})
    [outcome] = await harness.run_together(insert_and_raise(1, refusal))

    assert isinstance(outcome, Refusal)
    assert (outcome.fields, outcome.facts) == (refusal.fields, refusal.facts)


async def test_a_failed_commit_refuses_every_job(harness: WriterHarness) -> None:
    outcomes = await harness.run_together(insert(1), insert_orphan, insert(2))

    assert len(outcomes) == 3
    assert all(is_unavailable(outcome) for outcome in outcomes)
    assert len({id(outcome) for outcome in outcomes}) == 3
    assert harness.numbers() == []
    assert await harness.writer.run(insert(3)) == 3


async def test_a_full_disk_refuses_every_job(harness: WriterHarness) -> None:
    [[pages]] = harness.connection.execute("PRAGMA page_count").fetchall()
    harness.connection.execute(f"PRAGMA max_page_count={pages}")

    def create_large_table(connection: apsw.Connection) -> int:
        connection.execute("CREATE TABLE big AS SELECT zeroblob(100000) AS x")
        return 0

    outcomes = await harness.run_together(insert(1), create_large_table, insert(2))

    assert all(is_unavailable(outcome) for outcome in outcomes)
    assert harness.numbers() == []
    assert await harness.writer.run(insert(3)) == 3


async def test_a_job_waits_for_a_locked_file(harness: WriterHarness) -> None:
    harness.connection.set_busy_timeout(5_000)
    harness.observer.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(harness.writer.run(insert(1)))
    await asyncio.sleep(0.1)
    assert not waiting.done()

    harness.observer.execute("ROLLBACK")

    assert await asyncio.wait_for(waiting, 5) == 1


async def test_a_file_locked_for_too_long_is_store_unavailable(harness: WriterHarness) -> None:
    harness.connection.set_busy_timeout(100)
    harness.observer.execute("BEGIN IMMEDIATE")

    with pytest.raises(Refusal, match="cannot answer"):
        await harness.writer.run(insert(1))

    harness.observer.execute("ROLLBACK")
    assert await harness.writer.run(insert(2)) == 2


async def test_a_cancelled_caller_does_not_stop_the_writer(harness: WriterHarness) -> None:
    gate = threading.Event()
    holder = asyncio.create_task(harness.writer.run(lambda _: gate.wait(10)))
    cancelled = asyncio.create_task(harness.writer.run(insert(1)))
    await asyncio.sleep(0.02)
    cancelled.cancel()
    gate.set()

    assert await holder
    assert await harness.writer.run(insert(2)) == 2


def test_a_closed_event_loop_does_not_stop_the_writer(tmp_path: Path) -> None:
    """For example if a command is interrupted during its write."""
    harness = WriterHarness(tmp_path / "bench.db")
    gate = threading.Event()

    async def start_and_return() -> None:
        asyncio.create_task(harness.writer.run(lambda _: gate.wait(10)))  # noqa: RUF006 - left running
        await asyncio.sleep(0.02)

    asyncio.run(start_and_return())
    gate.set()

    async def write_again() -> int:
        return await asyncio.wait_for(harness.writer.run(insert(1)), 2)

    assert asyncio.run(write_again()) == 1
    harness.writer.close()
    harness.observer.close()


def test_close_finishes_waiting_jobs(tmp_path: Path) -> None:
    harness = WriterHarness(tmp_path / "bench.db")

    async def write_and_close() -> list[int]:
        waiting = [asyncio.create_task(harness.writer.run(insert(n))) for n in range(10)]
        await asyncio.sleep(0)
        harness.writer.close()
        with pytest.raises(Refusal, match="being closed"):
            await harness.writer.run(insert(99))
        return await asyncio.gather(*waiting)

    assert asyncio.run(write_and_close()) == list(range(10))
    assert harness.numbers() == list(range(10))
    harness.observer.close()


async def test_a_single_failed_job_is_rolled_back(harness: WriterHarness) -> None:
    """A single job has no savepoint: its whole transaction is rolled back."""

    def insert_and_fail(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO number VALUES (1)")
        raise LookupError

    with pytest.raises(LookupError):
        await harness.writer.run(insert_and_fail)
    await harness.writer.run(insert(2))

    assert harness.numbers() == [2]


@pytest.mark.parametrize("others", [0, 1])
async def test_jobs_of_a_transaction_that_has_ended_are_refused(
    harness: WriterHarness, others: int
) -> None:
    """SQLite itself may roll back a transaction after some errors."""

    def end(connection: apsw.Connection) -> int:
        connection.execute("ROLLBACK")
        return 0

    outcomes = await harness.run_together(*(insert(number) for number in range(others)), end)

    assert all(isinstance(outcome, Refusal) for outcome in outcomes)
    assert harness.numbers() == []
