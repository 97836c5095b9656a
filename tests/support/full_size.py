"""How long a fault test runs: short in `make test`, at full size in `make test-slow`."""

from __future__ import annotations

import os

LONG = os.environ.get("REACHBOOK_TEST_FULL_SIZE") == "1"


def scaled(short: int, long: int) -> int:
    """Return a number of runs, connections or bytes for the chosen size."""
    return long if LONG else short
