"""Opens the stores and the services of several processes in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from reachbook.domain import timestamps
from reachbook.domain.credential import TeamId
from reachbook.service import Service, TeamKeys, WriteContext
from reachbook.storage import Store, open_store
from tests.support.personas import MASTER_KEY


@asynccontextmanager
async def stores(database: str) -> AsyncIterator[Sequence[Store]]:
    """Open the stores of as many processes as may serve a database, up to two."""
    number = 2 if database.startswith("postgresql") else 1
    opened = [await open_store(database) for _ in range(number)]
    try:
        yield opened
    finally:
        for store in opened:
            await store.close()


async def team(store: Store) -> WriteContext:
    """Create a team, and return the context of its writes."""
    made = await store.create_team("Bob's team", None, timestamps.now())
    return WriteContext(TeamId(made.team_id), "test", "test")


def services(opened: Sequence[Store]) -> list[Service]:
    """Return the service of each process."""
    return [Service(store, TeamKeys(store, (MASTER_KEY,))) for store in opened]
