"""The figures of a team: channels by type, contacts by number of channels, changes by day."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct, field

from reachbook.domain.credential import TeamId
from reachbook.domain.timestamps import SECOND
from reachbook.storage import Store
from reachbook.storage.statistics import FIRST, CountedPage, TypeCount, count_page

COUNT_SECONDS = 10.0
COUNT_EVERY = 10 * 60 * SECOND
"""The microseconds for which counts are used, and after which a late count is tried again."""

MAX_TEAMS = 1_000
DAYS = 30
MANY_CHANNELS = 5
"""Contacts with this many channels and more are counted together."""

MAX_SHOWN_TYPES = 12
MAX_COUNTED_TYPES = 1_000
OTHER_TYPES = ""  # not the name of a type
_DAY = 24 * 60 * 60 * SECOND

__all__ = ["DAYS", "Counts", "Overview", "Statistics", "TypeCount"]


class Counts(Struct, frozen=True):
    """The counts of a team, made at a time in microseconds since the epoch.

    `types` are in the order of their channels, most first; types beyond `MAX_SHOWN_TYPES` are
    summed under `OTHER_TYPES`. `by_channels` are the contacts with 0, 1, 2, 3, 4, and with 5 or
    more channels. `added` and `removed` are the contacts of each of `DAYS` days in UTC, of which
    the first begins at `beginning`; a contact that was added and removed is in both.
    """

    made: int
    contacts: int
    channels: int
    types: list[TypeCount]
    by_channels: list[int]
    beginning: int
    added: list[int]
    removed: list[int]


class Overview(Struct, frozen=True):
    """The newest counts of a team, or None if there are none yet.

    `is_late` is true if the last count took longer than `COUNT_SECONDS` and was given up.
    """

    counts: Counts | None
    is_late: bool


class _Entry(Struct):
    """The counts of a team in the cache. `tried` is when the last count was made or given up."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    counts: Counts | None = None
    tried: int | None = None
    is_late: bool = False


class Statistics:
    """Counts teams, each at most every `COUNT_EVERY`. `clock` gives microseconds since the epoch.

    The counts of the `MAX_TEAMS` teams that were used last are cached in this process.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._engine = store.engine
        self._clock = clock
        self._entries: dict[TeamId, _Entry] = {}

    async def of_team(self, team_id: TeamId) -> Overview:
        """Returns the counts of a team; counts again if the cached counts are too old.

        Returns after `COUNT_SECONDS` at the latest. Only one caller counts a team at a time; the
        others wait and return the same counts.
        """
        entry = self._entry(team_id)
        try:
            async with asyncio.timeout(COUNT_SECONDS), entry.lock:
                if self._is_old(entry):
                    entry.counts = await self._count(team_id)
                    entry.tried, entry.is_late = entry.counts.made, False
        except TimeoutError:
            entry.tried, entry.is_late = self._clock(), True
        return Overview(entry.counts, entry.is_late)

    def _entry(self, team_id: TeamId) -> _Entry:
        entry = self._entries.pop(team_id, None) or _Entry()
        if len(self._entries) >= MAX_TEAMS:
            del self._entries[next(iter(self._entries))]
        # Inserted at the end, so that the first entry is the one that was used least recently.
        self._entries[team_id] = entry
        return entry

    def _is_old(self, entry: _Entry) -> bool:
        # The time since the last count is negative if the clock was set back.
        return entry.tried is None or not 0 <= self._clock() - entry.tried < COUNT_EVERY

    async def _count(self, team_id: TeamId) -> Counts:
        now = self._clock()
        tally = _Tally(now, now - now % _DAY - (DAYS - 1) * _DAY)
        after: int | None = FIRST
        while after is not None:
            page = await count_page(self._engine, team_id, after, tally.beginning, _DAY)
            tally.add(page)
            after = page.following
        return tally.counts()


class _Tally:
    """The sums of the pages that have been counted."""

    def __init__(self, now: int, beginning: int) -> None:
        self.beginning = beginning
        self._now = now
        self._contacts = 0
        self._owners = [0] * (MANY_CHANNELS + 1)
        self._types: dict[str, TypeCount] = {}
        self._added = [0] * DAYS
        self._removed = [0] * DAYS

    def add(self, page: CountedPage) -> None:
        """Add the counts of a page."""
        for group in page.groups:
            self._contacts += group.contacts if group.is_live else 0
            for days, day in ((self._added, group.added), (self._removed, group.removed)):
                # Contacts can have a future time if the clock was set back.
                if day is not None and day < DAYS:
                    days[day] += group.contacts
        for channels, contacts in page.owners:
            self._owners[min(channels, MANY_CHANNELS)] += contacts
        for counted in page.types:
            name = counted.channel_type
            if name not in self._types and len(self._types) >= MAX_COUNTED_TYPES:
                name = OTHER_TYPES
            self._types[name] = self._types.get(name, TypeCount(name, 0, 0, 0, 0)) + counted

    def counts(self) -> Counts:
        """Returns the sums."""
        # Contacts and channels are read by different statements, and may change between them.
        without = max(0, self._contacts - sum(self._owners))
        return Counts(
            made=self._now,
            contacts=self._contacts,
            channels=sum(each.channels for each in self._types.values()),
            types=self._shown_types(),
            by_channels=[without, *self._owners[1:]],
            beginning=self.beginning,
            added=self._added,
            removed=self._removed,
        )

    def _shown_types(self) -> list[TypeCount]:
        other = self._types.pop(OTHER_TYPES, TypeCount(OTHER_TYPES, 0, 0, 0, 0))
        ordered = sorted(self._types.values(), key=lambda each: (-each.channels, each.channel_type))
        other = sum(ordered[MAX_SHOWN_TYPES:], start=other)
        return [*ordered[:MAX_SHOWN_TYPES], *([other] if other.channels else [])]
