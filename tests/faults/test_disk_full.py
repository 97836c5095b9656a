"""No room is left under SQLite: refused, nothing lost, and served again when there is room."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import Note
from tests.support.clients import Client, open_clients
from tests.support.full_size import scaled
from tests.support.server_process import Server, serving_async
from tests.support.teams import create_api_key
from tests.support.verify import truth
from tests.support.waiting import wait_until_async
from tests.support.write_load import Load

pytestmark = pytest.mark.anyio

CLIENTS = 16
REFUSED_SECONDS = 10
HEAL_SECONDS = 2
MAX_BYTES = 8192

Room = Callable[[Server, bool], None]
Means = Callable[[Path], AbstractContextManager[Room]]


@contextmanager
def by_file_size(directory: Path) -> Iterator[Room]:
    """No file of the server may grow past a few pages, by its own resource limit."""
    (directory / "data").mkdir()

    def room(server: Server, there: bool) -> None:
        hard = resource.RLIM_INFINITY
        limit = hard if there else MAX_BYTES
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, hard))

    yield room


@contextmanager
def by_file_system(directory: Path) -> Iterator[Room]:
    """The file system is full, as a real one is: what was there stays, and no byte more."""
    data = directory / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(data)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    filler = data / "filler"

    def room(server: Server, there: bool) -> None:
        if there:
            filler.unlink()
            return
        with filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    return

    try:
        yield room
    finally:
        subprocess.run(["umount", str(data)], check=True, timeout=10)


@pytest.mark.parametrize("means", [by_file_size, by_file_system])
async def test_it_works(tmp_path: Path, means: Means, note: Note) -> None:
    with means(tmp_path) as room:
        database = f"sqlite:///{tmp_path}/data/reachbook.db"
        load = await without_room_now_and_then(tmp_path, database, room)
        faults = (await truth(database)).faults(load.ledger)
    note(f"{load.ledger.acknowledged} acknowledged, {len(load.refused_after)} refused")
    assert (faults, load.wrong, load.cuts) == ([], [], 0)


async def without_room_now_and_then(directory: Path, database: str, room: Room) -> Load:
    key = await create_api_key(database)
    async with serving_async(directory, database, errors=Path(os.devnull)) as server:
        load = Load([Client(server.port, key) for _ in range(CLIENTS)])
        async with load.running():
            for _ in range(scaled(1, 10)):
                await full_and_free_again(server, load, room, key)
        assert await asyncio.to_thread(server.stop) == 0
    return load


async def full_and_free_again(server: Server, load: Load, room: Room, key: str) -> None:
    now = time.monotonic()
    await wait_until_async(
        lambda: load.all_served_since(now), REFUSED_SECONDS, "everyone is served"
    )
    room(server, False)
    full = time.monotonic()
    await wait_until_async(
        lambda: min(load.refused_at) > full, REFUSED_SECONDS, "everyone is refused"
    )
    async with open_clients(1, server.port, key) as [reader]:
        assert (await reader.request("GET", "/v1/team")).status == 200
        assert (await reader.request("GET", "/healthz")).status == 200
    await asyncio.sleep(0.3)
    room(server, True)
    free = time.monotonic()
    await wait_until_async(
        lambda: load.all_served_since(free), HEAL_SECONDS, "everyone is served again"
    )
