"""The only access to the database: `open_store`, `Store` and `Queries`, and values of commits."""

from reachbook.storage.commit import (
    STALE,
    Commit,
    Conflict,
    IdempotencyKey,
    IdempotencyRecord,
    LockSet,
    Outcome,
    Replayed,
    Saved,
    Stale,
    StoredResponse,
    ids_wanted,
    may_deadlock,
)
from reachbook.storage.engine import contended
from reachbook.storage.opening import open_store
from reachbook.storage.queries import Queries
from reachbook.storage.store import Store, Team

__all__ = [
    "STALE",
    "Commit",
    "Conflict",
    "IdempotencyKey",
    "IdempotencyRecord",
    "LockSet",
    "Outcome",
    "Queries",
    "Replayed",
    "Saved",
    "Stale",
    "Store",
    "StoredResponse",
    "Team",
    "contended",
    "ids_wanted",
    "may_deadlock",
    "open_store",
]
