"""The PostgreSQL connection pool: acquisition timeouts, session limits, broken connections.

The pool of asyncpg takes as much time as a short statement, because it wraps each connection in a
proxy and each acquisition in tasks and timers. This pool is a list of connections.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType

import asyncpg

from reachbook.metrics import Metrics
from reachbook.storage.engine import (
    UniqueViolationError,
    contended,
    unavailable,
    unfit,
    unstorable,
)
from reachbook.storage.postgres import citus
from reachbook.storage.postgres.connection import BROKEN, Connection

POOL_SIZE = 10
CONNECT_SECONDS = 1.5
STATEMENT_SECONDS = 10.0
PING_SECONDS = 0.5
CLOSE_SECONDS = 1.0

APPLICATION = "reachbook"
MIGRATING_APPLICATION = "reachbook-migrate"
"""The names of sessions in pg_stat_activity. No session with the first may run in a migration."""

LOCK_TIMEOUT = "1200ms"
"""How long a statement waits for a lock. A migration sets it on every node of Citus, too."""

# The limits of a session. If the network fails, PostgreSQL itself must end the transaction that
# locks a contact, and no statement may wait much longer than its caller.
_SESSION = {
    "jit": "off",
    "lock_timeout": LOCK_TIMEOUT,
    "idle_in_transaction_session_timeout": "2s",
    # A statement is planned once for all values. PostgreSQL would otherwise plan the commit anew
    # for each request, because it expects less work if an array is empty: 2 ms each time.
    "plan_cache_mode": "force_generic_plan",
}

_PING = "SELECT 1"

_OUT_OF_REACH = (
    *BROKEN,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.PostgresSystemError,
    # Citus raises it if a worker is lost, and PostgreSQL only if it is damaged.
    asyncpg.InternalServerError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)


# The errors for a value that is too large for its column, for an index or for a statement, or that
# cannot be encoded: asyncpg raises a DataError, PostgreSQL uses the SQLSTATE classes 22 and 54.
_UNSTORABLE = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)

# A pooler or PostgreSQL itself does not know a parameter of the URL, or one of `_SESSION`.
_BAD_PARAMETER = (
    asyncpg.ProtocolViolationError,
    asyncpg.UndefinedObjectError,
    asyncpg.InvalidParameterValueError,
    asyncpg.CantChangeRuntimeParamError,
)
_DESCRIPTIONS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "PostgreSQL did not answer in time"),
    (ConnectionRefusedError, "nothing listens at that host and port"),
    (socket.gaierror, "its host has no address"),
    (asyncpg.InvalidAuthorizationSpecificationError, "PostgreSQL refuses the user or the password"),
    (asyncpg.InvalidCatalogNameError, "PostgreSQL has no database of that name"),
    (asyncpg.TooManyConnectionsError, "PostgreSQL takes no more connections"),
    (asyncpg.DiskFullError, "PostgreSQL's disk is full"),
    (asyncpg.QueryCanceledError, "PostgreSQL has cancelled the statement"),
    (asyncpg.OperatorInterventionError, "PostgreSQL is being stopped or started"),
    (asyncpg.ReadOnlySQLTransactionError, "PostgreSQL takes no writes, as a standby does"),
    (asyncpg.InsufficientPrivilegeError, "the user of the database may not do this"),
)


Waiter = asyncio.Future[Connection | None]
"""A caller that waits: it gets a connection, or None if it may make a new one."""


class Pool:
    """Up to `POOL_SIZE` connections to one database, each used by one caller at a time.

    If all are in use, a caller waits; a connection that is released goes to the caller that has
    waited longest. If a caller is cancelled after it was assigned a connection, the connection is
    released.

    `has_citus` is whether the database has the extension Citus. It is looked up once.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], metrics: Metrics) -> None:
        self.has_citus = False
        self._connect = connect
        self._metrics = metrics
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._connecting = 0
        self._waiters: deque[Waiter] = deque()
        self._loop = asyncio.get_running_loop()
        # Set when a statement was given up, until every connection has responded to a ping or all
        # are expired. `_responding` holds the connections that have responded.
        self._suspicion: object | None = None
        self._responding: set[Connection] = set()
        self._is_closing = False
        self._released = asyncio.Event()

    @classmethod
    async def open(cls, url: str, metrics: Metrics, application: str = APPLICATION) -> Pool:
        """Connect; raises a refusal whose message does not contain the password."""
        settings = {**_SESSION, "application_name": application}

        async def connect() -> Connection:
            raw = await asyncpg.connect(
                url,
                timeout=CONNECT_SECONDS,
                command_timeout=STATEMENT_SECONDS,
                server_settings=settings,
            )
            return Connection(raw)

        pool = cls(connect, metrics)
        try:
            first = await pool._acquire()
            pool.has_citus = await citus.is_installed(first)
            if pool.has_citus:
                settings |= citus.SESSION
                await first.execute(citus.SET_SESSION)
            pool.release(first)
        except ValueError:
            raise unfit(
                "The database URL cannot be read; write special characters as %XX."
            ) from None
        except _BAD_PARAMETER as error:
            raise unfit(f"PostgreSQL refuses a parameter of the database URL: {error}.") from None
        except _OUT_OF_REACH as error:
            # The whole text of the driver: only the operator reads this message.
            raise unavailable(" ".join(str(error).split()) or type(error).__name__) from None
        return pool

    def connection(self) -> AcquireContext:
        """Returns a context manager that acquires a connection, and releases it at the end."""
        return AcquireContext(self, self._metrics)

    async def close(self) -> None:
        """Close every connection; those that are in use or hang are terminated after a while."""
        self._is_closing = True
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while len(self._idle) < len(self._open):
                    self._released.clear()
                    await self._released.wait()
                await asyncio.gather(*(each.raw.close() for each in self._open))
        for each in self._open:
            each.raw.terminate()

    async def acquire(self) -> Connection:
        """Returns a connection that is likely to work; raises `TimeoutError` if there is none."""
        connection = await self._acquire()
        while self._suspicion is not None and not await self._ping(connection):
            connection = await self._acquire()
        return connection

    def release(self, connection: Connection) -> None:
        """Take a connection back, and pass it to the caller that has waited longest."""
        if connection.is_expired:
            connection.raw.terminate()
        if connection.raw.is_closed():
            self._forget(connection)
            self._wake_next(None)
        elif not self._wake_next(connection):
            self._idle.append(connection)
        self._released.set()

    def give_up(self, connection: Connection, error: BaseException) -> None:
        """Close a connection that has not responded: cancelling its statement can hang.

        The statement itself may be slow. But if the server or the network is gone, idle connections
        are half open, too, so each of them is checked before it is used again.
        """
        with suppress(asyncpg.InterfaceError):  # it is closed already
            connection.raw.terminate()
        if isinstance(error, (asyncio.CancelledError, TimeoutError)):
            self._suspicion = object()
            self._responding.clear()

    async def _acquire(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.raw.is_closed():
                return connection
            self._forget(connection)
        self._metrics.connections_waiting.inc()
        deadline = self._loop.time() + CONNECT_SECONDS
        try:
            while len(self._open) + self._connecting >= POOL_SIZE or self._is_closing:
                if (released := await self._next_released(deadline)) is not None:
                    return released
            return await self._connect_one()
        finally:
            self._metrics.connections_waiting.dec()

    async def _next_released(self, deadline: float) -> Connection | None:
        """Wait; returns a connection, or None if the caller may make a new one.

        Raises `TimeoutError` at the deadline.
        """
        waiter: Waiter = self._loop.create_future()
        self._waiters.append(waiter)
        # Not asyncio.timeout, which takes longer than the rest of this function.
        timer = self._loop.call_at(deadline, _expire_waiter, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise
        finally:
            timer.cancel()

    def _withdraw(self, waiter: Waiter) -> None:
        """Pass on the connection of a waiter that has been cancelled meanwhile."""
        if waiter.cancelled():
            with suppress(ValueError):
                self._waiters.remove(waiter)
        elif waiter.exception() is None:
            connection = waiter.result()
            if connection is None:
                self._wake_next(None)
            else:
                self.release(connection)

    async def _connect_one(self) -> Connection:
        self._connecting += 1
        connection = None
        try:
            connection = await self._connect()
            self._open.add(connection)
            return connection
        finally:
            self._connecting -= 1
            if connection is None:
                self._wake_next(None)

    def _wake_next(self, connection: Connection | None) -> bool:
        """Assign a connection, or the right to make one, to the first waiter, if there is one."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._responding.discard(connection)

    async def _ping(self, connection: Connection) -> bool:
        """Returns whether a connection responds; closes it if it does not.

        If it does not respond in time, all connections are expired, because the others are not
        expected to respond either.
        """
        suspicion = self._suspicion
        if connection in self._responding:
            return True
        try:
            await connection.execute(_PING, timeout=PING_SECONDS)
        except BaseException as error:
            connection.raw.terminate()
            self.release(connection)
            if not isinstance(error, _OUT_OF_REACH):
                raise
            if isinstance(error, TimeoutError) and self._suspicion is suspicion:
                self._expire()
            return False
        self._responding.add(connection)
        if len(self._responding) >= len(self._open):
            self._suspicion = None
        return True

    def _expire(self) -> None:
        """Close the idle connections now, and those that are in use when they are released."""
        for connection in self._open:
            connection.is_expired = True
        for connection in self._idle:
            connection.raw.terminate()
            self._forget(connection)
        self._idle.clear()
        self._suspicion = None


class AcquireContext:
    """A context manager for the use of one connection.

    Raises `store_unavailable` if PostgreSQL cannot respond, and other errors as refusals.
    """

    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._busy = metrics.connections_busy

    async def __aenter__(self) -> Connection:
        try:
            self._connection = await self._pool.acquire()
        except TimeoutError:
            raise unavailable("no connection came free, or could be made, in time") from None
        except _OUT_OF_REACH as error:
            raise unavailable(_describe(error)) from error
        self._busy.inc()
        try:
            await self._connection.discard_old_plans()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self._connection

    async def __aexit__(
        self, _kind: object, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._busy.dec()
        if isinstance(error, (asyncio.CancelledError, *BROKEN)):
            self._pool.give_up(self._connection, error)
        self._pool.release(self._connection)
        if isinstance(error, Exception) and (refusal := _refusal(error)) is not error:
            raise refusal from error


def _expire_waiter(waiter: Waiter) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _refusal(error: Exception) -> Exception:
    """Returns the error of the store for an error of the driver; others are returned unchanged."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return UniqueViolationError()
    if isinstance(error, asyncpg.LockNotAvailableError):
        return contended()
    if isinstance(error, _UNSTORABLE):
        return unstorable(error)
    if isinstance(error, _OUT_OF_REACH):
        return unavailable(_describe(error))
    return error


def _describe(error: Exception) -> str:
    """Returns a description of an error; the driver's text may name hosts, users and databases."""
    for kind, description in _DESCRIPTIONS:
        if isinstance(error, kind):
            return description
    if isinstance(error, asyncpg.PostgresError):
        return f"PostgreSQL refuses, with SQLSTATE {error.sqlstate}"
    return "PostgreSQL cannot be reached"
