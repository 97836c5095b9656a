"""Writes as steps that each go to one shard, for a database with Citus.

Citus runs a statement that has several writes, such as `commit`, by way of the coordinator and with
a two-phase commit. That takes 18 to 25 times as long, and one node that is down stops all teams.

Everything here must be called inside a transaction, which must be rolled back after an exception.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from reachbook.domain.consent import SuppressionReason
from reachbook.domain.contact import Contact
from reachbook.domain.event import Change
from reachbook.domain.suppression import fingerprint
from reachbook.storage import commit as commits
from reachbook.storage import names
from reachbook.storage.commit import Commit, IdempotencyRecord, Writes
from reachbook.storage.engine import (
    SUPPRESSIONS,
    RevisionConflictError,
    Row,
    SuppressionEnd,
    UniqueViolationError,
)
from reachbook.storage.postgres.connection import Connection
from reachbook.storage.rows import suppression_of

Statements = Mapping[str, str]

_NO_ROWS = "[]"  # of a JSON array
_NO_DIGESTS = "{}"  # of an array of PostgreSQL


async def store_response(
    connection: Connection, statements: Statements, team_id: int, record: IdempotencyRecord
) -> bool:
    """Store a response and the contacts that it mentions; returns False if its key is in use."""
    values = commits.response_row(team_id, record)
    if not await connection.fetch(statements["step_response"], *values):
        return False
    named = (team_id, record.key.key, commits.array_text(record.response.contact_uuids))
    await connection.fetch(statements["step_delete_response_contacts"], *named)
    await connection.fetch(statements["step_response_contacts"], *named)
    return True


async def end_suppression(
    connection: Connection, statements: Statements, values: SuppressionEnd
) -> bool:
    """End a suppression and record the actor; returns False if it cannot be ended."""
    suppression, ended, actor = values[:3], values[6], values[7]
    if not await connection.fetch(statements["step_end_suppression"], *values[:6]):
        return False
    await connection.fetch(statements["step_record_end"], *suppression, ended, actor)
    return True


def insert_names(change: Change) -> tuple[str, tuple[object, ...]]:
    """Returns the step that inserts the words of a contact's names."""
    after = cast("Contact", change.after)
    return "step_names", (after.team_id, after.id, commits.json_text(names.words_of(after)))


class ChangeSteps:
    """The steps of one change of a contact.

    Each step is a statement of its own, so that it sees what was committed before it began.
    """

    def __init__(
        self, connection: Connection, statements: Statements, commit: Commit, change: Change
    ) -> None:
        self._connection = connection
        self._statements = statements
        self._commit = commit
        self._change = change
        self._contact = (change.after.team_id, change.after.id)

    async def write(self) -> None:
        """Write the change.

        Raises `RevisionConflictError` if the contact has another revision, or if the suppressions
        are not those that the commit expects. Raises `UniqueViolationError` if another contact owns
        an address.
        """
        after = self._change.after
        rows = commits.writes(self._commit, self._change)
        gained, *suppressions = commits.suppression_values(self._commit, self._change)
        seen = after.rev - 1
        # Waiting for the address would be wrong: its owner may be about to lose it, while this
        # transaction holds its own contact, for which the owner's may wait.
        if gained != _NO_ROWS and await self._run("step_owner", *self._contact, seen, gained):
            raise UniqueViolationError
        if not await self._run("step_revision", *self._contact, seen, after.updated):
            raise RevisionConflictError
        await self._write_channels(rows)
        await self._write_suppressions(*suppressions)
        await self._write_event(rows)

    async def _write_channels(self, rows: Writes) -> None:
        """Delete, then update, then insert.

        The later step may need an address that the earlier one releases.
        """
        if rows.removed:
            removed = commits.array_text(rows.removed)
            await self._run("step_remove", *self._contact, removed)
        for step, channels in (("step_update", rows.updated), ("step_insert", rows.inserted)):
            if channels:
                await self._run(step, *self._contact, commits.json_text(channels))

    async def _write_suppressions(
        self, digests: object, expected: object, recorded: object, opted_in: object, bounced: object
    ) -> None:
        """Check the suppressions of the addresses that the contact gained, and write the changes.

        They are checked after the channels are written: if a channel had to wait for a commit that
        releases its address, the suppression of that commit is seen here.
        """
        team_id, _ = self._contact
        if digests != _NO_ROWS:
            found = await self._run(SUPPRESSIONS, team_id, digests)
            if fingerprint(map(suppression_of, found)) != expected:
                raise RevisionConflictError
        if recorded != _NO_ROWS:
            await self._run("step_suppress", *self._contact, recorded)
        # A suppression that is both recorded and ended must be absent in the end.
        for reason, ended in (
            (SuppressionReason.OPTED_OUT, opted_in),
            (SuppressionReason.BOUNCED, bounced),
        ):
            if ended not in (_NO_DIGESTS, ""):
                await self._run("step_end_suppressions", team_id, ended, reason)

    async def _write_event(self, rows: Writes) -> None:
        team_id, contact_id = self._contact
        after, commit = self._change.after, self._commit
        event = (after.rev, self._change.kind, commit.actor, commit.request_id, after.updated)
        [[event_id]] = await self._run("step_event", team_id, contact_id, *event)
        if rows.after is not None:
            await self._run("step_event_body", team_id, event_id, rows.before, rows.after)

    async def _run(self, statement: str, *values: object) -> list[Row]:
        rows = await self._connection.fetch(self._statements[statement], *values)
        return cast("list[Row]", rows)
