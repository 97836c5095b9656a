"""The ceiling's operations on SQLite: reads and statements on the event loop, fsyncs in a thread.

Adds that arrive while a commit waits for the disk share the next commit. The pragmas are those of
the product, so that a commit is as durable.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import apsw

from bench import statements
from bench.ceiling import NewChannel, Row

BUSY_MS = 10_000
FIRST_ID = 10**15
"""The ids that the ceiling gives out are far beyond those that the product reserves."""

_PRAGMAS = (
    *("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"),
    "journal_size_limit=8388608",
)
_HOLD = (
    "UPDATE contact SET rev = rev + 1, updated = ? "
    "WHERE team_id = ? AND uuid = ? AND deleted IS NULL RETURNING id, rev"
)
_CHANNEL = (
    "INSERT INTO contact_channel (team_id, id, contact_id, channel_type, channel_id, scope, "
    "identity, channel_handle, info_channel, created, updated) "
    "VALUES (?, ?, ?, ?, ?, '', ?, '', '', ?, ?)"
)
_EVENT = (
    "INSERT INTO event (team_id, id, contact_id, contact_rev, kind, actor, request_id, at) "
    "VALUES (?, ?, ?, ?, 'channel_added', 'bench', 'bench', ?)"
)
_BODY = "INSERT INTO event_body (team_id, event_id, before, after) VALUES (?, ?, ?, ?)"

_Add = tuple[int, str, NewChannel, "asyncio.Future[list[Row]]"]


class SqliteTables:
    """One connection that reads and one that writes, both on the event loop."""

    def __init__(self, reader: apsw.Connection, writer: apsw.Connection) -> None:
        self._reader = reader
        self._writer = writer
        self._committer = ThreadPoolExecutor(1)
        self._waiting: list[_Add] = []
        self._committing: asyncio.Task[None] | None = None
        self._last_id = max(FIRST_ID, time.time_ns() // 1_000)

    @classmethod
    def open(cls, path: str) -> SqliteTables:
        """Open the file twice."""
        return cls(_connect(path), _connect(path))

    async def get(self, team_id: int, uuid: str, channel_type: str) -> Row:
        return self._reader.execute(statements.GET, (team_id, uuid, channel_type)).fetchone()

    async def get_all(self, team_id: int, uuid: str) -> list[Row]:
        return self._reader.execute(statements.LIST, (team_id, uuid)).fetchall()

    async def add(self, team_id: int, uuid: str, channel: NewChannel) -> list[Row]:
        future: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()
        self._waiting.append((team_id, uuid, channel, future))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_waiting())
        return await future

    async def close(self) -> None:
        self._committer.shutdown()
        self._writer.close()
        self._reader.close()

    async def _commit_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            self._writer.execute("BEGIN IMMEDIATE")
            lists = [self._insert(team_id, uuid, channel) for team_id, uuid, channel, _ in batch]
            await loop.run_in_executor(self._committer, self._writer.execute, "COMMIT")
            for (_, _, _, future), rows in zip(batch, lists, strict=True):
                if not future.done():
                    future.set_result(rows)
        self._committing = None

    def _insert(self, team_id: int, uuid: str, channel: NewChannel) -> list[Row]:
        execute = self._writer.execute
        kind, value = channel.channel_type, channel.channel_id
        now = time.time_ns() // 1_000
        self._last_id = ident = self._last_id + 1
        [(contact_id, rev)] = execute(_HOLD, (now, team_id, uuid)).fetchall()
        execute(_CHANNEL, (team_id, ident, contact_id, kind, value, value, now, now))
        execute(_EVENT, (team_id, ident, contact_id, rev, now))
        after = statements.EVENT_AFTER % (kind, value)
        execute(_BODY, (team_id, ident, '{"channels":[]}', after))
        return execute(statements.LIST, (team_id, uuid)).fetchall()


def _connect(path: str) -> apsw.Connection:
    connection = apsw.Connection(path)
    connection.set_busy_timeout(BUSY_MS)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection
