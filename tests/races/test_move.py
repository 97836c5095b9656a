"""Concurrent moves: an address always has one owner, and the histories of both contacts agree."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from reachbook.domain.channel import ChannelList, require_contact
from reachbook.domain.credential import TeamId
from reachbook.storage import Conflict, Outcome
from tests.support.clients import Client, open_clients
from tests.support.full_size import scaled
from tests.support.personas import Api
from tests.support.raw_sql import sql_runner
from tests.support.server_process import serving_async, worker_arguments
from tests.support.teams import create_api_key

pytestmark = pytest.mark.anyio

MOVERS = 8
MOVES = scaled(30, 500)
OWNERS = 4
ADDRESSES = [f"1510555{number:04d}" for number in range(3)]
CONTESTED = [f"1510555{number:04d}" for number in range(5)]
DEADLOCK_SECONDS = scaled(5, 60)
MAX_EVENTS = 1000
PATIENCE_SECONDS = scaled(60, 600)


async def create_contact(client: Client, channels: Sequence[str] = ()) -> str:
    """Create a contact, and return its UUID."""
    response = await client.request("POST", "/v2/contact", {"contact_channels": phones(channels)})
    assert response.status == 200, response.body
    return str(response.json()["uuid"])


def phones(numbers: Sequence[str]) -> list[dict[str, str]]:
    return [{"channel_type": "phone", "channel_id": number} for number in numbers]


async def move_at_random(client: Client, turn: int, owners: list[str]) -> None:
    """Move addresses from other contacts: one by a POST, or two by a PUT."""
    rng = random.Random(turn)
    for _ in range(MOVES):
        uuid, wanted = rng.choice(owners), phones(rng.sample(ADDRESSES, 2))
        if rng.random() < 0.5:
            path, body, method = f"/v2/contact/{uuid}/channel", wanted[0], "POST"
            response = await client.request(method, f"{path}?on_conflict=move", body)
        else:
            body_ = {"contact_channels": wanted}
            response = await client.request("PUT", f"/v2/contact/{uuid}?on_conflict=move", body_)
        assert response.status == 200, response.body


async def watch(client: Client, stop: asyncio.Event) -> int:
    """Resolve the addresses until `stop` is set; return the number of requests."""
    requests = 0
    batch = {"addresses": [{"channel_id": address} for address in ADDRESSES]}
    while not stop.is_set():
        response = await client.request("POST", "/x/resolve/batch", batch)
        results = response.json()["results"]
        assert all(result["contact"] for result in results), "an address had no owner"
        requests += 1
    return requests


async def feed(client: Client) -> list[dict[str, Any]]:
    """Return every event of the team."""
    events: list[dict[str, Any]] = []
    for _ in range(1000):
        response = await client.request("GET", f"/x/events?after={len(events)}&limit={MAX_EVENTS}")
        page = response.json()["events"]
        events += page
        if not page:
            return events
    raise AssertionError("the feed has no end")


def address_changes(event: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Return the addresses that a contact lost and got by an event."""
    before = {channel["channel_id"] for channel in (event["before"] or {}).get("channels", [])}
    after = {channel["channel_id"] for channel in (event["after"] or {}).get("channels", [])}
    return before - after, after - before


