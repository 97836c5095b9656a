"""The engine for PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import cast

import asyncpg
import msgspec

from reachbook.domain.channel import ChannelList
from reachbook.domain.contact import Contact
from reachbook.domain.event import Change
from reachbook.domain.event_kind import Kind
from reachbook.metrics import Metrics
from reachbook.storage import commit as commits
from reachbook.storage import names, sql
from reachbook.storage.commit import Commit, IdempotencyRecord
from reachbook.storage.engine import (
    EVENTS_NUMBERED_AT_ONCE,
    SUPPRESSIONS,
    ErasedError,
    LockedRule,
    Read,
    Result,
    RevisionConflictError,
    Row,
    SchemaChange,
    SuppressionEnd,
    UniqueViolationError,
    contended,
    in_progress,
    unfit,
)
from reachbook.storage.identities import Script
from reachbook.storage.postgres import new_contacts, schema, single_shard
from reachbook.storage.postgres.connection import Connection, transaction
from reachbook.storage.postgres.new_contacts import NewContactRows
from reachbook.storage.postgres.pool import APPLICATION, Pool
from reachbook.storage.postgres.single_shard import ChangeSteps
from reachbook.storage.retry import Attempts
from reachbook.storage.rows import channel_values

WRITE_SECONDS = 2.0  # longer than lock_timeout, so that PostgreSQL reports the lock first

_AGAIN = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.InvalidCachedStatementError,
)

_OWNED = 0  # the statement `commit` returns this if another contact owns a wanted address


class Postgres:
    """A pool of connections to one PostgreSQL database.

    If the database has Citus (`has_citus`), writes are made of steps that each go to one shard.
    """

    name = "postgres"

    def __init__(self, pool: Pool, metrics: Metrics) -> None:
        self._connection = pool.connection
        self._close = pool.close
        self._metrics = metrics
        self._sql = sql.statements(self.name)
        self.has_citus: bool = pool.has_citus

    @classmethod
    async def open(cls, url: str, metrics: Metrics, application: str = APPLICATION) -> Postgres:
        """Connect; raises a refusal whose message does not contain the password."""
        engine = cls(await Pool.open(url, metrics, application), metrics)
        try:
            await engine._require_utf8()
        except BaseException:
            await engine.close()
            raise
        return engine

    async def read(self, statement: str, *values: object) -> list[Row]:
        text = self._sql[statement]
        rows = await self._contended(lambda connection: connection.fetch(text, *values))
        return cast("list[Row]", rows)

    scan = read
    count = read

    async def write(self, statement: str, *values: object) -> list[Row]:
        text = self._sql[statement]
        rows = await self._contended(
            lambda connection: connection.fetch(text, *values, timeout=WRITE_SECONDS)
        )
        return cast("list[Row]", rows)

    async def reserve_ids(self, table: str, count: int) -> list[int]:
        id_column = "team_id" if table == "team" else "id"
        return [row[0] for row in await self.read("reserve_ids", table, count, id_column)]

    async def skip_used_ids(self, team_id: int) -> None:
        await self.write("skip_used_ids", team_id)

    async def commit(self, commit: Commit) -> None:
        await self._contended(lambda connection: self._apply(connection, commit))

    async def create_contacts(self, commits: Sequence[Commit]) -> None:
        async def once(connection: Connection) -> None:
            async with transaction(connection):
                await self._create(connection, rows)

        rows = new_contacts.rows_of(commits)
        await self._contended(once)
        self._metrics.transactions.inc()

    async def update_contacts(self, commits: Sequence[Commit]) -> None:
        async def once(connection: Connection) -> None:
            # One BEGIN and one wait for the disk. The order of the contacts is the caller's, so
            # that two transactions wait for each other in the same order.
            async with transaction(connection):
                for commit in commits:
                    await self._take_steps(connection, commit)

        await self._contended(once)

    async def commit_locked(self, team_id: int, reads: Sequence[Read], rule: LockedRule) -> Commit:
        async def once(connection: Connection) -> Commit:
            async with transaction(connection):
                uuids = [uuid for statement, uuid in reads if statement != SUPPRESSIONS]
                text = commits.array_text(uuids)
                rows = await connection.fetch(self._sql["lock_contacts"], team_id, text)
                found = [
                    cast("list[Row]", await connection.fetch(self._sql[statement], team_id, uuid))
                    for statement, uuid in reads
                ]
                commit = rule(found)
                await self._require_locked_owners(connection, commit, {row[0] for row in rows})
                await self._take_steps(connection, commit)
                return commit

        return await self._contended(once)

    async def store_response(self, team_id: int, record: IdempotencyRecord) -> bool:
        """Store the key first, as every commit of one contact does, and then lock the contacts.

        An erasure locks its contact before it looks for stored responses. So either it sees this
        response, or this transaction waits for it and then sees that the contact is erased.
        """

        async def once(connection: Connection) -> bool:
            async with transaction(connection):
                stored = await self._store_response(connection, team_id, record)
                if stored and record.response.contact_uuids:
                    await self._lock_named_contacts(connection, team_id, record)
                return stored

        return await self._contended(once)

    async def _require_locked_owners(
        self, connection: Connection, commit: Commit, locked: set[int]
    ) -> None:
        """Raises `UniqueViolationError` if a contact that is not locked owns a wanted address.

        Another commit may be moving such an address. Waiting for it while other contacts are locked
        and addresses are released would deadlock with a commit that waits for those.
        """
        wanted = [
            channel for change in commit.changes for channel in commits.wanted_identities(change)
        ]
        if not wanted:
            return
        addresses = [
            {
                "n": number,
                "channel_type": channel.channel_type,
                "identity": channel.identity,
                "scope": channel.scope,
            }
            for number, channel in enumerate(wanted)
        ]
        text = msgspec.json.encode(addresses).decode()
        team_id = commit.change.after.team_id
        for row in await connection.fetch(self._sql["owners"], team_id, text):
            if row["contact_id"] not in locked:
                raise UniqueViolationError

    async def end_suppression(self, values: SuppressionEnd) -> bool:
        if not self.has_citus:
            return bool(await self.write("end_suppression", *values))

        async def once(connection: Connection) -> bool:
            async with transaction(connection):
                return await single_shard.end_suppression(connection, self._sql, values)

        return await self._contended(once)

    async def number_events(self, team_id: int) -> None:
        async def once(connection: Connection) -> None:
            async with transaction(connection):
                await connection.fetch(self._sql["lock_team"], team_id)
                await connection.fetch(self._sql["number_events"], team_id, EVENTS_NUMBERED_AT_ONCE)

        await self._contended(once)

    async def run(self, script: Callable[[], Script[Result]]) -> Result:
        async def once(connection: Connection) -> Result:
            steps = script()
            rows = None
            async with transaction(connection):
                while True:
                    try:
                        statement, values = steps.send(rows) if rows is not None else next(steps)
                    except StopIteration as done:
                        return cast("Result", done.value)
                    rows = await connection.fetch(self._sql[statement], *values)

        return await self._contended(once)

    async def other_sessions(self) -> int:
        rows = await self.read("other_sessions", APPLICATION)
        return int(rows[0][0])

    async def migrate(self) -> SchemaChange:
        return await self._contended(schema.migrate)

    async def schema_version(self) -> int:
        return await self._contended(schema.version)

    async def close(self) -> None:
        await self._close()

    async def _contended(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Run all of the work again if PostgreSQL rolled it back because of other transactions.

        Everything that is sent to PostgreSQL goes through this method, so that a deadlock or a
        serialization error ends here: in a retry, or in the refusal `contended`.
        """
        async for _ in Attempts():
            with suppress(*_AGAIN):
                async with self._connection() as connection:
                    return await work(connection)
        raise contended()

    async def _apply(self, connection: Connection, commit: Commit) -> None:
        """Write a commit: in one statement if only channels of one contact change."""
        # Without BEGIN and COMMIT there are a third of the round trips.
        is_one_statement = commit.idempotency is None and not _is_whole(commit.change)
        if is_one_statement and not self.has_citus:
            await self._write(connection, commit, commit.change)
            return
        async with transaction(connection):
            await self._take_steps(connection, commit)

    async def _take_steps(self, connection: Connection, commit: Commit) -> None:
        """Write a commit inside a transaction, the contacts that release addresses first."""
        await self._store_own_response(connection, commit)
        if commit.is_empty():
            await self._require_revision(connection, commit.change.after)
            return
        erased = commit.change.after if commit.change.kind is Kind.ERASED else None
        # Locked before stored responses are looked for: a response that mentions the contact is
        # either stored already, and deleted below, or its transaction waits for the lock and then
        # sees the erasure.
        if erased:
            await connection.fetch(self._sql["lock_contacts"], erased.team_id, f"{{{erased.uuid}}}")
        for change in reversed(commit.changes):
            if _is_whole(change):
                await self._write_contact(connection, change)
            await self._write(connection, commit, change)
            # After the revision was checked and the contact locked.
            await self._write_names(connection, change)
        if erased:
            await self._erase_events_and_responses(connection, erased)
            await self._erase_suppressions(connection, commit)

    async def _create(self, connection: Connection, rows: NewContactRows) -> None:
        """Insert contacts with all that belongs to them, from JSON arrays."""
        if rows.keys:
            stored = await connection.fetch(
                self._sql["store_responses"], rows.team_id, rows.responses, rows.expired_before
            )
            if len(stored) < rows.keys:
                raise UniqueViolationError
        await connection.fetch(self._sql["insert_contacts"], rows.team_id, rows.contacts)
        await connection.fetch(self._sql["insert_channels"], rows.team_id, rows.channels)
        await connection.fetch(self._sql[names.INSERT], rows.team_id, rows.names)
        # After the channels: the insert of an address waits for a commit that releases it, which
        # may have stored a suppression.
        if await connection.fetch(self._sql[SUPPRESSIONS], rows.team_id, rows.digests):
            raise RevisionConflictError
        named = (rows.team_id, rows.events, rows.actor, rows.request_id)
        await connection.fetch(self._sql["insert_events"], *named)

    async def _write_names(self, connection: Connection, change: Change) -> None:
        for each in names.writes(change):
            is_step = self.has_citus and each[0] == names.INSERT
            statement, values = single_shard.insert_names(change) if is_step else each
            await connection.fetch(self._sql[statement], *values)

    async def _require_revision(self, connection: Connection, seen: ChannelList) -> None:
        """Raises if the contact has changed or was erased: its response must not be stored."""
        rows = await connection.fetch(self._sql["revision"], seen.team_id, seen.id)
        if [row[0] for row in rows] != [seen.rev]:
            raise RevisionConflictError

    async def _write_contact(self, connection: Connection, change: Change) -> None:
        after = cast("Contact", change.after)
        details = commits.details(after)
        if change.before is None:
            new = (after.team_id, after.id, after.uuid, after.created, *details)
            await connection.fetch(self._sql["insert_contact"], *new)
        else:
            seen = (after.team_id, after.id, change.before.rev, after.deleted, after.erased)
            await connection.fetch(self._sql["set_contact"], *seen, *details)

    async def _write(self, connection: Connection, commit: Commit, change: Change) -> None:
        if self.has_citus:
            await ChangeSteps(connection, self._sql, commit, change).write()
        else:
            await self._write_at_once(connection, commit, change)
        self._metrics.transactions.inc()

    async def _write_at_once(self, connection: Connection, commit: Commit, change: Change) -> None:
        writes, after = commits.writes(commit, change), change.after
        revision = (after.team_id, after.id, after.rev - 1, after.updated)
        event = (change.kind, writes.before, writes.after, commit.actor, commit.request_id)
        if commits.is_new_channel(commit, writes):
            [digest], [channel] = commit.suppression.digests, writes.inserted
            values = (*revision, *event, digest, *channel_values(channel))
            rows = await connection.fetch(self._sql["commit_new_channel"], *values)
        else:
            rows = await connection.fetch(
                self._sql["commit"],
                *revision,
                *event,
                commits.array_text(writes.removed),
                commits.json_text(writes.updated),
                commits.json_text(writes.inserted),
                *commits.suppression_values(commit, change),
            )
        if not rows:
            raise RevisionConflictError
        if rows[0][0] == _OWNED:
            raise UniqueViolationError

    async def _store_own_response(self, connection: Connection, commit: Commit) -> None:
        """Store the response of a commit before its changes.

        A request with the same key waits for the row of the key, and then finds the response.
        """
        team_id, record = commit.change.after.team_id, commit.idempotency
        if record and not await self._store_response(connection, team_id, record):
            raise UniqueViolationError

    async def _store_response(
        self, connection: Connection, team_id: int, record: IdempotencyRecord
    ) -> bool:
        uuids = commits.array_text(record.response.contact_uuids)
        values = (*commits.response_row(team_id, record), uuids)
        try:
            if self.has_citus:
                steps = single_shard.store_response(connection, self._sql, team_id, record)
                return await steps
            return bool(await connection.fetch(self._sql["store_response"], *values))
        except asyncpg.LockNotAvailableError:
            raise in_progress() from None

    async def _lock_named_contacts(
        self, connection: Connection, team_id: int, record: IdempotencyRecord
    ) -> None:
        named = (team_id, commits.array_text(record.response.contact_uuids))
        try:
            rows = await connection.fetch(self._sql["lock_response_contacts"], *named)
        except asyncpg.LockNotAvailableError:
            # An erasure of the contact may be running. The request has had its effect: it must not
            # be answered with 503 because its response cannot be stored.
            raise ErasedError from None
        if any(row[0] is not None for row in rows):
            raise ErasedError

    async def _erase_events_and_responses(
        self, connection: Connection, erased: ChannelList
    ) -> None:
        """Delete the event bodies and the stored responses of a contact that is locked.

        Each statement sees everything that was committed before it began.
        """
        await connection.fetch(self._sql["erase_events"], erased.team_id, erased.id)
        await connection.fetch(self._sql["clear_request_ids"], erased.team_id, erased.id)
        await connection.fetch(self._sql["purge_responses"], erased.team_id, erased.uuid)

    async def _erase_suppressions(self, connection: Connection, commit: Commit) -> None:
        erased = commits.array_text(commit.suppression.erased)
        named = (commit.change.after.team_id, erased)
        for statement in commits.ERASE_SUPPRESSIONS:
            await connection.fetch(self._sql[statement], *named)

    async def _require_utf8(self) -> None:
        async with self._connection() as connection:
            if await connection.fetchval("SHOW server_encoding") != "UTF8":
                raise unfit(
                    "The database must have the encoding UTF8: CREATE DATABASE ... ENCODING."
                )


def _is_whole(change: Change) -> bool:
    """Returns whether fields of the contact may change, and not only its channels."""
    return isinstance(change.after, Contact)
