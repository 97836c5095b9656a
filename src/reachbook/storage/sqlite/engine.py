"""The engine for SQLite.

Reads by an index run on the event loop's own thread: they take less time than a switch to another
thread. Writes are queued for one thread (`writer.py`), which commits several of them at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import apsw
import msgspec

from reachbook.domain.address.parsing import IDENTITY_VERSION
from reachbook.domain.channel import ChannelList
from reachbook.domain.contact import Contact
from reachbook.domain.event import Change
from reachbook.domain.event_kind import Kind
from reachbook.domain.suppression import fingerprint
from reachbook.metrics import Metrics
from reachbook.storage import commit as commits
from reachbook.storage import migrations, names, sql
from reachbook.storage.commit import Commit, IdempotencyRecord
from reachbook.storage.engine import (
    EVENTS_NUMBERED_AT_ONCE,
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
    unavailable,
    unfit,
)
from reachbook.storage.identities import Script
from reachbook.storage.rows import changed_channel_values, channel_values, suppression_of
from reachbook.storage.sqlite.connection import connect, fetch
from reachbook.storage.sqlite.scanner import Scanner
from reachbook.storage.sqlite.writer import (
    OUT_OF_REACH,
    Writer,
    why,
)

WRITER_WAITS_MS = 10_000
READER_WAITS_MS = 1_000
DECISION_SECONDS = 1.0
"""How long the writer waits for the event loop to decide a commit."""

_VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
    version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, applied TEXT NOT NULL
) STRICT"""


_IDENTITY_VERSION = "SELECT value FROM store_info WHERE name = 'identity_version'"


