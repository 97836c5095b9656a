"""After a server is killed under load, every acknowledged write is in the database."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from reachbook.doctor import Finding, examine
from reachbook.storage import open_store
from tests.faults.conftest import Note
from tests.support.clients import Client
from tests.support.full_size import scaled
from tests.support.personas import MASTER_KEY
from tests.support.postgres_cluster import Cluster
from tests.support.server_process import serving_async
from tests.support.teams import create_api_key
from tests.support.verify import read_rows
from tests.support.waiting import wait_until_async
from tests.support.write_load import Load, WriteLog

pytestmark = pytest.mark.anyio

CLIENTS = 16
SERVED_SECONDS = 10


async def test_no_acknowledged_write_is_lost_on_sqlite(tmp_path: Path, note: Note) -> None:
    await kill_repeatedly(tmp_path, f"sqlite:///{tmp_path}/reachbook.db", [], note)


async def test_no_acknowledged_write_is_lost_on_postgresql(
    tmp_path: Path, cluster: Cluster, note: Note
) -> None:
    """The parent and its two workers are killed at the same time."""
    database = cluster.url(await cluster.database())
    await kill_repeatedly(tmp_path, database, ["--workers", "2"], note)


async def findings_of_the_doctor(database: str) -> list[Finding]:
    store = await open_store(database)
    try:
        return [finding async for finding in examine(store, (MASTER_KEY,))]
    finally:
        await store.close()


async def kill_repeatedly(directory: Path, database: str, arguments: list[str], note: Note) -> None:
    rng = random.Random(4)
    key = await create_api_key(database)
    log = WriteLog()
    kills = scaled(3, 30)
    for _ in range(kills):
        async with serving_async(directory, database, *arguments) as server:
            load = Load([Client(server.port, key) for _ in range(CLIENTS)])
            load.log = log
            async with load.running():
                await wait_until_async(
                    lambda: load.all_served_since(0),  # noqa: B023
                    SERVED_SECONDS,
                    "all clients are served",
                )
                await asyncio.sleep(rng.uniform(0, 0.5))
                await asyncio.to_thread(server.kill)
            assert load.wrong == []
        assert (await read_rows(database)).faults(log) == []
        assert await findings_of_the_doctor(database) == []
    note(f"{kills} kills, {log.acknowledged} writes acknowledged, none lost")
