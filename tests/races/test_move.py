"""`move` under races: an address has one owner at every moment, and both histories say how."""

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
from tests.support.raw_sql import beside
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


async def person(client: Client, channels: Sequence[str] = ()) -> str:
    """A new contact's UUID."""
    answer = await client.request("POST", "/v2/contact", {"contact_channels": phones(channels)})
    assert answer.status == 200, answer.body
    return str(answer.json()["uuid"])


def phones(numbers: Sequence[str]) -> list[dict[str, str]]:
    return [{"channel_type": "phone", "channel_id": number} for number in numbers]


async def move_about(client: Client, turn: int, owners: list[str]) -> None:
    """Take addresses from other contacts: one by a POST, or two at once by a PUT."""
    chosen = random.Random(turn)
    for _ in range(MOVES):
        uuid, wanted = chosen.choice(owners), phones(chosen.sample(ADDRESSES, 2))
        if chosen.random() < 0.5:
            path, body, method = f"/v2/contact/{uuid}/channel", wanted[0], "POST"
            answer = await client.request(method, f"{path}?on_conflict=move", body)
        else:
            body_ = {"contact_channels": wanted}
            answer = await client.request("PUT", f"/v2/contact/{uuid}?on_conflict=move", body_)
        assert answer.status == 200, answer.body


async def watch(client: Client, moving: asyncio.Event) -> int:
    """Resolve the addresses until `moving` is set; return the number of requests."""
    asked = 0
    batch = {"addresses": [{"channel_id": one} for one in ADDRESSES]}
    while not moving.is_set():
        answer = await client.request("POST", "/x/resolve/batch", batch)
        results = answer.json()["results"]
        assert all(one["contact"] for one in results), "an address had no owner for a moment"
        asked += 1
    return asked


async def feed(client: Client) -> list[dict[str, Any]]:
    """Every event of the team."""
    events: list[dict[str, Any]] = []
    for _ in range(1000):
        answer = await client.request("GET", f"/x/events?after={len(events)}&limit={MAX_EVENTS}")
        page = answer.json()["events"]
        events += page
        if not page:
            return events
    raise AssertionError("the feed has no end")


def changed(event: dict[str, Any]) -> tuple[set[str], set[str]]:
    """The addresses that a contact lost and got by an event."""
    before = {one["channel_id"] for one in (event["before"] or {}).get("channels", [])}
    after = {one["channel_id"] for one in (event["after"] or {}).get("channels", [])}
    return before - after, after - before