class Sqlite:
    """One SQLite file, in write-ahead mode; its schema is brought up to date when it is opened."""

    name = "sqlite"

    def __init__(self, path: Path, metrics: Metrics) -> None:
        self._sql = sql.statements(self.name)
        self._version_before: int | None = None  # the version of the schema before `open` migrated
        try:
            # Scans and counts have connections of their own: reads on the event loop must not wait
            # for a scan in a thread, nor scans for a count. SQLite has one writer at a time.
            self._reader = connect(path, READER_WAITS_MS)
            scanner, counter = (connect(path, READER_WAITS_MS) for _ in range(2))
            writer = connect(path, WRITER_WAITS_MS)
        except (apsw.NotADBError, apsw.CorruptError):
            raise unfit(f"{path} is not a SQLite database that can be read.") from None
        except apsw.Error as error:
            raise unavailable(f"{path}: {error}") from None
        self._metrics = metrics
        self._scanner, self._counter = (Scanner(each, metrics) for each in (scanner, counter))
        self._jobs = 0
        self._event_ids: deque[int] = deque()
        self._writer = Writer(writer, metrics, self._begin)

    @classmethod
    async def open(cls, path: Path, metrics: Metrics) -> Sqlite:
        """Open the file; creates and migrates it if necessary."""
        try:
            _make_private(path)
        except OSError as error:
            raise unavailable(f"{path}: {error.strerror}") from None
        engine = cls(path, metrics)
        try:
            await engine.migrate()
        except BaseException:
            await engine.close()
            raise
        return engine

    async def read(self, statement: str, *values: object) -> list[Row]:
        try:
            return fetch(self._reader, self._sql[statement], *values)
        except OUT_OF_REACH as error:
            raise unavailable(why(error)) from None

    async def scan(self, statement: str, *values: object) -> list[Row]:
        return await self._scanner.run(self._sql[statement], *values)

    async def count(self, statement: str, *values: object) -> list[Row]:
        return await self._counter.run(self._sql[statement], *values)

    async def write(self, statement: str, *values: object) -> list[Row]:
        return await self._writer.run(
            lambda connection: fetch(connection, self._sql[statement], *values)
        )

    async def reserve_ids(self, table: str, count: int) -> list[int]:
        return await self._writer.run(
            lambda connection: self._reserve_ids(connection, table, count)
        )

    async def skip_used_ids(self, team_id: int) -> None:
        await self.write("skip_used_ids", team_id)

    async def commit(self, commit: Commit) -> None:
        def job(connection: apsw.Connection) -> Commit:
            self._apply(connection, commit)
            return commit

        await self._writer.run(job)

    async def create_contacts(self, commits: Sequence[Commit]) -> None:
        def job(connection: apsw.Connection) -> Commit:
            for commit in commits:
                self._apply(connection, commit)
            return commits[0]

        await self._writer.run(job)

    update_contacts = create_contacts

    async def commit_locked(self, team_id: int, reads: Sequence[Read], rule: LockedRule) -> Commit:
        def job(connection: apsw.Connection) -> Commit:
            found = [
                fetch(connection, self._sql[statement], team_id, uuid) for statement, uuid in reads
            ]
            commit = _decide(loop, rule, found)
            self._apply(connection, commit)
            return commit

        loop = asyncio.get_running_loop()
        return await self._writer.run(job)

    async def store_response(self, team_id: int, record: IdempotencyRecord) -> bool:
        def job(connection: apsw.Connection) -> bool:
            uuids = _json(record.response.contact_uuids)
            if fetch(connection, self._sql["erased_contacts"], team_id, uuids):
                raise ErasedError
            return self._store_response(connection, team_id, record)

        return await self._writer.run(job)

    async def end_suppression(self, values: SuppressionEnd) -> bool:
        def job(connection: apsw.Connection) -> bool:
            ended = fetch(connection, self._sql["end_suppression"], *values[:6])
            if ended:
                noted = (*values[:3], *values[6:])
                fetch(connection, self._sql["record_ended_suppression"], *noted)
            return bool(ended)

        return await self._writer.run(job)

    async def number_events(self, team_id: int) -> None:
        await self._writer.run(
            lambda connection: fetch(
                connection, self._sql["number_events"], team_id, EVENTS_NUMBERED_AT_ONCE
            )
        )

    async def run(self, script: Callable[[], Script[Result]]) -> Result:
        def job(connection: apsw.Connection) -> Result:
            steps = script()
            rows = None
            while True:
                try:
                    statement, values = steps.send(rows) if rows is not None else next(steps)
                except StopIteration as done:
                    return cast("Result", done.value)
                rows = fetch(connection, self._sql[statement], *values)

        return await self._writer.run(job)

    async def other_sessions(self) -> int:
        return 0

    async def migrate(self) -> SchemaChange:
        found = await self.schema_version()
        migrations.refuse_newer(found, self.name)
        if self._version_before is None:
            self._version_before = found
        newest = migrations.newest(self.name)
        if found < newest:
            await self._writer.run(self._take_steps)
        return SchemaChange(self._version_before, newest)

    async def schema_version(self) -> int:
        try:
            return _version(self._reader)
        except (apsw.NotADBError, apsw.CorruptError):
            raise unfit("The file is not a SQLite database that can be read.") from None
        except OUT_OF_REACH as error:
            raise unavailable(why(error)) from None

    async def close(self) -> None:
        self._writer.close()
        self._reader.close()
        await asyncio.gather(self._scanner.close(), self._counter.close())

    def _apply(self, connection: apsw.Connection, commit: Commit) -> None:
        """Write a commit on the writer's connection, inside the savepoint of its job."""
        try:
            self._take_all_steps(connection, commit)
        except BaseException:
            # The savepoint is rolled back, and with it the reservation of these ids.
            self._event_ids.clear()
            raise

    def _take_all_steps(self, connection: apsw.Connection, commit: Commit) -> None:
        team_id, record = commit.change.after.team_id, commit.idempotency
        if record and not self._store_response(connection, team_id, record):
            raise UniqueViolationError
        if commit.is_empty():
            self._require_revision(connection, commit.change.after)
            return
        self._require_suppressions(connection, commit)
        # The contacts that release addresses first: the unique index is checked for each row.
        for change in reversed(commit.changes):
            self._take_step(connection, commit, change)
        self._write_suppressions(connection, commit)
        if commit.change.kind is Kind.ERASED:
            self._erase_events_and_responses(connection, commit)

    def _store_response(
        self, connection: apsw.Connection, team_id: int, record: IdempotencyRecord
    ) -> bool:
        row = commits.response_row(team_id, record)
        if not fetch(connection, self._sql["store_response"], *row):
            return False
        key, uuids = (team_id, record.key.key), _json(record.response.contact_uuids)
        fetch(connection, self._sql["delete_response_contacts"], *key)
        fetch(connection, self._sql["insert_response_contacts"], *key, uuids)
        return True

    def _require_revision(self, connection: apsw.Connection, seen: ChannelList) -> None:
        """Raises if the contact has changed or was erased: its response must not be stored."""
        rows = fetch(connection, self._sql["revision"], seen.team_id, seen.id)
        if [row[0] for row in rows] != [seen.rev]:
            raise RevisionConflictError

    def _require_suppressions(self, connection: apsw.Connection, commit: Commit) -> None:
        writes = commit.suppression
        if not writes.digests:
            return
        wanted = (commit.change.after.team_id, commits.json_text(writes.digests))
        rows = fetch(connection, self._sql["suppressions"], *wanted)
        if fingerprint(map(suppression_of, rows)) != fingerprint(writes.expected):
            raise RevisionConflictError

    def _write_suppressions(self, connection: apsw.Connection, commit: Commit) -> None:
        team_id, writes = commit.change.after.team_id, commit.suppression
        for row in writes.recorded:
            values = (team_id, row.digest, row.reason, row.at, row.identity_version)
            fetch(connection, self._sql["insert_suppression"], *values)
        for digest, reason in writes.ended:
            fetch(connection, self._sql["delete_suppression"], team_id, digest, reason)
        if commit.change.kind is Kind.ERASED:
            for statement in commits.ERASE_SUPPRESSIONS:
                erased = commits.json_text(writes.erased)
                fetch(connection, self._sql[statement], team_id, erased)

    def _take_step(self, connection: apsw.Connection, commit: Commit, change: Change) -> None:
        before, after = change.before, change.after
        if isinstance(after, Contact):
            details = commits.details(after)
            if before is None:
                new = (after.team_id, after.id, after.uuid, after.created, *details)
                fetch(connection, self._sql["insert_contact"], *new)
            else:
                seen = (after.team_id, after.id, before.rev, after.deleted, after.erased)
                fetch(connection, self._sql["set_contact"], *seen, *details)
            for statement, values in names.writes(change):
                fetch(connection, self._sql[statement], *values)
        revision = (after.team_id, after.id, after.rev - 1, after.updated)
        fetch(connection, self._sql["move_revision"], *revision)
        # Another process may have changed the contact since it was read. The savepoint is rolled
        # back.
        if connection.changes() == 0:
            raise RevisionConflictError
        self._write_rows(connection, commit, change)

    def _write_rows(self, connection: apsw.Connection, commit: Commit, change: Change) -> None:
        after = change.after
        rows = commits.writes(commit, change)
        key = (after.team_id, after.id)
        for channel_id in rows.removed:
            fetch(connection, self._sql["remove_channel"], *key, channel_id)
        for channel in rows.updated:
            values = (channel.id, *changed_channel_values(channel))
            fetch(connection, self._sql["update_channel"], *key, *values)
        for channel in rows.inserted:
            fetch(connection, self._sql["insert_channel"], *key, *channel_values(channel))
        # Inside the transaction: a follower of the feed relies on the order of these ids.
        event_id = self._next_event_id(connection)
        fetch(
            connection,
            self._sql["insert_event"],
            after.team_id,
            event_id,
            after.id,
            after.rev,
            change.kind,
            commit.actor,
            commit.request_id,
            after.updated,
        )
        if rows.after is not None:
            body = (after.team_id, event_id, rows.before, rows.after)
            fetch(connection, self._sql["insert_event_body"], *body)

    def _erase_events_and_responses(self, connection: apsw.Connection, commit: Commit) -> None:
        erased = commit.change.after
        fetch(connection, self._sql["erase_events"], erased.team_id, erased.id)
        fetch(connection, self._sql["clear_request_ids"], erased.team_id, erased.id)
        fetch(connection, self._sql["purge_responses"], erased.team_id, erased.uuid)

    def _begin(self, jobs: int) -> None:
        """Discard the ids that an earlier transaction reserved.

        Another process may have written events with higher ids since then.
        """
        self._jobs = jobs
        self._event_ids.clear()

    def _next_event_id(self, connection: apsw.Connection) -> int:
        """Returns an id for an event; the first call of a transaction reserves one for each job."""
        if not self._event_ids:
            self._event_ids.extend(self._reserve_ids(connection, "event", max(self._jobs, 1)))
        return self._event_ids.popleft()

    def _reserve_ids(self, connection: apsw.Connection, table: str, count: int) -> list[int]:
        [[last]] = fetch(connection, self._sql["reserve_ids"], table, count)
        return list(range(last - count + 1, last + 1))

    def _take_steps(self, connection: apsw.Connection) -> None:
        connection.execute(_VERSION_TABLE)
        for step in migrations.steps(self.name, after=_version(connection)):
            _take(connection, step.text)
            connection.execute(
                "INSERT INTO schema_version VALUES (?1, ?2, datetime('now'))",
                (step.version, step.name),
            )


