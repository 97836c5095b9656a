"""Power loss while SQLite writes: with synchronous=FULL no acknowledged write is lost."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from reachbook.storage.sqlite.engine import Sqlite
from tests.faults.conftest import Note
from tests.support import sqlite_vfs as vfs
from tests.support.clients import Response
from tests.support.full_size import scaled
from tests.support.personas import Api, open_api
from tests.support.verify import read_rows
from tests.support.waiting import wait_until_async
from tests.support.write_load import Load, WriteLog, fault_of_refusal

pytestmark = pytest.mark.anyio

FILE = "reachbook.db"
CLIENTS = 16
MAX_STEPS = 900
SECONDS = 20


@dataclass
class InProcessClient:
    """A client of the application in this process."""

    api: Api

    async def request(self, method: str, path: str, body: object = None) -> Response:
        start = time.monotonic()
        return to_response(await self.api.request(method, path, body), start)

    def close(self) -> None:
        pass


def to_response(response: httpx.Response, start: float | None = None) -> Response:
    """Convert a response of httpx."""
    seconds = 0.0 if start is None else time.monotonic() - start
    return Response(response.status_code, response.headers, response.content, seconds)


def writer(api: Api) -> Any:
    """Return the connection that writes; the writer must be idle."""
    return cast("Sqlite", api.store.engine)._writer._connection


@asynccontextmanager
async def on_simulated_disk(directory: Path) -> AsyncIterator[tuple[vfs.Disk, Api, Load]]:
    with vfs.simulated() as disk:
        async with open_api(f"sqlite:///{directory}/{FILE}") as api:
            yield disk, api, Load([InProcessClient(api) for _ in range(CLIENTS)], pause=0)


async def faults_after_power_loss(directory: Path, seed: int, synchronous: str) -> list[str]:
    """Lose power under load, and return the faults of the database afterwards."""
    rng = random.Random(seed)
    images: list[tuple[vfs.Image, int]] = []
    async with on_simulated_disk(directory) as (disk, api, load):
        writer(api).pragma("synchronous", synchronous)
        writer(api).pragma("wal_autocheckpoint", rng.choice([50, 1000, 1000]))
        async with load.running():
            await wait_until_async(
                lambda: load.all_served_since(0), SECONDS, "all clients are served"
            )
            disk.lose_power(
                rng,
                rng.randrange(MAX_STEPS),
                lambda image: images.append((image, len(load.log.lines))),
            )
            await wait_until_async(lambda: bool(images), SECONDS, "the power goes")
        assert load.wrong == []
    image, lines = images[0]
    vfs.put(image, directory / "back")
    acknowledged = WriteLog(load.log.lines[:lines])
    return (await read_rows(f"sqlite:///{directory}/back/{FILE}")).faults(acknowledged)


@pytest.mark.parametrize("seed", range(scaled(5, 40)))
async def test_no_acknowledged_write_is_lost_with_synchronous_full(
    tmp_path: Path, seed: int
) -> None:
    """Also no change is incomplete."""
    assert await faults_after_power_loss(tmp_path, seed, "FULL") == []


async def test_a_lost_write_is_detected(tmp_path: Path, note: Note) -> None:
    """With synchronous=NORMAL a commit does not wait for the disk, so writes are lost."""
    runs = scaled(10, 40)
    lost = 0
    for seed in range(runs):
        directory = tmp_path / str(seed)
        directory.mkdir()
        lost += await faults_after_power_loss(directory, seed, "NORMAL") != []
    note(f"with NORMAL, {lost} of {runs} power losses lost writes")

    assert lost


async def test_a_failed_commit_refuses_all_waiting_writes(tmp_path: Path) -> None:
    async with on_simulated_disk(tmp_path) as (disk, api, load):
        async with load.running():
            await wait_until_async(
                lambda: load.all_served_since(0), SECONDS, "all clients are served"
            )
            disk.syncs = False
            failing = time.monotonic()
            await wait_until_async(
                lambda: min(load.refused_at) > failing, SECONDS, "all clients are refused"
            )
            assert (await api.request("GET", "/v1/team")).status_code == 200
            disk.syncs = True
            healed = time.monotonic()
            await wait_until_async(
                lambda: load.all_served_since(healed), 2, "all clients are served again"
            )
        assert load.wrong == []
        assert max(load.refused_after) < 2
    assert (await read_rows(f"sqlite:///{tmp_path}/{FILE}")).faults(load.log) == []


async def test_a_read_error_of_the_disk_gives_503(tmp_path: Path) -> None:
    async with on_simulated_disk(tmp_path) as (disk, api, _):
        uuid = await api.contact(("email", "a@example.test"))
        path = f"/v2/contact/{uuid}/channels"
        disk.reads = False
        assert fault_of_refusal(to_response(await api.request("GET", path))) == ""
        disk.reads = True
        assert (await api.request("GET", path)).status_code == 200


async def test_a_write_refused_for_a_timeout_is_not_done_later(tmp_path: Path) -> None:
    """The write is still in the writer's queue when its request is refused."""
    async with on_simulated_disk(tmp_path) as (_, api, _):
        uuid = await api.contact(("email", "a@example.test"))
        engine = cast("Sqlite", api.store.engine)
        hold = asyncio.create_task(engine._writer.run(lambda _: time.sleep(2.1)))
        await asyncio.sleep(0.1)
        body = {"channel_type": "email", "channel_id": "b@example.test"}

        response = await api.request("POST", f"/v2/contact/{uuid}/channel", body)

        assert fault_of_refusal(to_response(response)) == ""
        await hold
        shown = await api.request("GET", f"/v2/contact/{uuid}/channels")
        assert [channel["channel_id"] for channel in json.loads(shown.content)] == [
            "a@example.test"
        ]
