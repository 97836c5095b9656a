"""Statements that take long, in a thread beside the event loop."""

from __future__ import annotations

import asyncio

import apsw

from reachbook import background
from reachbook.domain.errors import Refusal
from reachbook.metrics import Metrics
from reachbook.storage.engine import Row, unavailable
from reachbook.storage.sqlite.connection import fetch
from reachbook.storage.sqlite.writer import CLOSE_SECONDS, OUT_OF_REACH, why

INTERRUPT_SECONDS = 0.05


class Scanner:
    """Runs statements in a thread on a connection of its own, one at a time."""

    def __init__(self, connection: apsw.Connection, metrics: Metrics) -> None:
        self._connection = connection
        self._metrics = metrics
        self._closing = False
        self._turn = asyncio.Lock()
        self._thread: asyncio.Future[list[Row]] | None = None
        self._interrupting: set[asyncio.Task[None]] = set()

    async def run(self, text: str, *values: object) -> list[Row]:
        """Returns the rows of a statement.

        If the caller is cancelled, its thread still uses the connection. So the lock is held until
        the thread has ended, and the statement is interrupted so that it ends soon.
        """
        await self._turn.acquire()
        try:
            thread = self._start(text, values)
        except BaseException:
            self._turn.release()
            raise
        self._thread = thread
        thread.add_done_callback(lambda _ended: self._turn.release())
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            self._interrupt(thread)
            raise

    async def close(self) -> None:
        """Interrupt a statement that is running, and close the connection."""
        self._closing = True
        thread = self._thread
        if thread is not None and not thread.done():
            interrupting = self._interrupt(thread)
            await asyncio.wait({interrupting}, timeout=CLOSE_SECONDS)
            if not thread.done():
                return  # the thread waits for its disk; the process ends without it
        self._connection.close()

    def _start(self, text: str, values: tuple[object, ...]) -> asyncio.Future[list[Row]]:
        if self._closing:
            raise unavailable("it is being closed")
        # Not a task: a loop that ends cancels its tasks, but the thread would continue.
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(None, self._run, text, values)

    def _run(self, text: str, values: tuple[object, ...]) -> list[Row]:
        try:
            return fetch(self._connection, text, *values)
        except OUT_OF_REACH as error:
            raise unavailable(why(error)) from None

    def _interrupt(self, thread: asyncio.Future[list[Row]]) -> asyncio.Task[None]:
        """Interrupt a statement repeatedly, in a task, until its thread has ended.

        One interrupt is not enough: it has no effect before the statement begins.
        """

        async def interrupt() -> None:
            while not thread.done():
                self._connection.interrupt()
                await asyncio.wait({thread}, timeout=INTERRUPT_SECONDS)
            error = thread.exception()
            if error is not None and not isinstance(error, Refusal):
                background.report(self._metrics, "sqlite_scan", error)

        task = background.start(self._metrics, "sqlite_scan", interrupt())
        self._interrupting.add(task)
        task.add_done_callback(self._interrupting.discard)
        return task