def _decide(loop: asyncio.AbstractEventLoop, rule: LockedRule, found: list[list[Row]]) -> Commit:
    """Run a rule on the event loop, while the writer's thread waits with its transaction open.

    The rule renders the response that is stored with its commit, and rendering must not run on the
    writer's thread. Raises `contended` if the event loop is blocked for `DECISION_SECONDS`, because
    all other writes wait meanwhile.
    """

    async def decide() -> Commit:
        return rule(found)

    decided = asyncio.run_coroutine_threadsafe(decide(), loop)
    try:
        return decided.result(DECISION_SECONDS)
    except TimeoutError:
        decided.cancel()
        raise contended() from None


def is_behind(path: Path) -> bool:
    """Returns whether an older release made the database at a path; False if there is none."""
    if not path.is_file():
        return False
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(READER_WAITS_MS)
            version = _version(connection)
            if version < migrations.STORE_INFO:
                return version > 0
            found = connection.execute(_IDENTITY_VERSION).get
        finally:
            connection.close()
    except apsw.Error:
        return False  # the error is reported when the file is opened as a store
    return version < migrations.newest("sqlite") or int(found) < IDENTITY_VERSION


def _make_private(path: Path) -> None:
    """Create the file so that only its owner can read it.

    SQLite creates its other files with the same permissions.
    """
    # Before SQLite creates the file: with the usual umask other users could read it.
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)


def _take(connection: apsw.Connection, step: str) -> None:
    try:
        connection.execute(step)
    except apsw.SQLError as error:
        raise migrations.not_a_reachbook_store(str(error)) from None


def _json(uuids: Sequence[str]) -> str:
    return msgspec.json.encode(uuids).decode()


def _version(connection: apsw.Connection) -> int:
    has_table = "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'"
    if not connection.execute(has_table).get:
        return 0
    return int(connection.execute("SELECT max(version) FROM schema_version").get or 0)
