"""Long histories: pages are limited in bytes; export and `as_of` read the whole history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from reachbook.service import history as histories
from reachbook.storage import queries
from reachbook.storage.engine import EVENTS_NUMBERED_AT_ONCE
from tests.support.histories import ONE, TWO, history, phone, plant_events
from tests.support.http import ok, refusal
from tests.support.personas import Api
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
SEVERAL_KB = 4_000


@pytest.fixture
async def page_sizes(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Returns a list to which each statement adds the bytes of event bodies that it returned."""
    scan, sizes = api.store.engine.scan, list[int]()

    async def record_size(statement: str, *values: object) -> list[Sequence[Any]]:
        rows = await scan(statement, *values)
        if statement in ("history", "events_after", "feed"):
            sizes.append(sum(len(body) for row in rows for body in row[3:5] if body))
        return rows

    monkeypatch.setattr(api.store.engine, "scan", record_size)
    return sizes


async def read_history(api: Api, uuid: str, limit: int) -> list[list[int]]:
    """Returns the revisions in each page of a history."""
    found, query = [], f"?limit={limit}"
    while True:
        page = await history(api, uuid, query)
        found.append([event["rev"] for event in page["events"]])
        if page["next"] is None:
            return found
        query = f"?limit={limit}&cursor={page['next']}"


async def read_feed(api: Api, limit: int) -> list[list[int]]:
    """Returns the numbers in each page of the feed; the last page is empty."""
    found, after = [], 0
    while True:
        page = await ok(api, "GET", f"/x/events?after={after}&limit={limit}")
        found.append([event["seq"] for event in page["events"]])
        if not page["events"]:
            assert page["next"] == after
            return found
        after = page["next"]
        assert after == page["events"][-1]["seq"]


# ── pages are limited in bytes ───────────────────────────────────────────────────────────────


