"""Statistics of a team: summed over pages, cached, and separate for each team."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Refusal
from reachbook.service import statistics
from reachbook.service.statistics import DAYS, OTHER_TYPES, Statistics, TypeCount
from reachbook.storage import Store, open_store
from reachbook.storage import statistics as pages
from reachbook.storage.engine import unavailable
from tests.support.personas import Api

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    opened = await open_store(database)
    yield opened
    await opened.close()


class RecordedCounts:
    """Records the counting statements of a store, and can delay them."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.seconds = 0.0
        self._count = store.engine.count
        monkeypatch.setattr(store.engine, "count", self.count)

    async def count(self, statement: str, *values: object) -> Any:
        self.names.append(statement)
        await asyncio.sleep(self.seconds)
        return await self._count(statement, *values)


async def test_counts_are_summed_over_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_COUNTED_AT_ONCE", 3)
    for number in range(7):
        addresses = [("phone", f"+1202555{number:02d}{n:02d}") for n in range(number)]
        await api.contact(*addresses)

    counts = (await api.service.statistics.of_team(TeamId(api.bob.team.team_id))).counts

    assert counts is not None
    assert (counts.contacts, counts.channels) == (7, 21)
    assert counts.by_channels == [1, 1, 1, 1, 1, 2]
    assert [(each.channel_type, each.channels) for each in counts.types] == [("phone", 21)]


async def patch(api: Api, uuid: str, body: dict[str, object]) -> None:
    """Changes the first channel of a contact."""
    [channel, *_] = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
    path = f"/x/contact/{uuid}/channel/{channel['id']}"
    assert (await api.request("PATCH", path, body)).status_code == 200


async def test_held_and_opted_out_channels_are_counted(api: Api) -> None:
    held = await api.contact(("phone", "+12025550101"), ("email", "a@example.com"))
    both = await api.contact(("phone", "+12025550102"))
    out = await api.contact(("phone", "+12025550103"))
    await patch(api, held, {"held": True})
    await patch(api, both, {"held": True, "consent": "opted_out"})
    await patch(api, out, {"consent": "opted_out"})

    counts = (await api.service.statistics.of_team(TeamId(api.bob.team.team_id))).counts

    assert counts is not None
    assert counts.types == [TypeCount("phone", 3, 2, 2, 1), TypeCount("email", 1, 0, 0, 0)]


async def test_an_error_is_raised_and_not_cached(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    team_statistics = Statistics(store, lambda: 1_900_000_000_000_000)

    async def raise_unavailable(*_arguments: object) -> Any:
        raise unavailable("it is away")

    with monkeypatch.context() as patched:
        patched.setattr(store.engine, "count", raise_unavailable)
        with pytest.raises(Refusal):
            await team_statistics.of_team(TeamId(1))

    assert (await team_statistics.of_team(TeamId(1))).counts


async def test_contacts_of_another_team_are_not_counted(api: Api) -> None:
    await api.contact(("phone", "+12025550101"), by=api.charlie.by_key())

    counts = (await api.service.statistics.of_team(TeamId(api.bob.team.team_id))).counts

    assert counts is not None
    assert (counts.contacts, counts.channels, sum(counts.added)) == (0, 0, 0)


async def test_days_begin_at_midnight_utc(api: Api) -> None:
    for time in ("2030-01-30T23:59:59Z", "2030-01-31T00:00:00Z", "2030-03-01T23:59:59Z"):
        api.clock.set(time)
        await api.contact()

    counts = (await api.service.statistics.of_team(TeamId(api.bob.team.team_id))).counts

    assert counts is not None
    assert counts.contacts == 3
    assert counts.added == [1, *([0] * (DAYS - 2)), 1]
    assert counts.removed == [0] * DAYS


async def test_a_deleted_contact_is_counted_as_added_and_removed(api: Api) -> None:
    api.clock.set("2030-03-01T12:00:00Z")
    deleted, erased = await api.contact(("phone", "+12025550101")), await api.contact()
    api.clock.forward(24 * 60 * 60)
    await api.request("DELETE", f"/v2/contact/{deleted}")
    await api.request("DELETE", f"/x/contact/{erased}/erase")

    counts = (await api.service.statistics.of_team(TeamId(api.bob.team.team_id))).counts

    assert counts is not None
    assert (counts.contacts, counts.channels, counts.by_channels) == (0, 0, [0] * 6)
    assert counts.added[-2:] == [2, 0]
    assert counts.removed[-2:] == [0, 2]


async def test_rare_types_are_summed(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MAX_SHOWN_TYPES", 2)
    monkeypatch.setattr(statistics, "MAX_COUNTED_TYPES", 3)
    for kind in ("aa", "aa", "bb", "cc", "dd"):
        await api.contact((kind, f"{kind}-{api.clock()}"))
        api.clock.forward(1)

    counts = (await api.service.statistics.of_team(TeamId(api.bob.team.team_id))).counts

    assert counts is not None
    counted_types = [(each.channel_type, each.channels) for each in counts.types]
    assert counted_types[0] == ("aa", 2)
    assert counted_types[-1] == (OTHER_TYPES, 2)
    assert len(counted_types) == 3


async def test_simultaneous_callers_share_one_count(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = RecordedCounts(store, monkeypatch)
    reads.seconds = 0.05
    team_statistics = Statistics(store, lambda: 1_900_000_000_000_000)

    overviews = await asyncio.gather(*(team_statistics.of_team(TeamId(1)) for _ in range(5)))

    assert reads.names == ["count_contacts"]
    assert len({id(each.counts) for each in overviews}) == 1


async def test_a_cancelled_caller_does_not_cancel_the_count_of_another(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = RecordedCounts(store, monkeypatch)
    reads.seconds = 0.05
    team_statistics = Statistics(store, lambda: 1_900_000_000_000_000)
    cancelled, waiting = (asyncio.create_task(team_statistics.of_team(TeamId(1))) for _ in range(2))
    await asyncio.sleep(0.01)
    cancelled.cancel()

    overview = await waiting

    assert overview.counts is not None
    assert not overview.is_late


async def test_a_late_count_is_not_retried_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [1_900_000_000_000_000]
    reads = RecordedCounts(store, monkeypatch)
    team_statistics = Statistics(store, lambda: times[0])
    monkeypatch.setattr(statistics, "COUNT_SECONDS", 0.05)
    reads.seconds = 1

    late = [await team_statistics.of_team(TeamId(1)) for _ in range(3)]
    reads.seconds = 0
    times[0] += statistics.COUNT_EVERY
    current = await team_statistics.of_team(TeamId(1))

    assert [each.is_late for each in late] == [True] * 3
    assert reads.names == ["count_contacts"] * 2
    assert (current.is_late, current.counts is None) == (False, False)


async def test_counts_are_renewed_after_the_clock_was_set_back(store: Store) -> None:
    times = [1_900_000_000_000_000]
    team_statistics = Statistics(store, lambda: times[0])
    await team_statistics.of_team(TeamId(1))
    times[0] -= 1_000_000_000

    counts = (await team_statistics.of_team(TeamId(1))).counts

    assert counts is not None
    assert counts.made == times[0]


async def test_the_size_of_the_cache_is_limited(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "MAX_TEAMS", 2)
    reads = RecordedCounts(store, monkeypatch)
    team_statistics = Statistics(store, lambda: 1_900_000_000_000_000)

    for team in (1, 2, 1, 3, 1, 2):
        await team_statistics.of_team(TeamId(team))

    assert len(reads.names) == 4  # team 1 was used, so team 2 was dropped for team 3
