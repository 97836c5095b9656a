"""Many clients resolve an address concurrently: its contact is created once."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.support.clients import Client, open_clients
from tests.support.full_size import scaled
from tests.support.raw_sql import sql_runner
from tests.support.server_process import serving_async, worker_arguments
from tests.support.teams import create_api_key

pytestmark = pytest.mark.anyio

CLIENTS = scaled(16, 64)
ADDRESSES = scaled(100, 1000)
PATIENCE_SECONDS = scaled(40, 600)

Resolved = tuple[str, str, bool]


def spelling(number: int, turn: int) -> str:
    """Return one of the spellings of a number, which are the same address."""
    plain = f"1510555{number:04d}"
    return [plain, f"+{plain}", f"+1 (510) 555-{number:04d}"][turn % 3]


async def resolve_all(client: Client, turn: int) -> list[Resolved]:
    """Resolve every address in order; return its address, contact and whether it was created."""
    results = []
    for number in range(ADDRESSES):
        body = {"channel_id": spelling(number, turn), "create": {"first": f"By client {turn}"}}
        response = await client.request("POST", "/x/resolve", body)
        assert response.status == 200, response.body
        result = response.json()
        results.append(
            (result["channel"]["channel_id"], result["contact"]["uuid"], result["created"])
        )
    return results


async def test_each_address_gets_one_contact(database: str, tmp_path: Path) -> None:
    """All clients resolve the same addresses in the same order."""
    key = await create_api_key(database)
    async with (
        serving_async(tmp_path, database, *worker_arguments(database)) as server,
        open_clients(CLIENTS, server.port, key) as clients,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        results_of_clients = await asyncio.gather(
            *(resolve_all(client, turn) for turn, client in enumerate(clients))
        )

    owners: defaultdict[str, set[str]] = defaultdict(set)
    made: Counter[str] = Counter()
    for address, uuid, created in (result for results in results_of_clients for result in results):
        owners[address].add(uuid)
        made[address] += created
    assert len(owners) == ADDRESSES
    assert {len(uuids) for uuids in owners.values()} == {1}
    assert set(made.values()) == {1}
    counted = [
        await sql_runner(database)(f"SELECT count(*) FROM {table}")
        for table in ("contact", "contact_channel", "event")
    ]
    assert counted == [[(ADDRESSES,)]] * 3


async def test_a_resolve_finds_a_contact_created_concurrently(
    database: str, tmp_path: Path
) -> None:
    """Half of the clients create the contact and half resolve: exactly one creates it."""
    key = await create_api_key(database)
    rounds, racers = 20, 8
    async with (
        serving_async(tmp_path, database, *worker_arguments(database)) as server,
        open_clients(racers, server.port, key) as clients,
    ):
        for number in range(rounds):
            address = f"1510555{number:04d}"
            plain = {"contact_channels": [{"channel_type": "phone", "channel_id": address}]}
            requests = [
                client.request("POST", "/v2/contact", plain)
                if turn % 2
                else client.request("POST", "/x/resolve", {"channel_id": address, "create": {}})
                for turn, client in enumerate(clients)
            ]
            responses = await asyncio.gather(*requests)

            resolved = [response.json() for response in responses[::2] if response.status == 200]
            made = [response.json() for response in responses[1::2] if response.status == 200]
            refused = [response.json() for response in responses[1::2] if response.status == 409]
            assert (len(resolved), len(made) + len(refused)) == (racers // 2, racers // 2)
            assert sum(result["created"] for result in resolved) + len(made) == 1
            uuids = {result["contact"]["uuid"] for result in resolved}
            uuids |= {contact["uuid"] for contact in made}
            uuids |= {error["conflicting_contact_id"] for error in refused}
            assert len(uuids) == 1
