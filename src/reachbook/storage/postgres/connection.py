"""A connection to PostgreSQL with its prepared statements, and transactions on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

    RawConnection = asyncpg.Connection[asyncpg.Record]

FIRST_PLAN_SECONDS = 0.5
PLAN_SECONDS = 5.0
MAX_STATEMENTS = 200

# The errors of a connection that cannot be used any more. asyncpg raises InternalClientError if a
# session is ended between two statements.
BROKEN = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Connection:
    """One session. Its statements are prepared once, and planned again at intervals.

    The pool closes it when it is released if `is_expired`.

    PostgreSQL keeps the plan of a prepared statement, and of the checks of foreign keys. A plan
    that it made while a table was empty may read the whole table, and would be used until the next
    ANALYZE. A table grows fastest after a pause, such as when an import begins: then the first plan
    is used for `FIRST_PLAN_SECONDS`, and each later plan twice as long, up to `PLAN_SECONDS`.
    """

    def __init__(self, raw: RawConnection) -> None:
        self.raw = raw
        self.is_expired = False
        self._statements: dict[str, PreparedStatement[asyncpg.Record]] = {}
        self._planned = self._used = time.monotonic()
        self._plan_seconds = FIRST_PLAN_SECONDS

    async def fetch(
        self, text: str, *values: object, timeout: float | None = None
    ) -> list[asyncpg.Record]:
        """Run a statement; returns its rows."""
        statement = self._statements.get(text) or await self._prepare(text)
        try:
            return await statement.fetch(*values, timeout=timeout)
        except asyncpg.InvalidCachedStatementError:
            # A migration has changed a column; the statement must be prepared again.
            self._statements.clear()
            raise

    async def fetchval(self, text: str, *values: object, timeout: float | None = None) -> Any:
        """Run a statement that is not kept; returns the first value of its first row."""
        return await self.raw.fetchval(text, *values, timeout=timeout)

    async def execute(self, text: str, *values: object, timeout: float | None = None) -> None:
        """Run a statement, or several if there are no values."""
        await self.raw.execute(text, *values, timeout=timeout)

    async def discard_old_plans(self) -> None:
        """Let statements be planned again if their plans are old, or the session was idle."""
        now = time.monotonic()
        was_idle = now - self._used > PLAN_SECONDS
        self._used = now
        if now - self._planned > self._plan_seconds:
            self._planned = now
            self._plan_seconds = (
                FIRST_PLAN_SECONDS if was_idle else min(2 * self._plan_seconds, PLAN_SECONDS)
            )
            await self.raw.execute("DISCARD PLANS")

    async def _prepare(self, text: str) -> PreparedStatement[asyncpg.Record]:
        if len(self._statements) >= MAX_STATEMENTS:
            self._statements.clear()
        statement = self._statements[text] = await self.raw.prepare(text)
        return statement


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """A transaction that sends no ROLLBACK if its connection cannot be used any more.

    The driver's own transaction would send it, and wait for the response of a connection that is
    half open. Closing the connection rolls back as well.
    """
    await connection.execute("BEGIN")
    try:
        yield
    except (asyncio.CancelledError, *BROKEN):
        raise
    except BaseException:
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")
