"""Checks the database for inconsistencies, team by team, and repairs those that it can.

It only reads, in bounded pages, and holds no lock: it is safe beside a running server. What looks
wrong is looked at again before it is reported, for it may only have been changed meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from reachbook.doctor import team
from reachbook.doctor.contact import check
from reachbook.doctor.finding import Finding, Kind
from reachbook.doctor.reading import audits, read_settled
from reachbook.doctor.repair import repair
from reachbook.storage import Store

__all__ = ["Finding", "Kind", "examine", "repair"]

NO_TEAM = -(2**63)


async def examine(store: Store, keys: tuple[bytes, ...]) -> AsyncIterator[Finding]:
    """Everything that is wrong in a store; `keys` are the master keys, the current one first."""
    async for finding in team.missing_indexes(store):
        yield finding
    async for finding in team.missing_names(store):
        yield finding
    team_id = NO_TEAM
    while (team_id := (await store.engine.read("doctor_next_team", team_id))[0][0]) is not None:
        async for finding in _team(store, team_id, keys):
            yield finding


async def _team(store: Store, team_id: int, keys: tuple[bytes, ...]) -> AsyncIterator[Finding]:
    if await store.team(team_id) is None:
        message = "there are rows of this team, and the team itself is not there"
        yield Finding(Kind.NO_TEAM, team_id, message)
    async for finding in team.credentials(store, team_id, keys):
        yield finding
    async for finding in team.suppression_key(store, team_id, keys):
        yield finding
    async for audit in audits(store, team_id):
        if check(audit):
            still = await read_settled(store, team_id, audit.number)
            for finding in check(still) if still else []:
                yield finding
    async for finding in team.bodies(store, team_id):
        yield finding
    async for finding in team.feed(store, team_id):
        yield finding
