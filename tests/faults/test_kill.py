"""Killed while it acknowledges writes: all that was acknowledged is there when it starts again."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from reachbook.doctor import Finding, examine
from reachbook.server.master_key import known_keys
from reachbook.settings import Settings
from reachbook.storage import open_store
from tests.faults.conftest import Note
from tests.support.clients import Client
from tests.support.full_size import scaled
from tests.support.postgres_cluster import Cluster
from tests.support.servers import api_key, serving, until
from tests.support.verify import truth
from tests.support.write_load import Ledger, Load

pytestmark = pytest.mark.anyio

CLIENTS = 16
SERVED_SECONDS = 10


async def test_it_works_on_sqlite(tmp_path: Path, note: Note) -> None:
    await killed_again_and_again(tmp_path, f"sqlite:///{tmp_path}/reachbook.db", [], note)


async def test_it_works_on_postgresql(tmp_path: Path, cluster: Cluster, note: Note) -> None:
    """The parent and its two workers, all at once."""
    database = cluster.url(await cluster.database())
    await killed_again_and_again(tmp_path, database, ["--workers", "2"], note)


async def doctored(directory: Path, database: str) -> list[Finding]:
    keys = known_keys(Settings(data_dir=str(directory)))
    store = await open_store(database)
    try:
        return [one async for one in examine(store, keys)]
    finally:
        await store.close()


async def killed_again_and_again(
    directory: Path, database: str, arguments: list[str], note: Note
) -> None:
    chosen = random.Random(4)
    key = await api_key(database)
    ledger = Ledger()
    kills = scaled(3, 30)
    for _ in range(kills):
        async with serving(directory, database, *arguments) as server:
            load = Load([Client(server.port, key) for _ in range(CLIENTS)])
            load.ledger = ledger
            async with load.running():
                await until(lambda: load.all_served_since(0), SERVED_SECONDS, "everyone is served")  # noqa: B023
                await asyncio.sleep(chosen.uniform(0, 0.5))
                await server.kill()
            assert load.wrong == []
        assert (await truth(database)).faults(ledger) == []
        assert await doctored(directory, database) == []
    note(f"{kills} kills, {ledger.acknowledged} writes acknowledged, none lost")
