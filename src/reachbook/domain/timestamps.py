"""Times: microseconds since the epoch, and their form in ISO 8601, in UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache

SECOND = 1_000_000


def now() -> int:
    """Returns the time in microseconds since the epoch."""
    return time.time_ns() // 1000


def format_seconds(micros: int) -> str:
    """Returns a time in whole seconds, as in channels: `2024-01-15T10:00:00Z` (seed 000)."""
    return f"{_whole_seconds(micros)}Z"


def format_micros(micros: int) -> str:
    """Returns a time with all six digits of the microseconds, as in contacts."""
    return f"{_whole_seconds(micros)}.{micros % SECOND:06d}Z"


def _whole_seconds(micros: int) -> str:
    return _iso(micros // SECOND)


# Cached because a response has two times for each channel, which are often the same.
@lru_cache(maxsize=4096)
def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
