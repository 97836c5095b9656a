"""Workers that are killed and servers that are replaced: no acknowledged write is lost."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.faults.conftest import Note
from tests.support.clients import Client
from tests.support.full_size import scaled
from tests.support.postgres_cluster import Cluster
from tests.support.server_process import STOP_SECONDS, Server, serving_async
from tests.support.tcp_proxy import Network, Proxy
from tests.support.teams import create_api_key
from tests.support.verify import read_rows
from tests.support.waiting import wait_until_async
from tests.support.write_load import Load

pytestmark = pytest.mark.anyio

CLIENTS = 16
SERVED_SECONDS = 10
REPLACED_SECONDS = 15


async def wait_until_all_are_served(load: Load) -> None:
    now = time.monotonic()
    await wait_until_async(
        lambda: load.all_served_since(now), SERVED_SECONDS, "all clients are served"
    )


def is_replaced(server: Server, dead: psutil.Process) -> bool:
    pids = [worker.pid for worker in server.workers()]
    return len(pids) == 2 and dead.pid not in pids


async def test_a_killed_worker_is_replaced(tmp_path: Path, cluster: Cluster, note: Note) -> None:
    database = cluster.url(await cluster.database())
    key = await create_api_key(database)
    async with serving_async(tmp_path, database, "--workers", "2") as server:
        load = Load([Client(server.port, key) for _ in range(CLIENTS)])
        async with load.running():
            for _ in range(scaled(1, 5)):
                await wait_until_all_are_served(load)
                dead = server.workers()[0]
                dead.kill()
                await wait_until_async(
                    lambda: is_replaced(server, dead),  # noqa: B023
                    REPLACED_SECONDS,
                    "a new worker",
                )
            await wait_until_all_are_served(load)
        code = await asyncio.to_thread(server.stop)
    note(f"{load.log.acknowledged} acknowledged, {load.cuts} requests without a response")
    assert (code, load.wrong, load.refused_after) == (0, [], [])
    assert (
        load.cuts <= scaled(1, 5) * CLIENTS
    )  # at most the requests in progress in the killed workers
    assert (await read_rows(database)).faults(load.log) == []


async def test_a_worker_killed_during_an_outage_is_replaced_after_it(
    tmp_path: Path, cluster: Cluster
) -> None:
    name = await cluster.database()
    key = await create_api_key(cluster.url(name))
    proxy = Proxy(cluster.socket_path)
    async with proxy.running():
        by_proxy = cluster.url_by(proxy.port, name)
        async with serving_async(tmp_path, by_proxy, "--workers", "2") as server:
            dead = server.workers()[0]
            await proxy.set_network(Network.CLOSED)
            dead.kill()
            await asyncio.sleep(3)
            assert server.process.poll() is None
            await proxy.set_network(Network.OPEN)
            await wait_until_async(
                lambda: is_replaced(server, dead), REPLACED_SECONDS, "a new worker"
            )
            load = Load([Client(server.port, key) for _ in range(CLIENTS)])
            async with load.running():
                await wait_until_all_are_served(load)
            code = await asyncio.to_thread(server.stop)
    assert code == 0


async def test_workers_exit_with_their_parent(tmp_path: Path, cluster: Cluster) -> None:
    """Otherwise they would hold the port, and a new server could not listen on it."""
    database = cluster.url(await cluster.database())
    key = await create_api_key(database)
    async with serving_async(tmp_path, database, "--workers", "2") as server:
        processes = server.processes()
        load = Load([Client(server.port, key) for _ in range(CLIENTS)])
        async with load.running():
            await wait_until_all_are_served(load)
            server.process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(psutil.wait_procs, processes, STOP_SECONDS)
        assert [process for process in processes if process.is_running()] == []
        assert load.wrong == []
    assert (await read_rows(database)).faults(load.log) == []
    async with serving_async(tmp_path, database, "--port", str(server.port)):
        pass


async def test_an_unresponsive_database_does_not_delay_the_shutdown(
    tmp_path: Path, cluster: Cluster
) -> None:
    name = await cluster.database()
    key = await create_api_key(cluster.url(name))
    proxy = Proxy(cluster.socket_path)
    async with proxy.running():
        async with serving_async(
            tmp_path, cluster.url_by(proxy.port, name), "--workers", "2"
        ) as server:
            load = Load([Client(server.port, key) for _ in range(CLIENTS)])
            async with load.running():
                await wait_until_all_are_served(load)
                await proxy.set_network(Network.SWALLOWING)
                await asyncio.sleep(0.2)
                code = await asyncio.to_thread(server.stop)
        assert (code, load.wrong) == (0, [])
    assert (await read_rows(cluster.url(name))).faults(load.log) == []


async def replace_server(server: Server, directory: Path, database: str, load: Load) -> None:
    assert await asyncio.to_thread(server.stop) == 0
    async with serving_async(directory, database, "--port", str(server.port)):
        await wait_until_all_are_served(load)


async def test_a_rolling_restart_refuses_no_request(
    tmp_path: Path, cluster: Cluster, note: Note
) -> None:
    """Clients connect to the other server when a connection ends, like those behind a proxy."""
    database = cluster.url(await cluster.database())
    key = await create_api_key(database)
    async with (
        serving_async(tmp_path, database) as first,
        serving_async(tmp_path, database) as second,
        serving_async(tmp_path, database) as spare,
    ):
        ports = [[first.port, second.port], [second.port, first.port]]
        load = Load([Client([*ports[number % 2], spare.port], key) for number in range(CLIENTS)])
        async with load.running():
            for server in [first, second]:
                await wait_until_all_are_served(load)
                await replace_server(server, tmp_path, database, load)
    note(f"{load.log.acknowledged} acknowledged, {load.cuts} requests without a response")
    assert (load.wrong, load.refused_after, load.cuts) == ([], [], 0)
    assert (await read_rows(database)).faults(load.log) == []
