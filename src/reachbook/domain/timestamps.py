"""Moments, kept as microseconds since the epoch, and how they are written: ISO 8601, UTC."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache

SECOND = 1_000_000


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def format_seconds(micros: int) -> str:
    """Whole seconds, as a channel's times are: `2024-01-15T10:00:00Z` (seed 000)."""
    return f"{_whole_seconds(micros)}Z"


def format_micros(micros: int) -> str:
    """All six digits of the microseconds, as a contact's times are."""
    return f"{_whole_seconds(micros)}.{micros % SECOND:06d}Z"


def _whole_seconds(micros: int) -> str:
    return _iso(micros // SECOND)


# A response shows two times for each channel, and they are often the same second.
@lru_cache(maxsize=4096)
def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()
