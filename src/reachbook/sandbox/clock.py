"""The clock of the sandbox, which a test can move and set."""

from __future__ import annotations

from reachbook.domain import timestamps

MICROSECONDS = 1_000_000
MAX_ADVANCE_SECONDS = 10 * 366 * 86_400


class SandboxClock:
    """The time of this host plus an offset, in microseconds since the epoch."""

    def __init__(self) -> None:
        self.offset = 0

    def now(self) -> int:
        """Returns the time of the sandbox."""
        return timestamps.now() + self.offset
