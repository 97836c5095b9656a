"""Counts of a team, made at most every ten minutes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from reachbook.domain.credential import TeamId
from reachbook.domain.timestamps import SECOND
from reachbook.storage import Store, statistics
from reachbook.storage.statistics import DAY_MICROS, MOST_CHANNELS, Counts, TypeCount

__all__ = ["DAY_MICROS", "MOST_CHANNELS", "Counts", "Statistics", "TeamCounts", "TypeCount"]

DAYS = 30
FRESH_MICROS = 10 * 60 * SECOND
COUNT_SECONDS = 10.0
MAX_TEAMS = 1_000
"""The teams whose counts are remembered."""


class TeamCounts(Struct, frozen=True):
    """The counts of a team, and when they were made, in microseconds since the epoch."""

    counts: Counts
    made: int


class Statistics:
    """Counts contacts and channels. `clock` gives microseconds since the epoch."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[TeamId, TeamCounts] = {}
        self._running: dict[TeamId, asyncio.Task[TeamCounts]] = {}

    async def of_team(self, team_id: TeamId) -> TeamCounts | None:
        """Returns the counts of a team, which are at most ten minutes old.

        If counting takes more than `COUNT_SECONDS`, returns older counts, or None if there are
        none. Simultaneous calls for a team count once.
        """
        known = self._known.get(team_id)
        if known is not None and self._clock() - known.made < FRESH_MICROS:
            return known
        try:
            # A caller who leaves does not end it for the others.
            return await asyncio.shield(self._count_once(team_id))
        except TimeoutError:
            return known

    def _count_once(self, team_id: TeamId) -> asyncio.Task[TeamCounts]:
        task = self._running.get(team_id)
        if task is None:
            task = self._running[team_id] = asyncio.create_task(self._count(team_id))
            task.add_done_callback(lambda ended: self._end(team_id, ended))
        return task

    def _end(self, team_id: TeamId, ended: asyncio.Task[TeamCounts]) -> None:
        del self._running[team_id]
        if not ended.cancelled():
            ended.exception()  # an error of which nobody waits is not a bug to log

    async def _count(self, team_id: TeamId) -> TeamCounts:
        now = self._clock()
        since = (now // DAY_MICROS - DAYS + 1) * DAY_MICROS
        async with asyncio.timeout(COUNT_SECONDS):
            counts = await statistics.count(self._store.engine, team_id, since)
        self._known.pop(team_id, None)
        if len(self._known) >= MAX_TEAMS:
            del self._known[next(iter(self._known))]
        made = self._known[team_id] = TeamCounts(counts, now)
        return made
