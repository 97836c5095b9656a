"""PostgreSQL fails under load: requests get 503 in time, and no acknowledged write is lost."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from reachbook.storage.postgres.pool import POOL_SIZE
from tests.faults.conftest import Note
from tests.support.clients import Client, open_clients
from tests.support.full_size import LONG, scaled
from tests.support.personas import ALICE
from tests.support.postgres_cluster import Cluster
from tests.support.server_process import Server, serving_async
from tests.support.tcp_proxy import Network, Proxy
from tests.support.teams import create_api_key
from tests.support.verify import read_rows
from tests.support.waiting import wait_until_async
from tests.support.write_load import Load, fault_of_refusal

pytestmark = pytest.mark.anyio

CLIENTS = 32
RESPONSE_SECONDS = 2.0  # within this time a request is refused if the database is not reachable
HEAL_SECONDS = 2.0  # within this time a request is served after the database is reachable again
WATCHED_SECONDS = 0.6
NOISE_SECONDS = 0.0 if LONG else 0.5  # for other programs on a machine that runs tests

FAULTS = [
    (Network.CLOSED, 0.0),
    (Network.CUTTING, 0.0),
    (Network.SWALLOWING, 0.0),
    (Network.DEAF, 0.0),
    (Network.SLOW, 0.4),
    (Network.SLOW, 3.0),
]


@dataclass(frozen=True)
class PreparedServer:
    """A server that reaches PostgreSQL through a proxy."""

    server: Server
    proxy: Proxy
    key: str
    cluster: Cluster
    name: str


@asynccontextmanager
async def prepare(
    cluster: Cluster, directory: Path, *arguments: str
) -> AsyncIterator[PreparedServer]:
    name = await cluster.database()
    key = await create_api_key(cluster.url(name))
    proxy = Proxy(cluster.socket_path)
    async with proxy.running():
        by_proxy = cluster.url_by(proxy.port, name)
        async with serving_async(directory, by_proxy, *arguments) as server:
            yield PreparedServer(server, proxy, key, cluster, name)


@pytest.fixture
async def prepared(cluster: Cluster, tmp_path: Path) -> AsyncIterator[PreparedServer]:
    async with prepare(cluster, tmp_path) as started:
        yield started


async def wait_until_healed(load: Load) -> float:
    """Wait until every client is served again, and return the seconds."""
    back = time.monotonic()
    seconds = HEAL_SECONDS + NOISE_SECONDS
    await wait_until_async(lambda: load.all_served_since(back), seconds, "every client is served")
    healed = time.monotonic()
    await asyncio.sleep(WATCHED_SECONDS)
    assert max(load.refused_at) < healed
    return healed - back


async def assert_nothing_was_lost(prepared: PreparedServer, load: Load, note: Note) -> None:
    slowest = max(load.refused_after, default=0.0)
    note(
        f"{load.log.acknowledged} acknowledged, {len(load.refused_after)} refused, "
        f"the slowest after {slowest:.2f} s"
    )
    assert load.wrong == []
    assert load.cuts == 0
    assert 0 < slowest <= RESPONSE_SECONDS + NOISE_SECONDS
    assert (await read_rows(prepared.cluster.url(prepared.name))).faults(load.log) == []
    await assert_no_connection_leaks(prepared)


async def assert_no_connection_leaks(prepared: PreparedServer) -> None:
    """Check that all connections of the pool work, and that PostgreSQL has no others."""
    await prepared.proxy.close_silent()
    async with open_clients(3 * POOL_SIZE, prepared.server.port, prepared.key) as clients:
        async with asyncio.timeout(10):
            for _ in range(5):
                responses = await asyncio.gather(
                    *[client.request("GET", "/v1/team") for client in clients]
                )
                assert {response.status for response in responses} == {200}
        await asyncio.sleep(0.5)
        assert await prepared.cluster.connections(prepared.name) <= POOL_SIZE


async def test_no_acknowledged_write_is_lost_during_network_faults(
    prepared: PreparedServer, note: Note
) -> None:
    """Every fault of the network occurs under load, first in order and then at random."""
    load = Load([Client(prepared.server.port, prepared.key) for _ in range(CLIENTS)])
    rng = random.Random(3)
    faults = [FAULTS[i] if i < len(FAULTS) else rng.choice(FAULTS) for i in range(scaled(6, 50))]
    slowest = 0.0
    async with load.running():
        await asyncio.sleep(0.5)
        for network, delay in faults:
            await prepared.proxy.set_network(network, delay)
            await asyncio.sleep(rng.uniform(0.5, 2.5) if LONG else 1)
            await prepared.proxy.set_network(Network.OPEN)
            slowest = max(slowest, await wait_until_healed(load))
    note(f"{len(faults)} faults, healed after {slowest:.2f} s at most")
    await assert_nothing_was_lost(prepared, load, note)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_no_acknowledged_write_is_lost_during_restarts_of_postgresql(
    prepared: PreparedServer, mode: str, note: Note
) -> None:
    load = Load([Client(prepared.server.port, prepared.key) for _ in range(CLIENTS)])
    stops, slowest = scaled(1, 5), 0.0
    async with load.running():
        for _ in range(stops):
            await asyncio.sleep(0.3)
            await prepared.cluster.stop(mode)
            await asyncio.sleep(0.5)
            await prepared.cluster.start()
            slowest = max(slowest, await wait_until_healed(load))
    note(f"stopped {stops} times, healed after {slowest:.2f} s at most")
    await assert_nothing_was_lost(prepared, load, note)


LONG_OPERATIONS: list[tuple[str, str, object]] = [
    ("POST", "/v2/contacts/list", {}),
    ("POST", "/v2/contacts/search", {"contact_channels": [{"channel_ids": ["15105553344"]}]}),
    ("POST", "/v2/contacts", {"contacts": [{"first": "Alice"}, {"first": "Bob"}]}),
    ("DELETE", "/v2/contacts", {"contact_channels": [{"channel_type": "id", "channel_ids": []}]}),
    ("POST", "/x/resolve/batch", {"addresses": [{"channel_id": "15105553344"}]}),
    ("GET", "/x/events", None),
    ("GET", f"/x/contact/{ALICE}/export", None),
    ("DELETE", f"/x/contact/{ALICE}/erase", None),
]
"""Operations with a long timeout."""


@pytest.mark.parametrize("network", [Network.CUTTING, Network.SWALLOWING, Network.DEAF])
async def test_long_operations_are_refused_as_quickly_as_others(
    prepared: PreparedServer, network: Network
) -> None:
    async with open_clients(len(LONG_OPERATIONS), prepared.server.port, prepared.key) as clients:
        await asyncio.gather(*[client.request("GET", "/v1/team") for client in clients])
        await prepared.proxy.set_network(network)
        start = time.monotonic()
        responses = await asyncio.gather(
            *[
                client.request(*operation)
                for client, operation in zip(clients, LONG_OPERATIONS, strict=True)
            ]
        )
        seconds = time.monotonic() - start

    assert [fault_of_refusal(response) for response in responses] == [""] * len(LONG_OPERATIONS)
    assert {response.status for response in responses} == {503}
    assert seconds <= RESPONSE_SECONDS + NOISE_SECONDS


async def test_the_remaining_rows_of_a_bulk_write_fail_if_the_database_is_lost(
    prepared: PreparedServer,
) -> None:
    """The contacts in the response were written before, and are in the database."""
    rows = [{"first": f"Number {number}"} for number in range(1000)]
    async with open_clients(1, prepared.server.port, prepared.key) as [client]:
        observer = await asyncpg.connect(prepared.cluster.url(prepared.name))
        writing = asyncio.create_task(client.request("POST", "/v2/contacts", {"contacts": rows}))
        async with asyncio.timeout(RESPONSE_SECONDS):
            while not await observer.fetchval("SELECT count(*) FROM contact"):
                pass
        await observer.close()
        cut = time.monotonic()
        await prepared.proxy.set_network(Network.DEAF)
        response = await writing
        seconds = time.monotonic() - cut

    result = response.json()
    assert response.status == 200
    assert seconds <= RESPONSE_SECONDS + NOISE_SECONDS
    assert 0 < len(result["contacts"]) < len(rows)
    assert len(result["contacts"]) + len(result["failed_contacts"]) == len(rows)
    assert {contact["error_code"] for contact in result["failed_contacts"]} == {"store_unavailable"}
    stored = {
        uuid for _, uuid, _ in (await read_rows(prepared.cluster.url(prepared.name))).contacts
    }
    assert {contact["uuid"] for contact in result["contacts"]} <= stored


@pytest.mark.parametrize("network", [Network.SWALLOWING, Network.DEAF])
async def test_a_single_client_is_served_soon_after_the_network_returns(
    prepared: PreparedServer, network: Network
) -> None:
    """Every connection of the pool may be broken; they must not be tried one after the other."""
    async with open_clients(2 * POOL_SIZE, prepared.server.port, prepared.key) as clients:
        await asyncio.gather(*[client.request("GET", "/v1/team") for client in clients])
        await prepared.proxy.set_network(network)
        await asyncio.sleep(1)
        assert fault_of_refusal(await clients[0].request("GET", "/v1/team")) == ""
        await prepared.proxy.set_network(Network.OPEN)
        back = time.monotonic()

        while (response := await clients[0].request("GET", "/v1/team")).status != 200:
            assert fault_of_refusal(response) == ""
            assert time.monotonic() - back < HEAL_SECONDS + NOISE_SECONDS
            await asyncio.sleep(0.1)
    await assert_no_connection_leaks(prepared)
