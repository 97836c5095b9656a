"""Many clients resolve an address at once: its contact is created exactly once."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.support.clients import Client, open_clients
from tests.support.full_size import scaled
from tests.support.raw_sql import beside
from tests.support.server_process import serving_async, worker_arguments
from tests.support.teams import create_api_key

pytestmark = pytest.mark.anyio

CLIENTS = scaled(16, 64)
ADDRESSES = scaled(100, 1000)
PATIENCE_SECONDS = scaled(40, 600)

Told = tuple[str, str, bool]


def spelled(number: int, turn: int) -> str:
    """One of the spellings of a number: what is typed differs, the address does not."""
    plain = f"1510555{number:04d}"
    return [plain, f"+{plain}", f"+1 (510) 555-{number:04d}"][turn % 3]


async def walk(client: Client, turn: int) -> list[Told]:
    """Resolve every address, one after the other; the address, the contact, whether it is new."""
    told = []
    for number in range(ADDRESSES):
        body = {"channel_id": spelled(number, turn), "create": {"first": f"By client {turn}"}}
        answer = await client.request("POST", "/x/resolve", body)
        assert answer.status == 200, answer.body
        said = answer.json()
        told.append((said["channel"]["channel_id"], said["contact"]["uuid"], said["created"]))
    return told


async def test_it_works(database: str, tmp_path: Path) -> None:
    """Everyone walks the same addresses side by side."""
    key = await create_api_key(database)
    async with (
        serving_async(tmp_path, database, *worker_arguments(database)) as server,
        open_clients(CLIENTS, server.port, key) as some,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        walks = await asyncio.gather(*(walk(one, turn) for turn, one in enumerate(some)))

    owners: defaultdict[str, set[str]] = defaultdict(set)
    made: Counter[str] = Counter()
    for address, uuid, created in (one for told in walks for one in told):
        owners[address].add(uuid)
        made[address] += created
    assert len(owners) == ADDRESSES
    assert {len(uuids) for uuids in owners.values()} == {1}
    assert set(made.values()) == {1}
    counted = [
        await beside(database)(f"SELECT count(*) FROM {table}")
        for table in ("contact", "contact_channel", "event")
    ]
    assert counted == [[(ADDRESSES,)]] * 3


async def test_an_owner_that_comes_meanwhile_by_another_road_is_found(
    database: str, tmp_path: Path
) -> None:
    """Half make the contact plainly and half resolve: one of all makes it, and nobody fails."""
    key = await create_api_key(database)
    rounds, racers = 20, 8
    async with (
        serving_async(tmp_path, database, *worker_arguments(database)) as server,
        open_clients(racers, server.port, key) as some,
    ):
        for number in range(rounds):
            address = f"1510555{number:04d}"
            plain = {"contact_channels": [{"channel_type": "phone", "channel_id": address}]}
            asked = [
                one.request("POST", "/v2/contact", plain)
                if turn % 2
                else one.request("POST", "/x/resolve", {"channel_id": address, "create": {}})
                for turn, one in enumerate(some)
            ]
            answers = await asyncio.gather(*asked)

            resolved = [one.json() for one in answers[::2] if one.status == 200]
            made = [one.json() for one in answers[1::2] if one.status == 200]
            refused = [one.json() for one in answers[1::2] if one.status == 409]
            assert (len(resolved), len(made) + len(refused)) == (racers // 2, racers // 2)
            assert sum(one["created"] for one in resolved) + len(made) == 1
            uuids = {one["contact"]["uuid"] for one in resolved} | {one["uuid"] for one in made}
            uuids |= {one["conflicting_contact_id"] for one in refused}
            assert len(uuids) == 1
