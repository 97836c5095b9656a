"""Data directories in which the commands of a test run, on either store.

Commands run in the process of the test, unless it takes `home.as_process()`.
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
    """An empty data directory; the store will be SQLite in it."""
    return Home(tmp_path / "data").in_process()


@pytest.fixture
def bobs(home: Home) -> Home:
    """SQLite with one team, Bob's."""
    asyncio.run(_make_team(f"sqlite:///{home.directory}/reachbook.db"))
    return home


@pytest.fixture
def housed(database: str, tmp_path: Path) -> Home:
    """A migrated database with one team, Bob's; once on each store."""
    asyncio.run(_make_team(database))
    return Home(tmp_path / "data").in_process().having(database=database)


async def _make_team(database: str) -> None:
    store = await open_store(database)
    await Administration(store, timestamps.now).create_team("Bob's team", "US")
    await store.close()