async def test_pages_are_limited_in_bytes(
    api: Api, page_sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that follows `next` gets each event exactly once."""
    monkeypatch.setattr(queries, "PAGE_BYTES", 5 * SEVERAL_KB)
    uuid = await api.contact(("phone", ONE))
    await plant_events(api, uuid, 20, custom_bytes=SEVERAL_KB)

    pages_read, followed = await read_history(api, uuid, 500), await read_feed(api, 1000)

    assert [rev for page in pages_read for rev in page] == list(range(21, 0, -1))
    assert [seq for page in followed for seq in page] == list(range(1, 22))
    assert {len(page) for page in (*pages_read[:-1], *followed[1:-2])} == {2}
    assert max(page_sizes) <= 5 * SEVERAL_KB
    assert await read_history(api, uuid, 1) == [[rev] for rev in range(21, 0, -1)]


async def test_an_event_larger_than_a_page_is_returned_alone(
    api: Api, page_sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE_BYTES", SEVERAL_KB)
    uuid = await api.contact()
    await plant_events(api, uuid, 3, custom_bytes=SEVERAL_KB)

    assert await read_history(api, uuid, 500) == [[4], [3], [2], [1]]
    assert await read_feed(api, 1000) == [[1], [2], [3], [4], []]
    assert max(page_sizes) < 3 * SEVERAL_KB


async def test_a_page_of_large_events_is_at_most_a_mebibyte(
    api: Api, page_sizes: list[int]
) -> None:
    """A page of small events is limited by their number."""
    uuid = await api.contact()
    await plant_events(api, uuid, 40, custom_bytes=64 * 1024 - 8)
    small = await api.contact()
    await plant_events(api, small, 998)

    assert [len(page) for page in await read_history(api, uuid, 500)] == [7] * 5 + [6]
    sizes = [len(page) for page in await read_feed(api, 1000)]
    assert (sum(sizes), max(sizes) > 900) == (1040, True)
    assert MIB * 0.8 < max(page_sizes) <= MIB


async def test_an_erased_event_does_not_count_towards_the_size(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE_BYTES", SEVERAL_KB)
    uuid = await api.contact(("phone", ONE))
    await plant_events(api, uuid, 8, custom_bytes=SEVERAL_KB)
    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    [events, end] = await read_feed(api, 1000)

    assert (events, end) == (list(range(1, 11)), [])


# ── numbering ────────────────────────────────────────────────────────────────────────────────


async def test_a_reader_numbers_at_most_1000_events(api: Api) -> None:
    """The next reader numbers the following events."""
    uuid = await api.contact()
    await plant_events(api, uuid, 2 * EVENTS_NUMBERED_AT_ONCE)
    raw, team = sql_runner(api.database), api.bob.team.team_id
    counting = f"SELECT count(*) FROM event WHERE team_id = {team} AND seq IS NOT NULL"

    first = await ok(api, "GET", "/x/events?limit=10")

    assert [event["seq"] for event in first["events"]] == list(range(1, 11))
    assert await raw(counting) == [(EVENTS_NUMBERED_AT_ONCE,)]
    sizes = [len(page) for page in await read_feed(api, 1000)]
    assert sizes == [1000, 1000, 1, 0]


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_numbering_does_not_rewrite_the_bodies_of_events(api: Api) -> None:
    """Numbering writes fewer bytes than the bodies of the events have."""
    uuid = await api.contact()
    await plant_events(api, uuid, EVENTS_NUMBERED_AT_ONCE, custom_bytes=16_000)
    raw = sql_runner(api.database)
    await raw("PRAGMA wal_checkpoint(TRUNCATE)")

    await ok(api, "GET", "/x/events?limit=1")

    [[_, pages, _]] = await raw("PRAGMA wal_checkpoint(PASSIVE)")
    [[page_bytes]] = await raw("PRAGMA page_size")
    assert 0 < pages * page_bytes < MIB


# ── histories are read to the first event ────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [3, 4, 5, 6])
async def test_as_of_and_export_read_every_page(
    api: Api, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """This holds whether or not the last page is full."""
    monkeypatch.setattr(histories, "PAGE_EVENTS", 3)
    uuid = await api.contact(("phone", ONE))
    await plant_events(api, uuid, count)
    await ok(api, "POST", f"/v2/contact/{uuid}/channel", phone(TWO))
    events = (await history(api, uuid, "?limit=500"))["events"]
    path = f"/x/contact/{uuid}/channels?as_of="

    exported = await ok(api, "GET", f"/x/contact/{uuid}/export")

    assert exported["events"] == events[::-1]
    for event in events:
        channels = await ok(api, "GET", path + event["at"])
        assert [channel["channel_id"] for channel in channels] == [ONE, TWO][
            : 1 + (event is events[0])
        ]
    assert await ok(api, "GET", path + "2001-01-01T00:00:00Z") == []


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_a_history_of_more_than_100000_events_is_read_to_the_first(api: Api) -> None:
    """The event loop is never blocked for half a second meanwhile."""
    uuid = await api.contact(("phone", ONE))
    at = (await history(api, uuid))["events"][0]["at"]
    await plant_events(api, uuid, 100_001)
    updated = (await ok(api, "GET", f"/v2/contact/{uuid}"))["updated"]
    path, longest = f"/x/contact/{uuid}/channels", [0.0]

    async def measure_delays() -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0)
            longest[0] = max(longest[0], loop.time() - began)

    measurement = asyncio.create_task(measure_delays())
    channels = [await ok(api, "GET", f"{path}?as_of={time}") for time in (at, updated)]
    measurement.cancel()

    assert channels == [await ok(api, "GET", path)] * 2
    assert longest[0] < 0.5
    pages = (await api.service.history.export(api.bob.secret.team_id, uuid)).pages
    revisions = [event.rev async for page in pages for event in page]
    assert revisions == list(range(1, 100_003))


async def test_as_of_returns_410_if_the_contact_is_erased_meanwhile(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "PAGE_EVENTS", 2)
    uuid = await api.contact(("phone", ONE))
    await plant_events(api, uuid, 5)
    updated = (await ok(api, "GET", f"/v2/contact/{uuid}"))["updated"]
    scan, reads = api.store.engine.scan, list[str]()

    async def erase_during_second_read(statement: str, *values: object) -> list[Sequence[Any]]:
        reads.append(statement)
        if len(reads) == 2:
            await ok(api, "DELETE", f"/x/contact/{uuid}/erase")
        return await scan(statement, *values)

    monkeypatch.setattr(api.store.engine, "scan", erase_during_second_read)
    response = await api.request("GET", f"/x/contact/{uuid}/channels?as_of={updated}")

    assert refusal(response) == (410, "erased")
