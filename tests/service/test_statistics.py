"""The counts of a team, on both stores."""

from __future__ import annotations

import asyncio

import pytest

from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Refusal
from reachbook.service import statistics as module
from reachbook.service.statistics import DAY_MICROS, TypeCount
from reachbook.storage import statistics as stored
from reachbook.storage.engine import unavailable
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

HELD: dict[str, object] = {"held": True}
OPTED_OUT: dict[str, object] = {"consent": "opted_out"}


async def patch(api: Api, uuid: str, body: dict[str, object]) -> None:
    """Change the first channel of a contact."""
    [channel, *_] = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
    path = f"/x/contact/{uuid}/channel/{channel['id']}"
    assert (await api.request("PATCH", path, body)).status_code == 200


async def test_it_counts_what_the_team_has(api: Api) -> None:
    api.clock.set("2026-03-10T12:00:00Z")
    team_id, today = TeamId(api.bob.team.team_id), api.clock() // DAY_MICROS
    await api.contact()
    first = await api.contact(("phone", "15105550100"), ("email", "a@example.com"))
    second = await api.contact(("phone", "15105550101"))
    await api.contact(*(("facebook", f"{number}") for number in range(7)))
    await api.contact(("phone", "15105550102"), by=api.charlie.by_key())
    await patch(api, first, HELD)
    await patch(api, second, {**HELD, **OPTED_OUT})
    api.clock.forward(24 * 60 * 60)
    gone = await api.contact(("email", "b@example.com"))
    await api.request("DELETE", f"/v2/contact/{gone}")

    counted = await api.service.statistics.of_team(team_id)

    assert counted is not None
    assert counted.counts.types == [
        TypeCount("facebook", 7, 0, 0),
        TypeCount("phone", 2, 2, 1),
        TypeCount("email", 1, 0, 0),
    ]
    assert counted.counts.by_channels == [1, 1, 1, 0, 0, 1]
    assert counted.counts.added == {today: 4, today + 1: 1}
    assert counted.counts.removed == {today + 1: 1}


async def test_days_before_the_last_thirty_are_not_counted(api: Api) -> None:
    await api.contact(("phone", "15105550100"))
    api.clock.forward(30 * 24 * 60 * 60)

    counted = await api.service.statistics.of_team(TeamId(api.bob.team.team_id))

    assert counted is not None
    assert counted.counts.added == {}
    assert counted.counts.by_channels[1] == 1


async def test_counts_are_made_again_after_ten_minutes(api: Api) -> None:
    team_id = TeamId(api.bob.team.team_id)
    seen = []
    for pause in (0, 599, 2):
        api.clock.forward(pause)
        counted = await api.service.statistics.of_team(team_id)
        assert counted is not None
        seen.append(sum(counted.counts.by_channels))
        await api.contact()

    assert seen == [0, 0, 2]


async def test_simultaneous_calls_count_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    count = stored.count

    async def counting(*arguments: object) -> stored.Counts:
        calls.append(arguments)
        return await count(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stored, "count", counting)
    team_id = TeamId(api.bob.team.team_id)
    await asyncio.gather(*(api.service.statistics.of_team(team_id) for _ in range(10)))

    assert len(calls) == 1


async def test_older_counts_are_returned_if_counting_takes_too_long(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    team_id, other = TeamId(api.bob.team.team_id), TeamId(api.charlie.team.team_id)
    before = await api.service.statistics.of_team(team_id)

    async def slow(*_arguments: object) -> stored.Counts:
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(module, "COUNT_SECONDS", 0.05)
    monkeypatch.setattr(stored, "count", slow)
    api.clock.forward(601)

    assert await api.service.statistics.of_team(team_id) is before
    assert await api.service.statistics.of_team(other) is None


async def test_an_error_is_raised_and_not_remembered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    team_id = TeamId(api.bob.team.team_id)

    async def failing(*_arguments: object) -> stored.Counts:
        raise unavailable("it is away")

    with monkeypatch.context() as patched:
        patched.setattr(stored, "count", failing)
        with pytest.raises(Refusal):
            await api.service.statistics.of_team(team_id)

    assert await api.service.statistics.of_team(team_id)


async def test_the_counts_of_few_teams_are_remembered(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TEAMS", 2)
    for number in range(1, 6):
        await api.service.statistics.of_team(TeamId(number))

    assert len(api.service.statistics._known) == 2
