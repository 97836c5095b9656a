"""Counts of a team's contacts and channels."""

from __future__ import annotations

from msgspec import Struct

from reachbook.domain.credential import TeamId
from reachbook.storage.engine import Engine, Row

DAY_MICROS = 24 * 60 * 60 * 1_000_000
MOST_CHANNELS = 5
"""Contacts with this number of channels and more are counted together."""


class TypeCount(Struct, frozen=True):
    """The channels of a type: all, those that are held, and those that are opted out."""

    channel_type: str
    channels: int
    held: int
    opted_out: int


class Counts(Struct, frozen=True):
    """The counts of a team.

    `by_channels` has the number of contacts with 0, 1, ... and `MOST_CHANNELS` or more channels.
    `added` and `removed` have the number of contacts by day, in days since the epoch; a day
    without any is missing.
    """

    types: list[TypeCount]
    by_channels: list[int]
    added: dict[int, int]
    removed: dict[int, int]


async def count(engine: Engine, team_id: TeamId, since: int) -> Counts:
    """Returns the counts of a team; those by day begin at `since`, in microseconds.

    Reads every row of the team, which takes seconds for a million contacts.
    """
    types = [TypeCount(*row) for row in await engine.count("count_channels", team_id)]
    [[contacts]] = await engine.count("count_contacts", team_id)
    rows = await engine.count("count_contacts_by_channels", team_id, MOST_CHANNELS)
    having: dict[int, int] = dict(map(tuple, rows))
    by_channels = [having.get(channels, 0) for channels in range(1, MOST_CHANNELS + 1)]
    # The statements run one after the other, so a contact may have come in between.
    without = max(contacts - sum(by_channels), 0)
    added = await engine.count("count_added", team_id, since)
    removed = await engine.count("count_removed", team_id, since)
    return Counts(types, [without, *by_channels], _by_day(added), _by_day(removed))


def _by_day(rows: list[Row]) -> dict[int, int]:
    return dict(map(tuple, rows))
