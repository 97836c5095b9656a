"""Raw SQL: statements that are sent with the database driver, without the program's code."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import apsw
import asyncpg

from reachbook.storage import opening

Rows = list[tuple[Any, ...]]
Raw = Callable[[str], Awaitable[Rows]]


def sql_runner(database: str) -> Raw:
    """Return a function that runs a statement on a new connection, and returns its rows."""
    if database.startswith("sqlite"):
        return lambda statement: _on_sqlite(database, statement)
    return lambda statement: _on_postgres(database, statement)


async def _on_sqlite(database: str, statement: str) -> Rows:
    connection = apsw.Connection(str(opening.sqlite_path(database)))
    connection.set_busy_timeout(5_000)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


async def _on_postgres(database: str, statement: str) -> Rows:
    connection = await asyncpg.connect(database)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


@asynccontextmanager
async def locked(database: str, statement: str) -> AsyncIterator[None]:
    """Hold the locks that a statement takes on PostgreSQL until the block ends, then roll back."""
    connection = await asyncpg.connect(database)
    begun = connection.transaction()
    await begun.start()
    await connection.execute(statement)
    try:
        yield
    finally:
        await begun.rollback()
        await connection.close()
