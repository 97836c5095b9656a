"""A full disk under SQLite: writes are refused, none is lost, and they succeed after a cleanup."""

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
from tests.support.verify import read_rows
from tests.support.waiting import wait_until_async
from tests.support.write_load import Load

pytestmark = pytest.mark.anyio

CLIENTS = 16
REFUSED_SECONDS = 10
HEAL_SECONDS = 2
MAX_BYTES = 8192

SetFree = Callable[[Server, bool], None]
LimitDisk = Callable[[Path], AbstractContextManager[SetFree]]


@contextmanager
def by_file_size(directory: Path) -> Iterator[SetFree]:
    """Limit the size of the server's files to a few pages, with a resource limit."""
    (directory / "data").mkdir()

    def set_free(server: Server, is_free: bool) -> None:
        hard = resource.RLIM_INFINITY
        limit = hard if is_free else MAX_BYTES
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, hard))

    yield set_free


@contextmanager
def by_file_system(directory: Path) -> Iterator[SetFree]:
    """Use a small file system, and fill it: existing files remain, and none can grow."""
    data = directory / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(data)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small file system")
    filler = data / "filler"

    def set_free(server: Server, is_free: bool) -> None:
        if is_free:
            filler.unlink()
            return
        with filler.open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(4096))
                except OSError:
                    return

    try:
        yield set_free
    finally:
        subprocess.run(["umount", str(data)], check=True, timeout=10)


@pytest.mark.parametrize("limit_disk", [by_file_size, by_file_system])
async def test_writes_are_refused_while_the_disk_is_full_and_none_is_lost(
    tmp_path: Path, limit_disk: LimitDisk, note: Note
) -> None:
    with limit_disk(tmp_path) as set_free:
        database = f"sqlite:///{tmp_path}/data/reachbook.db"
        load = await fill_the_disk_repeatedly(tmp_path, database, set_free)
        faults = (await read_rows(database)).faults(load.log)
    note(f"{load.log.acknowledged} acknowledged, {len(load.refused_after)} refused")
    assert (faults, load.wrong, load.cuts) == ([], [], 0)


async def fill_the_disk_repeatedly(directory: Path, database: str, set_free: SetFree) -> Load:
    key = await create_api_key(database)
    async with serving_async(directory, database, errors=Path(os.devnull)) as server:
        load = Load([Client(server.port, key) for _ in range(CLIENTS)])
        async with load.running():
            for _ in range(scaled(1, 10)):
                await fill_and_free(server, load, set_free, key)
        assert await asyncio.to_thread(server.stop) == 0
    return load


async def fill_and_free(server: Server, load: Load, set_free: SetFree, key: str) -> None:
    now = time.monotonic()
    await wait_until_async(
        lambda: load.all_served_since(now), REFUSED_SECONDS, "all clients are served"
    )
    set_free(server, False)
    full = time.monotonic()
    await wait_until_async(
        lambda: min(load.refused_at) > full, REFUSED_SECONDS, "all clients are refused"
    )
    async with open_clients(1, server.port, key) as [reader]:
        assert (await reader.request("GET", "/v1/team")).status == 200
        assert (await reader.request("GET", "/healthz")).status == 200
    await asyncio.sleep(0.3)
    set_free(server, True)
    free = time.monotonic()
    await wait_until_async(
        lambda: load.all_served_since(free), HEAL_SECONDS, "all clients are served again"
    )
