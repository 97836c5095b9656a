"""The interface of a database engine, which the store uses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct

from reachbook.domain.errors import Reason, Refusal
from reachbook.storage.commit import Commit, IdempotencyRecord
from reachbook.storage.identities import Script

Result = TypeVar("Result")
Row = Sequence[Any]
Read = tuple[str, str]  # the name of a statement, and its argument: the UUID of a contact
SUPPRESSIONS = "suppressions"  # the argument of this statement is a JSON array of digests
SuppressionEnd = tuple[int, str, str, str, str, str, int, str]
"""Team, digest and reason; the address's type, scope and identity; time and actor."""
LockedRule = Callable[[list[list[Row]]], Commit]

RETRY_AFTER = 1
EVENTS_NUMBERED_AT_ONCE = 1_000
"""At least the size of a page of the feed. Numbering occupies the only writer of SQLite."""

log: Final = logging.getLogger(__name__)


class UniqueViolationError(Exception):
    """A row violates a unique key. The store finds out which key by reading again."""


class ErasedError(Exception):
    """A contact that the response to be stored mentions is erased; nothing was stored."""


class RevisionConflictError(Exception):
    """A contact no longer has the revision that was read; nothing was written."""


class SchemaChange(Struct, frozen=True):
    """The versions of the schema before and after a migration, and its effects on Citus.

    `distributed` are the tables that were distributed. `to_run` are the statements that an operator
    has to run on the database, because the user of the program may not, or a node did not answer.
    """

    before: int
    after: int
    distributed: tuple[str, ...] = ()
    to_run: tuple[str, ...] = ()


class Engine(Protocol):
    """A database.

    Every method raises `store_unavailable` if the database cannot be reached or is full.
    """

    name: str

    async def read(self, statement: str, *values: object) -> list[Row]:
        """Returns the rows of a statement that only reads."""

    async def scan(self, statement: str, *values: object) -> list[Row]:
        """Returns the rows of a statement that may take long; other requests do not wait for it."""

    async def count(self, statement: str, *values: object) -> list[Row]:
        """Returns the rows of a statement that reads all rows of a team; no scan waits for it."""

    async def write(self, statement: str, *values: object) -> list[Row]:
        """Run one statement that writes, outside any commit; may raise `UniqueViolationError`."""

    async def reserve_ids(self, table: str, count: int) -> list[int]:
        """Returns ids for new rows of a table; they are never returned again."""

    async def skip_used_ids(self, team_id: int) -> None:
        """Reserve only ids beyond those in use by the team, and by teams themselves.

        Call it if an id was returned twice, as after a failover that lost the newest commits, or
        after a restore while this process was running.
        """

    async def commit(self, commit: Commit) -> None:
        """Write a commit in which each new row has its id.

        May raise `RevisionConflictError` or `UniqueViolationError`; then nothing was written.
        """

    async def create_contacts(self, commits: Sequence[Commit]) -> None:
        """Write commits that each create a contact of one team, all of them or none.

        Each new row has its id, and no address may have a suppression. May raise
        `RevisionConflictError` or `UniqueViolationError`; then nothing was written.
        """

    async def update_contacts(self, commits: Sequence[Commit]) -> None:
        """Write commits that each change another contact of one team, all of them or none.

        They are in the order of the contacts' ids. Each new row has its id. May raise as
        `create_contacts` does.
        """

    async def commit_locked(self, team_id: int, reads: Sequence[Read], rule: LockedRule) -> Commit:
        """Lock and read contacts, call `rule` with their rows, and write the commit it returns.

        `rule` runs on the event loop's thread; its exceptions are raised here.
        """

    async def store_response(self, team_id: int, record: IdempotencyRecord) -> bool:
        """Store a response by itself; returns False if its key is in use.

        Raises `ErasedError` if a contact that the response mentions is erased. A later erasure
        sees the stored response.
        """

    async def end_suppression(self, values: SuppressionEnd) -> bool:
        """End a suppression and record the actor.

        Returns False if there is none, or if a contact owns the address.
        """

    async def number_events(self, team_id: int) -> None:
        """Number the next events of the team's feed, at most `EVENTS_NUMBERED_AT_ONCE` of them.

        Only one caller numbers a team's events at a time.
        """

    async def run(self, script: Callable[[], Script[Result]]) -> Result:
        """Run the statements of a script in one transaction; returns the result of the script."""

    async def other_sessions(self) -> int:
        """Returns the number of other sessions of the program that use the database.

        It is 0 for SQLite, where the caller must hold the lock of the server.
        """

    async def migrate(self) -> SchemaChange:
        """Bring the schema to this program's version; on Citus distribute its tables."""

    async def schema_version(self) -> int:
        """Returns the version of the schema, or 0 if there is none."""

    async def close(self) -> None:
        """Close every connection."""


def unavailable(why: str) -> Refusal:
    """Returns the refusal of a request if the database cannot be reached, or cannot write."""
    return Refusal(
        Reason.STORE_UNAVAILABLE,
        f"The store cannot answer: {why}. No contact was half changed; look again before you "
        "repeat a write.",
        retry_after=RETRY_AFTER,
    )


def unstorable(error: Exception) -> Refusal:
    """Returns the refusal of a value that the database does not accept.

    The value is from the request, so this is not a failure of the store. It is logged nevertheless,
    because such a value should have been refused earlier.
    """
    log.warning("the database does not take a value", exc_info=error)
    return Refusal(
        Reason.BAD_VALUE,
        "The database cannot store a value of this request: it is too large, or holds a character "
        "or a number that the database does not accept. Nothing was changed.",
    )


def contended() -> Refusal:
    """Returns the refusal of a write that conflicted with other writes until its time limit."""
    return Refusal(
        Reason.CONTENDED,
        "Too many others are changing the same contact; nothing was changed, try again.",
        retry_after=RETRY_AFTER,
    )


def in_progress() -> Refusal:
    """Returns the refusal of a request while one with the same key has not ended."""
    return Refusal(
        Reason.IN_PROGRESS,
        "A request with the same Idempotency-Key has not ended; try again shortly.",
    )


def unfit(why: str) -> Refusal:
    """Returns the refusal of a database that this program must not serve."""
    return Refusal(Reason.STORE_UNFIT, why)
