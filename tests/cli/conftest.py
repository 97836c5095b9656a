"""Where the commands of a test run: a data directory of its own, on either store."""

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
    """Nothing is there yet; the store will be SQLite in the data directory."""
    return Home(tmp_path / "data")


@pytest.fixture
def bobs(home: Home) -> Home:
    """SQLite with one team, Bob's."""
    asyncio.run(_make_team(f"sqlite:///{home.directory}/reachbook.db"))
    return home


@pytest.fixture
def housed(database: str, tmp_path: Path) -> Home:
    """A migrated database with one team, Bob's; once on each store."""
    asyncio.run(_make_team(database))
    return Home(tmp_path / "data").having(database=database)


async def _make_team(database: str) -> None:
    store = await open_store(database)
    await Administration(store, timestamps.now).create_team("Bob's team", "US")
    await store.close()
