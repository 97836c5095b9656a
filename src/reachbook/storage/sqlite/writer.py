"""The thread that writes to SQLite; waiting jobs are committed with one fsync (group commit)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import apsw

from reachbook import background
from reachbook.domain.errors import Refusal
from reachbook.metrics import Metrics
from reachbook.storage.commit import Commit
from reachbook.storage.engine import UniqueViolationError, unavailable

Result = TypeVar("Result")
Job = Callable[[apsw.Connection], Any]
Waiting = tuple[Job, asyncio.AbstractEventLoop, asyncio.Future[Any]]

MAX_GROUPED_WRITES = 256  # the last job waits for all others, and so does a checkpoint of the WAL
MAX_QUEUED = 10_000
CLOSE_SECONDS = 1.0
CHECKPOINT_SECONDS = 1.0
MAX_WAL_BYTES = 8 * 1024 * 1024  # SQLite itself keeps it at about 4 MiB if no program reads long

# Errors of the disk, the file or its locks: they are not due to a job, and a retry may succeed.
OUT_OF_REACH = (
    apsw.BusyError,
    apsw.CantOpenError,
    apsw.ConnectionClosedError,
    apsw.CorruptError,
    apsw.FullError,
    apsw.InterruptError,
    apsw.IOError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.NotADBError,
    apsw.PermissionsError,
    apsw.ProtocolError,
    apsw.ReadOnlyError,
    apsw.ThreadingViolationError,
)

_CLOSING = (apsw.ConnectionClosedError, apsw.InterruptError, apsw.ThreadingViolationError)


class Writer:
    """Runs jobs one after the other on its own connection; each is written completely or not.

    A job's result is returned only after the fsync. If the transaction of several jobs cannot be
    committed, all of them are refused.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        metrics: Metrics,
        on_begin: Callable[[int], None] = lambda _jobs: None,
    ) -> None:
        """Start the thread; it calls `on_begin` with the number of jobs of each transaction."""
        self._connection = connection
        self._metrics = metrics
        self._on_begin = on_begin
        # None is the last entry: it ends the thread.
        self._queue: SimpleQueue[Waiting | None] = SimpleQueue()
        metrics.writers_waiting.set_function(self._queue.qsize)
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="reachbook-writer", daemon=True)
        self._thread.start()

    async def run(self, job: Callable[[apsw.Connection], Result]) -> Result:
        """Run a job; returns its result when it is durable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        if self._closing:
            raise unavailable("it is being closed")
        if self._queue.qsize() >= MAX_QUEUED:
            raise unavailable(f"{MAX_QUEUED} writes are waiting already")
        self._queue.put((job, loop, future))
        return await future

    def close(self) -> None:
        """Finish the waiting jobs, then end the thread and close its connection.

        A thread that hangs on a lock or a disk ends with the process. The requests that wait for it
        have been refused by then, or are refused when the process ends.
        """
        self._closing = True
        self._queue.put(None)
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._connection.close()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            batch, is_last = self._next_batch()
            if batch:
                self._work(batch)
            elif not is_last:
                self._shrink_wal()

    def _next_batch(self) -> tuple[list[Waiting], bool]:
        """Returns the next jobs, and whether they are the last.

        Returns no jobs if none were queued for `CHECKPOINT_SECONDS`.
        """
        batch: list[Waiting] = []
        with suppress(Empty):
            waiting = self._queue.get(timeout=CHECKPOINT_SECONDS)
            while waiting is not None:
                batch.append(waiting)
                if len(batch) == MAX_GROUPED_WRITES:
                    return batch, False
                waiting = self._queue.get_nowait()
            return batch, True
        return batch, False

    def _work(self, batch: list[Waiting]) -> None:
        """Run jobs and report each outcome to its caller, also after an unexpected error."""
        try:
            outcomes = self._commit(batch)
        except BaseException as error:  # noqa: BLE001 - no write is possible without this thread
            background.report(self._metrics, "sqlite_writer", error)
            self._roll_back()
            outcomes = [(each, unavailable("an unexpected error ended it")) for each in batch]
        # One call for all callers of a loop, because each call wakes the loop by a system call.
        for loop in {loop for (_, loop, _), _ in outcomes}:
            settled = [(future, result) for (_, its, future), result in outcomes if its is loop]
            with suppress(RuntimeError):  # the caller's event loop is closed
                loop.call_soon_threadsafe(_settle, settled)

    def _shrink_wal(self) -> None:
        """Empty the write-ahead log if it is large.

        While another program reads for long, SQLite cannot reuse the space of the log, so the log
        grows, and only this method makes the file small again. It must not wait: a checkpoint that
        waits for a reader blocks every writer. If there is a reader or a writer, this does nothing,
        and is called again later.
        """
        with background.reporting(self._metrics, "sqlite_writer"), suppress(*OUT_OF_REACH):
            if Path(self._connection.filename_wal).stat().st_size <= MAX_WAL_BYTES:
                return
            waits_ms = self._connection.pragma("busy_timeout")
            self._connection.set_busy_timeout(0)
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            finally:
                self._connection.set_busy_timeout(waits_ms)

    def _commit(self, batch: list[Waiting]) -> list[tuple[Waiting, object]]:
        """Returns the outcome of each job: its result, or the exception it ends with.

        Jobs whose caller has been cancelled are skipped: it was already told 503, so its write must
        not happen later.
        """
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            # Checked after BEGIN, which may wait for another program for seconds.
            wanted = [job for job in batch if not job[2].cancelled()]
            self._on_begin(len(wanted))
            outcomes = self._try_alone(wanted[0]) if len(wanted) == 1 else self._try_each(wanted)
            if any(isinstance(outcome, Commit) for _, outcome in outcomes):
                self._metrics.transactions.inc()
        except apsw.Error as error:
            self._roll_back()
            return [(job, unavailable(why(error))) for job in batch]
        return outcomes

    def _roll_back(self) -> None:
        """End a transaction that failed. If this fails, the next BEGIN fails, and retries it."""
        with suppress(apsw.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _try_alone(self, waiting: Waiting) -> list[tuple[Waiting, object]]:
        """Run the only job of a transaction, and commit it or roll it back."""
        outcome = self._try(waiting[0])
        self._connection.execute("ROLLBACK" if isinstance(outcome, Exception) else "COMMIT")
        return [(waiting, outcome)]

    def _try_each(self, jobs: list[Waiting]) -> list[tuple[Waiting, object]]:
        """Run each job inside a savepoint, and commit those that do not fail."""
        outcomes: list[tuple[Waiting, object]] = []
        for waiting in jobs:
            self._connection.execute("SAVEPOINT job")
            outcome = self._try(waiting[0])
            if isinstance(outcome, Exception):
                self._connection.execute("ROLLBACK TO job")
            self._connection.execute("RELEASE job")
            outcomes.append((waiting, outcome))
        self._connection.execute("COMMIT")
        return outcomes

    def _try(self, job: Job) -> object:
        """Returns the result of a job, or its exception.

        An error that ends the whole transaction is raised.
        """
        try:
            outcome = job(self._connection)
        except apsw.ConstraintError as error:
            outcome = UniqueViolationError() if _is_unique(error) else error
        # A disk that is full fails every job of the transaction, not this one alone.
        except OUT_OF_REACH:
            raise
        except Exception as error:  # noqa: BLE001 - it is raised in the caller that waits for it
            outcome = error
        return outcome


def why(error: apsw.Error) -> str:
    """Returns the fault in a few words."""
    if isinstance(error, apsw.BusyError):
        return "another program has been writing to the file until the time limit"
    if isinstance(error, _CLOSING):
        return "it is being closed"
    return str(error)


def _is_unique(error: apsw.ConstraintError) -> bool:
    return error.extendedresult in (  # type: ignore[attr-defined]
        apsw.SQLITE_CONSTRAINT_UNIQUE,
        apsw.SQLITE_CONSTRAINT_PRIMARYKEY,
    )


def _settle(outcomes: list[tuple[asyncio.Future[Any], object]]) -> None:
    for future, outcome in outcomes:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(_copy(outcome))
        else:
            future.set_result(outcome)


def _copy(error: Exception) -> Exception:
    """Returns an exception for one waiter: raising the same one twice would mix tracebacks."""
    if isinstance(error, Refusal):
        return Refusal(
            error.reason,
            error.message,
            fields=error.fields,
            facts=error.facts,
            retry_after=error.retry_after,
        )
    return error
