"""The page Overview: charts of a team's contacts and channels, with the figures beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from reachbook.console import presentation
from reachbook.console.request import ConsoleRequest, Values
from reachbook.domain.timestamps import SECOND
from reachbook.http.response import ApiResponse
from reachbook.service.statistics import DAYS, MANY_CHANNELS, Counts

# The units of the drawings; a style sheet scales them.
BAR_WIDTH = 200.0
DAY_WIDTH = 20
HALF_HEIGHT = 60.0
GAP = 3


class Segment(Struct, frozen=True):
    """A part of a bar: its class in the style sheet, where it begins, and its length."""

    name: str
    start: float
    length: float


class Row(Struct, frozen=True):
    """A row of a table: a label, figures, and the parts of its bar."""

    label: str
    figures: tuple[str, ...]
    segments: tuple[Segment, ...]


class Column(Struct, frozen=True):
    """A day of a chart: how many contacts were added and removed, and the lengths of both bars."""

    date: str
    x: int
    added: int
    removed: int
    up: float
    down: float


async def show(request: ConsoleRequest) -> ApiResponse:
    """Show the counts of the team."""
    overview = await request.state.service.statistics.of_team(request.team_id)
    values: Values = {"counted": None} if overview.counts is None else _values(overview.counts)
    return request.page("overview.html", {"is_late": overview.is_late, **values})


def _values(counts: Counts) -> Values:
    return {
        "counted": counts,
        "contacts": counts.contacts,
        "channels": counts.channels,
        "types": _types(counts),
        "by_channels": _by_channels(counts),
        "days": _days(counts),
        "day_width": DAY_WIDTH - GAP,
        "chart_width": DAYS * DAY_WIDTH,
        "half_height": HALF_HEIGHT,
    }


def _types(counts: Counts) -> list[Row]:
    """Returns a row for each channel type; held and opted-out channels are parts of its bar."""
    most = max((each.channels for each in counts.types), default=0)
    return [
        Row(
            presentation.type_name(each.channel_type) or "Other types",
            (
                f"{each.channels:,}",
                _share(each.held, each.channels),
                _share(each.opted_out, each.channels),
            ),
            _segments(each.channels, {"held": each.held - each.both, "out": each.opted_out}, most),
        )
        for each in counts.types
    ]


def _segments(total: int, parts: dict[str, int], most: int) -> tuple[Segment, ...]:
    """Returns the parts of a bar one after the other, and the rest of the bar at its end."""
    segments, start, end = [], 0.0, _length(total, most)
    for name, count in parts.items():
        length = _length(count, most)
        segments.append(Segment(name, round(start, 1), round(length, 1)))
        start += length
    return (*segments, Segment("all", round(start, 1), round(end - start, 1)))


def _by_channels(counts: Counts) -> list[Row]:
    most = max(counts.by_channels)
    total = sum(counts.by_channels)
    labels = ["None", *(str(number) for number in range(1, MANY_CHANNELS)), f"{MANY_CHANNELS}+"]
    return [
        Row(label, (f"{number:,}", _share(number, total)), _segments(number, {}, most))
        for label, number in zip(labels, counts.by_channels, strict=True)
    ]


def _days(counts: Counts) -> list[Column]:
    first = datetime.fromtimestamp(counts.beginning // SECOND, UTC)
    most = max([1, *counts.added, *counts.removed])
    return [
        Column(
            (first + timedelta(days=place)).strftime("%Y-%m-%d"),
            place * DAY_WIDTH,
            added,
            removed,
            round(added / most * HALF_HEIGHT, 1),
            round(removed / most * HALF_HEIGHT, 1),
        )
        for place, (added, removed) in enumerate(zip(counts.added, counts.removed, strict=True))
    ]


def _length(count: int, most: int) -> float:
    return count / most * BAR_WIDTH if most else 0.0


def _share(part: int, whole: int) -> str:
    """Returns a share in percent; one that is not zero never reads as zero."""
    percent = 100 * part / whole if whole else 0.0
    return "under 1 %" if 0 < percent < 1 else f"{percent:.0f} %"
