"""Data directories in which the commands of a test run, with SQLite or PostgreSQL.

Commands run in the test's process, unless the test uses `home.as_process()`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from reachbook.domain import timestamps
from reachbook.service.administration import Administration
from reachbook.storage import open_store
from tests.support.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty data directory; the database will be an SQLite file in it."""
    return Home(tmp_path / "data").in_process()


@pytest.fixture
def sqlite_home(home: Home) -> Home:
    """An SQLite database with one team, Bob's."""
    asyncio.run(_make_team(f"sqlite:///{home.directory}/reachbook.db"))
    return home


@pytest.fixture
def team_home(database: str, tmp_path: Path) -> Home:
    """A migrated database with one team, Bob's; on SQLite and on PostgreSQL."""
    asyncio.run(_make_team(database))
    return Home(tmp_path / "data").in_process().having(database=database)


async def _make_team(database: str) -> None:
    store = await open_store(database)
    await Administration(store, timestamps.now).create_team("Bob's team", "US")
    await store.close()
