"""The writer thread: what waits together is one transaction, and each job is all or nothing."""

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


class Bench:
    """A writer on a real file, its transactions counted, and a second connection to look on."""

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
        self.onlooker = apsw.Connection(str(path))

    def _count(self) -> bool:
        self.commits += 1
        return False

    def numbers(self) -> list[int]:
        return [row[0] for row in self.onlooker.execute("SELECT n FROM number ORDER BY n")]

    async def together(self, *jobs: Job) -> list[object]:
        """Jobs that wait together, because the writer is busy until they all do."""
        gate = threading.Event()
        holder = asyncio.create_task(self.writer.run(lambda _: gate.wait(10)))
        await asyncio.sleep(0.02)
        waiting = [asyncio.create_task(self.writer.run(job)) for job in jobs]
        await asyncio.sleep(0.02)
        gate.set()
        assert await holder
        return await asyncio.gather(*waiting, return_exceptions=True)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(tmp_path / "bench.db")
    yield bench
    bench.writer.close()
    bench.onlooker.close()


def keep(number: int) -> Job:
    def job(connection: apsw.Connection) -> int:
        connection.execute("INSERT INTO number VALUES (?)", (number,))
        return number

    return job


def keep_then(number: int, error: Exception) -> Job:
    def job(connection: apsw.Connection) -> int:
        keep(number)(connection)
        raise error

    return job


def orphan(connection: apsw.Connection) -> int:
    """A job that works, in a transaction that then cannot be committed."""
    connection.execute("PRAGMA defer_foreign_keys=ON")
    connection.execute("INSERT INTO child VALUES (4711)")
    return 0


def is_unavailable(outcome: object) -> bool:
    return isinstance(outcome, Refusal) and outcome.reason is Reason.STORE_UNAVAILABLE


async def test_it_works(bench: Bench) -> None:
    """A result comes back when it is written, and others can see it."""
    assert await bench.writer.run(keep(7)) == 7
    assert bench.numbers() == [7]


async def test_what_waits_together_is_one_transaction(bench: Bench) -> None:
    outcomes = await bench.together(*(keep(number) for number in range(100)))

    assert outcomes == list(range(100))
    assert bench.numbers() == list(range(100))
    assert bench.commits == 2  # the one that kept the writer busy, and theirs


async def test_a_transaction_is_not_without_end(bench: Bench) -> None:
    await bench.together(*(keep(number) for number in range(MAX_GROUPED_WRITES + 1)))

    assert bench.commits == 3
    assert len(bench.numbers()) == MAX_GROUPED_WRITES + 1


async def test_many_askers_at_once_share_transactions(bench: Bench) -> None:
    async def send(first: int) -> None:
        for number in range(first, first + 20):
            await bench.writer.run(keep(number))

    await asyncio.gather(*(send(first) for first in range(0, 1000, 20)))

    assert bench.numbers() == list(range(1000))
    assert bench.commits < 500


async def test_a_job_that_fails_does_not_hurt_the_others(bench: Bench) -> None:
    bug = ValueError("a bug")
    outcomes = await bench.together(keep(1), keep_then(2, bug), keep(3), keep(1), keep(4))

    assert [outcomes[index] for index in (0, 2, 4)] == [1, 3, 4]
    assert outcomes[1] is bug
    assert isinstance(outcomes[3], UniqueViolationError)
    assert bench.numbers() == [1, 3, 4]


async def test_a_refusal_of_a_rule_reaches_its_asker(bench: Bench) -> None:
    no = Refusal(Reason.NO_CHANNEL, "No.", retry_after=3)
    [outcome, other] = await bench.together(keep_then(1, no), keep(2))

    assert isinstance(outcome, Refusal)
    assert (outcome.reason, outcome.message, outcome.retry_after) == (no.reason, "No.", 3)
    assert other == 2
    assert bench.numbers() == [2]


async def test_a_refusal_keeps_its_fields_and_facts(bench: Bench) -> None:
    """Without them a 409 would name nobody."""
    no = Refusal(Reason.SEVERAL, "Many.", fields={"a": "b"}, facts={"channels": (1, 2)})
    [outcome] = await bench.together(keep_then(1, no))

    assert isinstance(outcome, Refusal)
    assert (outcome.fields, outcome.facts) == (no.fields, no.facts)


