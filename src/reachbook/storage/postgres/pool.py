"""Connections to PostgreSQL: lent, held to their word, and given up when they do not keep it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import asyncpg

from reachbook.metrics import Metrics
from reachbook.storage.engine import (
    UniqueViolationError,
    contended,
    unavailable,
    unfit,
    unstorable,
)

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

POOL_SIZE = 10
CONNECT_SECONDS = 1.5
STATEMENT_SECONDS = 10.0
PING_SECONDS = 0.5
CLOSE_SECONDS = 1.0

APPLICATION = "reachbook"
MIGRATING_APPLICATION = "reachbook-migrate"
"""The names of sessions in pg_stat_activity. A migration must not run beside the first."""

# The limits of a session. Its other end may be a dead router: then PostgreSQL itself
# has to end the transaction that holds a contact, and no statement may outwait its caller by much.
_SESSION = {
    "jit": "off",
    "lock_timeout": "1200ms",
    "idle_in_transaction_session_timeout": "2s",
}

_PING = "SELECT 1"

# The driver gave up on a connection; asyncpg says InternalClientError when a session is ended
# between two statements.
_BROKEN = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_OUT_OF_REACH = (
    *_BROKEN,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.PostgresSystemError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)


# The errors for a value that is too large for its column, for an index or for a statement, or that
# cannot be encoded: asyncpg raises a DataError, PostgreSQL uses the SQLSTATE classes 22 and 54.
_UNSTORABLE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)

# A pooler or PostgreSQL itself does not know a parameter of the URL, or one of `_SESSION`.
_ASKED_WRONGLY = (
    asyncpg.ProtocolViolationError,
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
    asyncpg.CantChangeRuntimeParamError,
)
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "PostgreSQL did not answer in time"),
    (ConnectionRefusedError, "nothing listens at that host and port"),
    (socket.gaierror, "its host has no address"),
    (asyncpg.InvalidAuthorizationSpecificationError, "PostgreSQL refuses the user or the password"),
    (asyncpg.InvalidCatalogNameError, "PostgreSQL has no database of that name"),
    (asyncpg.TooManyConnectionsError, "PostgreSQL takes no more connections"),
    (asyncpg.DiskFullError, "PostgreSQL's disk is full"),
    (asyncpg.QueryCanceledError, "PostgreSQL was told to cancel the statement"),
    (asyncpg.OperatorInterventionError, "PostgreSQL is being stopped or started"),
    (asyncpg.ReadOnlySQLTransactionError, "PostgreSQL takes no writes, as a standby does"),
    (asyncpg.InsufficientPrivilegeError, "the user of the database may not do this"),
)


class Pool:
    """Connections to one database, lent one at a time."""

    def __init__(self, pool: asyncpg.Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics
        # Set when a statement was given up, until every connection has answered again or all are
        # expired. `_answered` holds the process ids of the backends that have answered.
        self._suspicion: object | None = None
        self._answered: set[int] = set()

    @classmethod
    async def open(cls, url: str, metrics: Metrics, application: str = APPLICATION) -> Pool:
        """Connect, or refuse with a sentence that does not hold the password."""
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=POOL_SIZE,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                # Nothing outlives a transaction on our connections, so there is nothing to reset,
                # and a quarter of the time is saved.
                reset=_nothing,
                server_settings={**_SESSION, "application_name": application},
            )
        except ValueError:
            raise unfit(
                "The database URL cannot be read; write special characters as %XX."
            ) from None
        except _ASKED_WRONGLY as error:
            raise unfit(f"PostgreSQL refuses what the database URL asks for: {error}.") from None
        except _OUT_OF_REACH as error:  # only who runs the program hears this, and needs it all
            raise unavailable(" ".join(str(error).split()) or type(error).__name__) from None
        return cls(pool, metrics)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lends a connection; raises `store_unavailable` if PostgreSQL cannot respond."""
        try:
            connection = await self._lend()
            self._metrics.connections_busy.inc()
            try:
                yield connection
            except (asyncio.CancelledError, *_BROKEN) as error:
                self._give_up(connection, error)
                raise
            finally:
                self._metrics.connections_busy.dec()
                await self._pool.release(connection)
        except asyncpg.UniqueViolationError:
            raise UniqueViolationError from None
        except asyncpg.LockNotAvailableError:
            raise contended() from None
        except _UNSTORABLE as error:
            raise unstorable(error) from error
        except _OUT_OF_REACH as error:
            raise unavailable(_said(error)) from error

    async def close(self) -> None:
        """Let go of every connection, of those that hang as well."""
        try:
            await asyncio.wait_for(self._pool.close(), timeout=CLOSE_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def _lend(self) -> Connection:
        self._metrics.connections_waiting.inc()
        try:
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
            while self._suspicion is not None and not await self._ping(connection):
                connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise unavailable("no connection came free, or could be made, in time") from None
        else:
            return connection
        finally:
            self._metrics.connections_waiting.dec()

    def _give_up(self, connection: Connection, error: BaseException) -> None:
        """Close a connection that has not answered: cancelling its statement can hang.

        The statement itself may be slow. But if the server or the network is gone, idle connections
        are half open, too, so each of them is checked before it is used again.
        """
        with suppress(asyncpg.InterfaceError):  # it has gone by itself
            connection.terminate()
        if isinstance(error, (asyncio.CancelledError, TimeoutError)):
            self._suspicion = object()
            self._answered.clear()

    async def _ping(self, connection: Connection) -> bool:
        """Returns whether a connection answers; closes it if it does not.

        If it does not answer in time, all connections are expired, because none can be expected to
        answer.
        """
        suspicion = self._suspicion
        process_id = connection.get_server_pid()
        if process_id in self._answered:
            return True
        try:
            await connection.execute(_PING, timeout=PING_SECONDS)
        except BaseException as error:
            connection.terminate()
            await self._pool.release(connection)
            if not isinstance(error, _OUT_OF_REACH):
                raise
            if isinstance(error, TimeoutError) and self._suspicion is suspicion:
                await self._pool.expire_connections()
                self._suspicion = None
            return False
        self._answered.add(process_id)
        if len(self._answered) >= self._pool.get_size():
            self._suspicion = None
        return True


@asynccontextmanager
async def transaction(connection: Connection) -> AsyncIterator[None]:
    """A transaction that does not ask a connection that is given up to roll back.

    Asyncpg's own would, and wait for the answer of one that is half open; closing it does the same.
    """
    await connection.execute("BEGIN")
    try:
        yield
    except (asyncio.CancelledError, *_BROKEN):
        raise
    except BaseException:
        await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")


async def _nothing(_connection: object) -> None:
    """Does nothing: the default sends a statement on every release."""


def _said(error: Exception) -> str:
    """Returns the fault in our words: those of a driver may name hosts, users and databases."""
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    if isinstance(error, asyncpg.PostgresError):
        return f"PostgreSQL refuses, with SQLSTATE {error.sqlstate}"
    return "PostgreSQL cannot be reached"
