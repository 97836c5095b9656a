"""How PostgreSQL connects, binds, commits and complains."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, cast

import asyncpg
import msgspec

from reachbook.contact import Contact
from reachbook.measures import Measures
from reachbook.storage import commit as commits
from reachbook.storage import migrations, sql
from reachbook.storage.commit import Commit
from reachbook.storage.engine import AlreadyThereError, Decide, Row, unavailable, unfit

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = PoolConnectionProxy[asyncpg.Record]

POOL_SIZE = 10
CONNECT_SECONDS = 1.5
STATEMENT_SECONDS = 10.0
MIGRATION_SECONDS = 3600.0
MIGRATION_LOCK_SECONDS = 8
CONTENTION_TRIES = 20
MOST_NUMBERS = 64

_OUT_OF_REACH = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InternalClientError,
)
_CONTENTION = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)

_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
    version bigint NOT NULL PRIMARY KEY, name text NOT NULL, applied timestamptz NOT NULL
)"""


class Postgres:
    """A pool of connections to one PostgreSQL database."""

    name = "postgres"

    def __init__(self, pool: asyncpg.Pool, measures: Measures) -> None:
        self._pool = pool
        self._measures = measures
        self._sql = sql.statements(self.name)
        self._numbers: defaultdict[str, deque[int]] = defaultdict(deque)
        self._number_block: defaultdict[str, int] = defaultdict(lambda: 1)

    @classmethod
    async def open(cls, url: str, measures: Measures) -> Postgres:
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
                server_settings={"application_name": "reachbook", "jit": "off"},
            )
        except ValueError:
            raise unfit(
                "The database URL cannot be read; write special characters as %XX."
            ) from None
        except _OUT_OF_REACH as error:
            raise unavailable(_said(error)) from None
        if await pool.fetchval("SHOW server_encoding") != "UTF8":
            await pool.close()
            raise unfit("The database must have the encoding UTF8: CREATE DATABASE ... ENCODING.")
        return cls(pool, measures)

    async def read(self, statement: str, *values: object) -> list[Row]:
        async with self._connection() as connection:
            return cast("list[Row]", await connection.fetch(self._sql[statement], *values))

    write = read

    async def number(self, table: str) -> int:
        async with self._connection() as connection:
            return (await self._take_numbers(connection, table, 1))[0]

    async def commit(self, commit: Commit) -> Commit | None:
        return await self._contended(lambda connection: self._apply(connection, commit))

    async def decide(self, statement: str, team_id: int, uuid: str, rule: Decide) -> Commit | None:
        async def once(connection: Connection) -> Commit | None:
            async with connection.transaction():
                await connection.fetch(self._sql["lock_contact"], team_id, uuid)
                rows = await connection.fetch(self._sql[statement], team_id, uuid)
                commit = rule(cast("list[Row]", rows))
                return commit if commit.is_empty() else await self._apply(connection, commit)

        return await self._contended(once)

    async def migrate(self) -> tuple[int, int]:
        async with self._connection() as connection:
            before = await self._schema_version(connection)
            migrations.refuse_newer(before, self.name)
            with suppress(asyncpg.UniqueViolationError):
                async with _patient(connection):
                    await connection.execute(_VERSION_TABLE)
            async with _patient(connection):
                return await self._take_steps(connection)

    async def schema_version(self) -> int:
        async with self._connection() as connection:
            return await self._schema_version(connection)

    async def close(self) -> None:
        try:
            await asyncio.wait_for(self._pool.close(), timeout=STATEMENT_SECONDS)
        except TimeoutError:
            self._pool.terminate()

    async def _contended(
        self, work: Callable[[Connection], Awaitable[Commit | None]]
    ) -> Commit | None:
        """Do the work again, all of it, when PostgreSQL broke a deadlock at our cost."""
        for attempt in range(CONTENTION_TRIES):
            try:
                async with self._connection() as connection:
                    return await work(connection)
            except _CONTENTION:
                await asyncio.sleep(random.uniform(0, 0.005 * (attempt + 1)))
        raise unavailable("too many others are changing the same contacts")

    async def _apply(self, connection: Connection, commit: Commit) -> Commit | None:
        """One statement when only channels change; a short transaction when the contact does."""
        commit = await self._numbered(connection, commit)
        after = commit.change.after
        if not isinstance(after, Contact):
            return await self._write(connection, commit)
        async with connection.transaction():
            details = commits.details(after)
            if commit.change.before is None:
                new = (after.team_id, after.id, after.uuid, after.created, *details)
                await connection.fetch(self._sql["insert_contact"], *new)
            else:
                seen = (after.team_id, after.id, commit.change.before.rev, after.deleted)
                await connection.fetch(self._sql["set_contact"], *seen, *details)
            return await self._write(connection, commit)

    async def _write(self, connection: Connection, commit: Commit) -> Commit | None:
        change = commit.change
        rows = commits.writes(change)
        self._measures.transactions.inc()
        told = await connection.fetch(
            self._sql["commit"],
            change.after.team_id,
            change.after.id,
            change.after.rev - 1,
            change.after.updated,
            rows.removed,
            msgspec.json.encode(rows.kept).decode(),
            change.kind,
            rows.before,
            rows.after,
            commit.actor,
            commit.request_id,
        )
        return commit if told else None

    async def _numbered(self, connection: Connection, commit: Commit) -> Commit:
        change = commit.change
        wanted = commits.numbers_wanted(change)
        contact_id = change.after.id
        if not contact_id:
            [contact_id] = await self._take_numbers(connection, "contact", 1)
        numbers = await self._take_numbers(connection, "contact_channel", wanted)
        change = commits.numbered(change, contact_id, iter(numbers))
        return msgspec.structs.replace(commit, change=change)

    async def _take_numbers(self, connection: Connection, table: str, wanted: int) -> list[int]:
        """Numbers that this process has set aside; it asks for twice as many each time it runs out.

        So a commit knows its numbers before it is sent, and needs no second round trip.
        """
        spare = self._numbers[table]
        if len(spare) < wanted:
            block = self._number_block[table]
            self._number_block[table] = min(block * 2, MOST_NUMBERS)
            column = "team_id" if table == "team" else "id"
            ask = max(wanted, block)
            rows = await connection.fetch(self._sql["numbers"], table, ask, column)
            spare.extend(row[0] for row in rows)
        return [spare.popleft() for _ in range(wanted)]

    async def _schema_version(self, connection: Connection) -> int:
        if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
            return 0
        async with _patient(connection):
            return int(await connection.fetchval("SELECT max(version) FROM schema_version") or 0)

    async def _take_steps(self, connection: Connection) -> tuple[int, int]:
        await connection.execute("LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE")
        before = await self._schema_version(connection)
        for step in migrations.steps(self.name, after=before):
            await connection.execute(step.text, timeout=MIGRATION_SECONDS)
            await connection.execute(
                "INSERT INTO schema_version (version, name, applied) VALUES ($1, $2, now())",
                step.version,
                step.name,
            )
        return before, await self._schema_version(connection)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.acquire(timeout=CONNECT_SECONDS)
        except (asyncpg.PostgresError, *_OUT_OF_REACH) as error:
            raise unavailable(_said(error)) from error
        self._measures.connections_busy.inc()
        try:
            yield connection
        except asyncpg.UniqueViolationError:
            raise AlreadyThereError from None
        except asyncio.CancelledError:
            _cut(connection)
            raise
        except _OUT_OF_REACH as error:
            _cut(connection)
            await self._pool.expire_connections()
            raise unavailable(_said(error)) from error
        finally:
            self._measures.connections_busy.dec()
            await self._pool.release(connection)


@asynccontextmanager
async def _patient(connection: Connection) -> AsyncIterator[None]:
    """A transaction that waits for a program that is migrating, but not for ever."""
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{MIGRATION_LOCK_SECONDS}s'")
            yield
    except asyncpg.LockNotAvailableError:
        raise unfit(
            f"Another program is migrating this database; we waited {MIGRATION_LOCK_SECONDS} s. "
            "Try again when it is done."
        ) from None


def _cut(connection: Connection) -> None:
    """End a connection: what it is doing is unknown, and asking it politely can hang."""
    with suppress(asyncpg.InterfaceError):  # it has gone by itself
        connection.terminate()


async def _nothing(_connection: object) -> None:
    """What is reset when a connection goes back to the pool."""


def _said(error: BaseException) -> str:
    """What went wrong, in one line; drivers put neither password nor data in these."""
    return " ".join(str(error).split()) or type(error).__name__
