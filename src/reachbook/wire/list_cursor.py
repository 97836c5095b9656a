"""Parses the `date` of a list request to a cursor, with the precision of its digits."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.list_cursor import ListCursor, Precision

MAX_SHOWN = 40

# RFC 3339 and ISO 8601, a time with its offset, and the variants that date types print: a space for
# the T (Python), a space before the offset and UTC for Z (Ruby), a zone after the offset (Go,
# Java), no seconds if they are 0 (Java).
_DATE = re.compile(
    r"""
    (?P<day>[0-9W-]+) [T\ ]
    (?P<hour>[0-9]{2})
    (?:
        (?P<minute>:?[0-9]{2})
        (?:(?P<colon>:?)(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?
    )?
    \ ?
    (?:Z|UTC|GMT|(?P<offset>[+-][0-9]{2}(?::?[0-9]{2}){0,2})(?:\ (?:[A-Z]+|[+-][0-9]+))?)
    (?:\[[^\]]*\])?
    """,
    re.VERBOSE,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_cursor(text: str) -> ListCursor:
    """Returns the time of a date, and the precision of its fraction.

    One to three digits of a fraction are milliseconds, more are microseconds; digits after the
    sixth are cut. Raises `Refusal` if the text is not a time with its offset.
    """
    match = _DATE.fullmatch(text.strip().upper())
    seconds = _seconds(match) if match else None
    if match is None or seconds is None:
        raise Refusal(
            Reason.BAD_VALUE,
            "date must be a time with its offset, like 2024-01-15T10:00:00.123456Z; "
            f"got {text[:MAX_SHOWN]!r}.",
            fields={"date": "not an RFC 3339 time"},
        )
    fraction = match["fraction"] or ""
    # From the digits, because a float cannot hold 0.1 s exactly.
    return ListCursor(
        seconds * Precision.SECOND + int(fraction[:6].ljust(6, "0")), _precision(fraction)
    )


def _seconds(match: re.Match[str]) -> int | None:
    """Returns whole seconds since the epoch, or None if there is no such time."""
    second = match["second"]
    # A leap second is the second after :59, because times since the epoch do not count it.
    leap = second == "60"
    clock = match["hour"] + (match["minute"] or "")
    if second is not None:
        clock += match["colon"] + ("59" if leap else second)
    try:
        time = datetime.fromisoformat(f"{match['day']}T{clock}{match['offset'] or 'Z'}")
    except ValueError:
        return None
    return (time - _EPOCH) // timedelta(seconds=1) + leap


def _precision(fraction: str) -> Precision:
    if not fraction:
        return Precision.SECOND
    return Precision.MILLISECOND if len(fraction) <= 3 else Precision.MICROSECOND  # noqa: PLR2004