def followed(events: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Who owns what in the end, as the events tell it; each step must fit the one before."""
    owner: dict[str, str] = {}
    for event in events:
        lost, got = changed(event)
        for address in lost:
            assert owner.pop(address) == event["contact_id"], event
        for address in got:
            assert address not in owner, event
            owner[address] = event["contact_id"]
    return owner


async def test_it_works(database: str, tmp_path: Path) -> None:
    """Movers take addresses from one another, one or two at a time, while somebody watches."""
    key = await create_api_key(database)
    async with (
        serving_async(tmp_path, database, *worker_arguments(database)) as server,
        open_clients(MOVERS + 1, server.port, key) as some,
        asyncio.timeout(PATIENCE_SECONDS),
    ):
        watcher, *movers = some
        owners = [await person(watcher, ADDRESSES)]
        owners += [await person(watcher) for _ in range(OWNERS - 1)]
        still = asyncio.Event()
        watching = asyncio.create_task(watch(watcher, still))
        try:
            await asyncio.gather(
                *(move_about(one, turn, owners) for turn, one in enumerate(movers))
            )
        finally:
            still.set()
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

    owned = {one["channel_id"]: uuid for uuid, channels in lists for one in channels}
    assert sorted(one["channel_id"] for _, channels in lists for one in channels) == ADDRESSES
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert followed(events) == owned
    _both_tell(events)
    for uuid, history in zip(owners, histories, strict=True):
        mine = [event for event in events if event["contact_id"] == uuid]
        assert history == [_without_seq(event) for event in mine[::-1][:500]]


def _without_seq(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "seq"}


def _both_tell(events: Sequence[dict[str, Any]]) -> None:
    """What one contact gets by a move, another loses in the same request."""
    moved = [event for event in events if event["kind"].startswith("channel_moved")]
    assert {event["kind"] for event in moved} == {"channel_moved_here", "channel_moved_away"}
    requests: dict[str, list[set[str]]] = {}
    for event in moved:
        lost, got = changed(event)
        sides = requests.setdefault(event["request_id"], [set(), set()])
        sides[event["kind"] == "channel_moved_here"] |= lost | got
    assert all(away == here for away, here in requests.values())
    moments = {(event["request_id"], event["at"]) for event in moved}
    assert len(moments) == len(requests), "the two sides of a move happened at two moments"


async def test_a_contact_made_with_moved_addresses_takes_them_from_each_owner(api: Api) -> None:
    owners = [await api.contact(("phone", number)) for number in ADDRESSES]
    body = {"contact_channels": phones(ADDRESSES)}
    answers = await asyncio.gather(
        *(api.request("POST", "/v2/contact?on_conflict=move", body) for _ in range(3))
    )

    assert {one.status_code for one in answers} == {200}
    made = [one.json()["uuid"] for one in answers]
    kept = []
    for uuid in [*owners, *made]:
        channels = (await api.request("GET", f"/v2/contact/{uuid}/channels")).json()
        kept.append(sorted(one["channel_id"] for one in channels))
    assert sorted(kept) == [[]] * (len(owners) + len(made) - 1) + [ADDRESSES]


async def test_an_address_that_goes_away_and_comes_back_is_taken_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner is in the way a second time, although they are held by then."""
    owner, taker = await api.contact(("phone", ADDRESSES[0])), await api.contact()
    seen = require_contact(await api.store.read(ChannelList, TeamId(api.bob.team.team_id), owner))
    answers: list[Outcome] = [Conflict(owner, "address", seen.channels[0])]
    commit_locked = api.store.commit_locked

    async def overtaken(*asked: Any) -> Outcome:
        return answers.pop() if answers else await commit_locked(*asked)

    monkeypatch.setattr(api.store, "commit_locked", overtaken)
    path = f"/v2/contact/{taker}/channel?on_conflict=move"
    answer = await api.request("POST", path, phones(ADDRESSES)[0])

    assert answer.status_code == 200, answer.text
    assert [one["channel_id"] for one in answer.json()] == ADDRESSES[:1]
    assert (await api.request("GET", f"/v2/contact/{owner}/channels")).json() == []


def random_move(chosen: random.Random, owners: Sequence[str]) -> tuple[str, str, object]:
    """Return a request that takes addresses from other contacts, or deletes one."""
    uuid, wanted = chosen.choice(owners), phones(chosen.sample(CONTESTED, 3))
    contact = f"/v2/contact/{uuid}"
    moves: list[tuple[str, str, object]] = [
        ("POST", f"{contact}/channel?on_conflict=move", wanted[0]),
        ("PUT", f"{contact}/channel?on_conflict=move", wanted[0]),
        ("PUT", f"{contact}?on_conflict=move", {"phone": wanted[0]["channel_id"]}),
        ("PUT", f"{contact}?on_conflict=move", {"contact_channels": wanted}),
        ("POST", "/v2/contact?on_conflict=move", {"contact_channels": wanted}),
        ("DELETE", f"{contact}/channel/phone?channel_id={wanted[0]['channel_id']}", None),
    ]
    return chosen.choices(moves, (4, 2, 2, 6, 1, 1))[0]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
async def test_moves_do_not_deadlock(fresh_api: Api) -> None:
    """Clients take the same few addresses from one another in every possible way."""
    api, end = fresh_api, time.monotonic() + DEADLOCK_SECONDS
    owners = [await api.contact(*(("phone", number) for number in CONTESTED))]
    owners += [await api.contact() for _ in range(OWNERS - 1)]
    statuses: Counter[int] = Counter()

    async def move(turn: int) -> None:
        chosen = random.Random(turn)
        while time.monotonic() < end:
            answer = await api.request(*random_move(chosen, owners))
            statuses[answer.status_code] += 1

    await asyncio.gather(*(move(turn) for turn in range(MOVERS)))
    await asyncio.sleep(1.0)  # PostgreSQL reports its counts once a second

    # 404: the contact has no phone to replace or to delete; 409: it has the address already.
    assert set(statuses) <= {200, 404, 409}, statuses
    counted = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    assert await beside(api.database)(counted) == [(0,)]


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
async def test_a_deadlock_is_retried(api: Api) -> None:
    """Somebody beside us locks the two contacts the other way round, and we are the victim."""
    uuids = [await api.contact(), await api.contact(("phone", ADDRESSES[0]))]
    hold = "SELECT id FROM contact WHERE uuid = $1 FOR UPDATE"
    beside = await asyncpg.connect(api.database)
    await beside.execute("SET deadlock_timeout = '20s'")
    async with beside.transaction():
        await beside.fetch(hold, uuids[1])
        moving = asyncio.create_task(
            api.request(
                "POST", f"/v2/contact/{uuids[0]}/channel?on_conflict=move", phones(ADDRESSES)[0]
            )
        )
        await asyncio.sleep(0.3)
        assert not moving.done()
        await beside.fetch(hold, uuids[0])
    await beside.close()
    answer = await moving

    assert answer.status_code == 200, answer.text
    assert [one["channel_id"] for one in answer.json()] == [ADDRESSES[0]]
    assert (await api.request("GET", f"/v2/contact/{uuids[1]}/channels")).json() == []


async def test_an_update_may_pass_its_own_address_on(api: Api) -> None:
    """One update replaces the primary phone and keeps the old number as a second one."""
    uuid = await api.contact(("phone", ADDRESSES[0]))
    body = {"phone": ADDRESSES[1], "contact_channels": phones(ADDRESSES[:1])}
    answer = await api.request("PUT", f"/v2/contact/{uuid}", body)

    assert answer.status_code == 200, answer.text
    assert answer.json()["phone"] == ADDRESSES[1]
    kept = [one["channel_id"] for one in answer.json()["contact_channels"]]
    assert sorted(kept) == ADDRESSES[:2]
