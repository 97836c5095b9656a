"""The migration of PostgreSQL's schema: by one program at a time, in one transaction."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from reachbook.storage import migrations
from reachbook.storage.engine import SchemaChange, unfit
from reachbook.storage.postgres import citus
from reachbook.storage.postgres.connection import Connection, transaction
from reachbook.storage.postgres.pool import LOCK_TIMEOUT

ENGINE = "postgres"
STEP_SECONDS = 3600.0
LOCK_SECONDS = 8

_MADE_MEANWHILE = (
    asyncpg.UniqueViolationError,
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateObjectError,
)
_COMMENT = re.compile(r"--.*$", re.MULTILINE)
_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
    version bigint NOT NULL PRIMARY KEY, name text NOT NULL, applied timestamptz NOT NULL
)"""


async def version(connection: Connection) -> int:
    """Returns the version of the schema, or 0 if there is none."""
    if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
        return 0
    async with _patient(connection):
        return await _newest_step(connection)


async def migrate(connection: Connection) -> SchemaChange:
    """Take every step that is missing, in one transaction, and distribute the tables on Citus."""
    migrations.refuse_newer(await version(connection), ENGINE)
    with suppress(*_MADE_MEANWHILE):  # another program created it at the same time
        async with _patient(connection):
            await connection.execute(_VERSION_TABLE)
    has_citus = await citus.is_installed(connection)
    distributed: tuple[str, ...] = ()
    async with _patient(connection):
        if has_citus:
            await connection.execute(citus.SEQUENTIAL)
        await connection.execute("LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE")
        before = await _newest_step(connection)
        await _take_steps(connection, before)
        after = await _newest_step(connection)
        if has_citus:
            distributed = await citus.distribute(connection)
    to_run = await citus.set_lock_timeout(connection, LOCK_TIMEOUT) if has_citus else ()
    return SchemaChange(before, after, distributed, to_run)


async def _take_steps(connection: Connection, before: int) -> None:
    for step in migrations.steps(ENGINE, after=before):
        await _take(connection, step.text)
        await connection.execute(
            "INSERT INTO schema_version (version, name, applied) VALUES ($1, $2, now())",
            step.version,
            step.name,
        )


async def _take(connection: Connection, step: str) -> None:
    try:
        # Citus does not accept several statements at once for a distributed table.
        for statement in _statements(step):
            await connection.execute(statement, timeout=STEP_SECONDS)
    except (asyncpg.DuplicateTableError, asyncpg.DuplicateObjectError) as error:
        raise migrations.not_a_reachbook_store(str(error)) from None


def _statements(step: str) -> list[str]:
    """Returns the statements of a step, without its comments, which may hold semicolons."""
    text = _COMMENT.sub("", step)
    return [statement for statement in text.split(";") if statement.strip()]


@asynccontextmanager
async def _patient(connection: Connection) -> AsyncIterator[None]:
    """A transaction that waits at most `LOCK_SECONDS` for another program that migrates."""
    try:
        async with transaction(connection):
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            yield
    except asyncpg.LockNotAvailableError:
        raise unfit(
            f"Another program is migrating this database, for more than {LOCK_SECONDS} s. "
            "Try again when it is done."
        ) from None


async def _newest_step(connection: Connection) -> int:
    return int(await connection.fetchval("SELECT max(version) FROM schema_version") or 0)
