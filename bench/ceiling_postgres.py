"""The ceiling's operations on PostgreSQL: ten connections with prepared statements."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any, cast

import asyncpg

from bench import statements
from bench.ceiling import NewChannel, Row

CONNECTIONS = 10
STATEMENT_SECONDS = 10.0


class Prepared:
    """A connection and its three statements."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection
        self.get: Any = None
        self.get_all: Any = None
        self.add: Any = None

    async def prepare(self) -> None:
        """Prepare the statements once for all requests."""
        self.get = (await self.connection.prepare(statements.GET)).fetchrow
        self.get_all = (await self.connection.prepare(statements.LIST)).fetch
        self.add = (await self.connection.prepare(statements.ADD)).fetch


class PostgresTables:
    """A free list of connections, and the requests that wait for one."""

    def __init__(self, free: list[Prepared]) -> None:
        self._all = free
        self._free = deque(free)
        self._waiting: deque[asyncio.Future[Prepared]] = deque()

    @classmethod
    async def open(cls, url: str) -> PostgresTables:
        """Connect and prepare."""
        made = []
        for _ in range(CONNECTIONS):
            connection = await asyncpg.connect(
                url, command_timeout=STATEMENT_SECONDS, server_settings={"jit": "off"}
            )
            prepared = Prepared(connection)
            await prepared.prepare()
            made.append(prepared)
        return cls(made)

    async def get(self, team_id: int, uuid: str, channel_type: str) -> Row:
        used = self._free.pop() if self._free else await self._wait()
        try:
            return await used.get(team_id, uuid, channel_type)
        finally:
            self._give_back(used)

    async def get_all(self, team_id: int, uuid: str) -> list[Row]:
        used = self._free.pop() if self._free else await self._wait()
        try:
            return cast("list[Row]", await used.get_all(team_id, uuid))
        finally:
            self._give_back(used)

    async def add(self, team_id: int, uuid: str, channel: NewChannel) -> list[Row]:
        kind, value = channel.channel_type, channel.channel_id
        now = time.time_ns() // 1_000
        after = statements.EVENT_AFTER % (kind, value)
        used = self._free.pop() if self._free else await self._wait()
        try:
            return cast("list[Row]", await used.add(team_id, uuid, kind, value, now, after))
        finally:
            self._give_back(used)

    async def close(self) -> None:
        for each in self._all:
            await each.connection.close()

    async def _wait(self) -> Prepared:
        future: asyncio.Future[Prepared] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return await future

    def _give_back(self, used: Prepared) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(used)
                return
        self._free.append(used)
