"""Checks the database for inconsistencies, team by team, and repairs those that it can.

The checks only read, in bounded pages and without locks, so they can run beside a server. A contact
that seems to have a fault is read again before the fault is reported, because a write may have
changed it between two reads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from reachbook.doctor import team
from reachbook.doctor.contact import check
from reachbook.doctor.finding import Finding, Kind
from reachbook.doctor.reading import audits, read_stable
from reachbook.doctor.repair import repair
from reachbook.storage import Store

__all__ = ["Finding", "Kind", "examine", "repair"]

NO_TEAM = -(2**63)


async def examine(store: Store, keys: tuple[bytes, ...]) -> AsyncIterator[Finding]:
    """Yields the inconsistencies of a store; `keys` are the master keys, the current one first."""
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
        message = "there are rows of this team, but the team does not exist"
        yield Finding(Kind.NO_TEAM, team_id, message)
    async for finding in team.credentials(store, team_id, keys):
        yield finding
    async for finding in team.suppression_key(store, team_id, keys):
        yield finding
    async for audit in audits(store, team_id):
        if check(audit):
            stable = await read_stable(store, team_id, audit.number)
            for finding in check(stable) if stable else []:
                yield finding
    async for finding in team.bodies(store, team_id):
        yield finding
    async for finding in team.feed(store, team_id):
        yield finding
