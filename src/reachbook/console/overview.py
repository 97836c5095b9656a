"""The page Overview: how many contacts and channels a team has, and how their number changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from reachbook.console import charts, presentation
from reachbook.console.request import ConsoleRequest, Values
from reachbook.domain.timestamps import SECOND
from reachbook.http.response import ApiResponse
from reachbook.service.statistics import COUNT_SECONDS, Counts, TypeCount

NUMBERS = ("None", "1", "2", "3", "4", "5 or more")


async def show(request: ConsoleRequest) -> ApiResponse:
    """Show the figures of the team."""
    overview = await request.state.service.statistics.of_team(request.team_id)
    values = {"is_late": overview.is_late, "seconds": round(COUNT_SECONDS)}
    if overview.counts is None:
        return request.page("overview.html", {**values, "counts": None})
    return request.page("overview.html", {**values, **_figures(overview.counts)})


def _figures(counts: Counts) -> Values:
    types = [
        (presentation.type_name(each.channel_type) or "Other types", each) for each in counts.types
    ]
    owners = list(zip(NUMBERS, counts.by_channels, strict=True))
    return {
        "counts": counts,
        "types": types,
        "type_chart": charts.bars([(name, _kinds(each)) for name, each in types]),
        "owners": owners,
        "owner_chart": charts.bars([(name, [("plain", number)]) for name, number in owners]),
        "days": _days(counts),
        "day_chart": charts.days(counts.added, counts.removed),
    }


def _kinds(counted: TypeCount) -> list[tuple[str, int]]:
    """Returns the channels of a type in parts without overlap, as the chart shows them."""
    held = counted.held - counted.both
    rest = counted.channels - held - counted.opted_out
    return [("plain", rest), ("held", held), ("opted-out", counted.opted_out)]


def _days(counts: Counts) -> list[tuple[date, int, int]]:
    """Returns the days with the numbers of added and removed contacts, newest first."""
    first = datetime.fromtimestamp(counts.beginning // SECOND, UTC).date()
    numbers = zip(counts.added, counts.removed, strict=True)
    days = [(first + timedelta(days=day), *each) for day, each in enumerate(numbers)]
    return days[::-1]
