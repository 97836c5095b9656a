"""Contacts at chosen times of change, written by SQL."""

from __future__ import annotations

from datetime import UTC, datetime

from reachbook.domain import timestamps
from tests.support.corrupt import execute_unchecked
from tests.support.personas import Api

TEN = int(datetime(2026, 1, 2, 10, tzinfo=UTC).timestamp()) * timestamps.SECOND
"""2026-01-02T10:00:00Z in microseconds since the epoch."""


async def plant(api: Api, *offsets: int) -> None:
    """Create a contact for each offset from 10:00:00 in microseconds."""
    values = ", ".join(f"({number}, {TEN + each})" for number, each in enumerate(offsets, 1))
    await insert(api, f"times (n, at) AS (VALUES {values})")


async def plant_many(api: Api, count: int, *, start: int, step: int) -> None:
    """Create contacts from an offset on, some microseconds apart."""
    await insert(
        api,
        f"times (n, at) AS (SELECT 1, {TEN + start} "
        f"UNION ALL SELECT n + 1, at + {step} FROM times WHERE n < {count})",
    )


async def insert(api: Api, times: str) -> None:
    """Insert a contact for each row of a common table expression."""
    team_id = api.bob.team.team_id
    [[last]] = await execute_unchecked(
        api.database, f"SELECT coalesce(max(id), 0) FROM contact WHERE team_id = {team_id}"
    )
    flag = "0" if api.database.startswith("sqlite") else "false"
    await execute_unchecked(
        api.database,
        "INSERT INTO contact (team_id, id, uuid, rev, updated, created, first, last, "
        "display_name, avatar, is_opted_out, custom, tags) "
        f"WITH RECURSIVE {times} "
        f"SELECT {team_id}, {last} + n, 'planted-{last}-' || n, 1, at, at, '', '', '', '', {flag}, "
        "'{}', '[]' FROM times",
    )