async def test_a_commit_that_fails_refuses_every_waiter(bench: Bench) -> None:
    outcomes = await bench.together(keep(1), orphan, keep(2))

    assert len(outcomes) == 3
    assert all(is_unavailable(one) for one in outcomes)
    assert len({id(one) for one in outcomes}) == 3
    assert bench.numbers() == []
    assert await bench.writer.run(keep(3)) == 3


async def test_a_full_disk_refuses_every_waiter(bench: Bench) -> None:
    [[pages]] = bench.connection.execute("PRAGMA page_count").fetchall()
    bench.connection.execute(f"PRAGMA max_page_count={pages}")

    def big(connection: apsw.Connection) -> int:
        connection.execute("CREATE TABLE big AS SELECT zeroblob(100000) AS x")
        return 0

    outcomes = await bench.together(keep(1), big, keep(2))

    assert all(is_unavailable(one) for one in outcomes)
    assert bench.numbers() == []
    assert await bench.writer.run(keep(3)) == 3


async def test_a_file_that_another_program_holds_is_waited_for(bench: Bench) -> None:
    bench.connection.set_busy_timeout(5_000)
    bench.onlooker.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(bench.writer.run(keep(1)))
    await asyncio.sleep(0.1)
    assert not waiting.done()

    bench.onlooker.execute("ROLLBACK")

    assert await asyncio.wait_for(waiting, 5) == 1


async def test_a_file_that_is_held_for_too_long_is_unavailable(bench: Bench) -> None:
    bench.connection.set_busy_timeout(100)
    bench.onlooker.execute("BEGIN IMMEDIATE")

    with pytest.raises(Refusal, match="cannot answer"):
        await bench.writer.run(keep(1))

    bench.onlooker.execute("ROLLBACK")
    assert await bench.writer.run(keep(2)) == 2


async def test_an_asker_that_gave_up_does_not_stop_the_writer(bench: Bench) -> None:
    gate = threading.Event()
    holder = asyncio.create_task(bench.writer.run(lambda _: gate.wait(10)))
    given_up = asyncio.create_task(bench.writer.run(keep(1)))
    await asyncio.sleep(0.02)
    given_up.cancel()
    gate.set()

    assert await holder
    assert await bench.writer.run(keep(2)) == 2


def test_a_loop_that_is_gone_does_not_stop_the_writer(tmp_path: Path) -> None:
    """As when a person stops a command while its write is under way."""
    bench = Bench(tmp_path / "bench.db")
    gate = threading.Event()

    async def leave() -> None:
        asyncio.create_task(bench.writer.run(lambda _: gate.wait(10)))  # noqa: RUF006 - left
        await asyncio.sleep(0.02)

    asyncio.run(leave())
    gate.set()

    async def come_back() -> int:
        return await asyncio.wait_for(bench.writer.run(keep(1)), 2)

    assert asyncio.run(come_back()) == 1
    bench.writer.close()
    bench.onlooker.close()


def test_closing_finishes_what_waits(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "bench.db")

    async def ask_and_close() -> list[int]:
        waiting = [asyncio.create_task(bench.writer.run(keep(n))) for n in range(10)]
        await asyncio.sleep(0)
        bench.writer.close()
        with pytest.raises(Refusal, match="being closed"):
            await bench.writer.run(keep(99))
        return await asyncio.gather(*waiting)

    assert asyncio.run(ask_and_close()) == list(range(10))
    assert bench.numbers() == list(range(10))
    bench.onlooker.close()


async def test_a_job_that_is_alone_and_fails_leaves_nothing(bench: Bench) -> None:
    """It has no savepoint: its whole transaction is rolled back."""

    def insert_and_fail(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO number VALUES (1)")
        raise LookupError

    with pytest.raises(LookupError):
        await bench.writer.run(insert_and_fail)
    await bench.writer.run(keep(2))

    assert bench.numbers() == [2]


@pytest.mark.parametrize("others", [0, 1])
async def test_jobs_whose_transaction_has_ended_are_not_saved(bench: Bench, others: int) -> None:
    """SQLite may end a transaction by itself, after some errors."""

    def end(connection: apsw.Connection) -> int:
        connection.execute("ROLLBACK")
        return 0

    outcomes = await bench.together(*(keep(number) for number in range(others)), end)

    assert all(isinstance(outcome, Refusal) for outcome in outcomes)
    assert bench.numbers() == []
