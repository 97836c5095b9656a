"""The only door to data: open a store, read words from it, hand it commits."""

from reachbook.storage.commit import (
    STALE,
    Commit,
    Hold,
    Keep,
    Kept,
    Outcome,
    Replayed,
    Saved,
    Stale,
    Taken,
    may_deadlock,
)
from reachbook.storage.engine import contended
from reachbook.storage.opening import open_store
from reachbook.storage.queries import Directory
from reachbook.storage.store import Store, Team

__all__ = [
    "STALE",
    "Commit",
    "Directory",
    "Hold",
    "Keep",
    "Kept",
    "Outcome",
    "Replayed",
    "Saved",
    "Stale",
    "Store",
    "Taken",
    "Team",
    "contended",
    "may_deadlock",
    "open_store",
]
