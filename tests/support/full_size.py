"""How long a drill runs: short in the suite, long by `make torture`."""

from __future__ import annotations

import os

LONG = os.environ.get("REACHBOOK_TORTURE") == "1"


def scaled(short: int, long: int) -> int:
    """A number of runs, connections or bytes for the form that was asked for."""
    return long if LONG else short