def owners_by_events(events: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the owner of each address by the events, and check that they are consistent."""
    owner: dict[str, str] = {}
    for event in events:
        lost, got = address_changes(event)
        for address in lost:
            assert owner.pop(address) == event["contact_id"], event
        for address in got:
            assert address not in owner, event
            owner[address] = event["contact_id"]
    return owner


async def test_moved_addresses_always_have_an_owner(database: str, tmp_path: Path) -> None:
    """Clients move one or two addresses at a time, while another client resolves them."""
    key = await create_api_key(database)
    async with (
        serving_async(tmp_path, database, *worker_arguments(database)) as server,
        open_clients(MOVERS + 1, server.port, key) as clients,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        watcher, *movers = clients
        owners = [await create_contact(watcher, ADDRESSES)]
        owners += [await create_contact(watcher) for _ in range(OWNERS - 1)]
        done = asyncio.Event()
        watching = asyncio.create_task(watch(watcher, done))
        try:
            await asyncio.gather(
                *(move_at_random(mover, turn, owners) for turn, mover in enumerate(movers))
            )
        finally:
            done.set()
        assert await watching
        events = await feed(movers[0])
        lists = [
            (uuid, (await movers[0].request("GET", f"/v2/contact/{uuid}/channels")).json())
            for uuid in owners
        ]
        histories = [
            (await movers[0].request("GET", f"/x/contact/{uuid}/history?limit=500")).json()[
                "events"
            ]
            for uuid in owners
        ]

    owned = {channel["channel_id"]: uuid for uuid, channels in lists for channel in channels}
    assert sorted(owned) == ADDRESSES
    assert sum(len(channels) for _, channels in lists) == len(ADDRESSES)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert owners_by_events(events) == owned
    _assert_moves_have_two_events(events)
    for uuid, history in zip(owners, histories, strict=True):
        mine = [event for event in events if event["contact_id"] == uuid]
        assert history == [_without_seq(event) for event in mine[::-1][:500]]


def _without_seq(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "seq"}


def _assert_moves_have_two_events(events: Sequence[dict[str, Any]]) -> None:
    """The addresses that a contact gets by a move are lost by others in the same request."""
    moved = [event for event in events if event["kind"].startswith("channel_moved")]
    assert {event["kind"] for event in moved} == {"channel_moved_here", "channel_moved_away"}
    requests: dict[str, list[set[str]]] = {}
    for event in moved:
        lost, got = address_changes(event)
        sides = requests.setdefault(event["request_id"], [set(), set()])
        sides[event["kind"] == "channel_moved_here"] |= lost | got
    assert all(away == here for away, here in requests.values())
    times = {(event["request_id"], event["at"]) for event in moved}
    assert len(times) == len(requests), "the two events of a move have different times"


async def test_a_created_contact_takes_moved_addresses_from_each_owner(api: Api) -> None:
    owners = [await api.contact(("phone", number)) for number in ADDRESSES]
    body = {"contact_channels": phones(ADDRESSES)}
    responses = await asyncio.gather(
        *(api.request("POST", "/v2/contact?on_conflict=move", body) for _ in range(3))
    )

    assert {response.status_code for response in responses} == {200}
    made = [response.json()["uuid"] for response in responses]
    stored = []
    for uuid in [*owners, *made]:
        channels = (await api.request("GET", f"/v2/contact/{uuid}/channels")).json()
        stored.append(sorted(channel["channel_id"] for channel in channels))
    assert sorted(stored) == [[]] * (len(owners) + len(made) - 1) + [ADDRESSES]


async def test_a_move_is_retried_after_a_conflict(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first commit has a conflict with the owner again, although the owner is locked."""
    owner, taker = await api.contact(("phone", ADDRESSES[0])), await api.contact()
    seen = require_contact(await api.store.read(ChannelList, TeamId(api.bob.team.team_id), owner))
    outcomes: list[Outcome] = [Conflict(owner, "address", seen.channels[0])]
    commit_locked = api.store.commit_locked

    async def overtaken(*arguments: Any) -> Outcome:
        return outcomes.pop() if outcomes else await commit_locked(*arguments)

    monkeypatch.setattr(api.store, "commit_locked", overtaken)
    path = f"/v2/contact/{taker}/channel?on_conflict=move"
    response = await api.request("POST", path, phones(ADDRESSES)[0])

    assert response.status_code == 200, response.text
    assert [channel["channel_id"] for channel in response.json()] == ADDRESSES[:1]
    assert (await api.request("GET", f"/v2/contact/{owner}/channels")).json() == []


def random_move(rng: random.Random, owners: Sequence[str]) -> tuple[str, str, object]:
    """Return a request that moves addresses from other contacts, or deletes an address."""
    uuid, wanted = rng.choice(owners), phones(rng.sample(CONTESTED, 3))
    contact = f"/v2/contact/{uuid}"
    moves: list[tuple[str, str, object]] = [
        ("POST", f"{contact}/channel?on_conflict=move", wanted[0]),
        ("PUT", f"{contact}/channel?on_conflict=move", wanted[0]),
        ("PUT", f"{contact}?on_conflict=move", {"phone": wanted[0]["channel_id"]}),
        ("PUT", f"{contact}?on_conflict=move", {"contact_channels": wanted}),
        ("POST", "/v2/contact?on_conflict=move", {"contact_channels": wanted}),
        ("DELETE", f"{contact}/channel/phone?channel_id={wanted[0]['channel_id']}", None),
    ]
    return rng.choices(moves, (4, 2, 2, 6, 1, 1))[0]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_moves_do_not_deadlock(fresh_api: Api) -> None:
    """Clients move the same few addresses with every kind of request."""
    api, end = fresh_api, time.monotonic() + DEADLOCK_SECONDS
    owners = [await api.contact(*(("phone", number) for number in CONTESTED))]
    owners += [await api.contact() for _ in range(OWNERS - 1)]
    statuses: Counter[int] = Counter()

    async def move(turn: int) -> None:
        rng = random.Random(turn)
        while time.monotonic() < end:
            response = await api.request(*random_move(rng, owners))
            statuses[response.status_code] += 1

    await asyncio.gather(*(move(turn) for turn in range(MOVERS)))
    await asyncio.sleep(1.0)  # PostgreSQL reports its counts once a second

    # 404: the contact has no phone to replace or to delete; 409: it has the address already.
    assert set(statuses) <= {200, 404, 409}, statuses
    counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await sql_runner(api.database)(counted) == [(0,)]


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
async def test_a_deadlock_is_retried(api: Api) -> None:
    """Another connection locks the two contacts in reverse order; PostgreSQL aborts the move."""
    uuids = [await api.contact(), await api.contact(("phone", ADDRESSES[0]))]
    lock = "SELECT id FROM contact WHERE uuid = $1 FOR UPDATE"
    other = await asyncpg.connect(api.database)
    await other.execute("SET deadlock_timeout = '20s'")
    async with other.transaction():
        await other.fetch(lock, uuids[1])
        moving = asyncio.create_task(
            api.request(
                "POST", f"/v2/contact/{uuids[0]}/channel?on_conflict=move", phones(ADDRESSES)[0]
            )
        )
        await asyncio.sleep(0.3)
        assert not moving.done()
        await other.fetch(lock, uuids[0])
    await other.close()
    response = await moving

    assert response.status_code == 200, response.text
    assert [channel["channel_id"] for channel in response.json()] == [ADDRESSES[0]]
    assert (await api.request("GET", f"/v2/contact/{uuids[1]}/channels")).json() == []


async def test_an_update_can_move_an_address_to_another_channel(api: Api) -> None:
    """The update replaces the primary phone, and adds the old number as a second phone."""
    uuid = await api.contact(("phone", ADDRESSES[0]))
    body = {"phone": ADDRESSES[1], "contact_channels": phones(ADDRESSES[:1])}
    response = await api.request("PUT", f"/v2/contact/{uuid}", body)

    assert response.status_code == 200, response.text
    assert response.json()["phone"] == ADDRESSES[1]
    stored = [channel["channel_id"] for channel in response.json()["contact_channels"]]
    assert sorted(stored) == ADDRESSES[:2]
