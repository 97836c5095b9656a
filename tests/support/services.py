"""Who asks in these tests: cheap clients of a real server, and a directory in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from reachbook.domain import timestamps
from reachbook.domain.credential import TeamId
from reachbook.service import Service, TeamKeys, WriteContext
from reachbook.storage import Store, open_store
from tests.support.clients import HOST, PATIENCE_SECONDS, Answer, CutError, read_answer
from tests.support.personas import MASTER_KEY
from tests.support.server_process import Server, serving_async, worker_arguments


class Client:
    """One connection with an API key, made anew when it was lost."""

    def __init__(self, port: int, api_key: str) -> None:
        self._port = port
        self._api_key = api_key
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, body: object = None, *, key: str | None = None
    ) -> Answer:
        """One request and its answer; `CutError` when there is none."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if self._connection is None:
                    self._connection = await asyncio.open_connection(HOST, self._port)
                reader, writer = self._connection
                writer.write(self._request(method, path, body, key))
                return await read_answer(reader)
        except (OSError, EOFError) as error:
            self.close()
            raise CutError(str(error)) from None

    def close(self) -> None:
        """Let the connection go."""
        if self._connection:
            self._connection[1].transport.abort()
        self._connection = None

    def _request(self, method: str, path: str, body: object, key: str | None) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        lines = [
            f"{method} {path} HTTP/1.1",
            "host: book",
            f"authorization: Bearer {self._api_key}",
            f"content-length: {len(content)}",
            *([] if key is None else [f"idempotency-key: {key}"]),
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@asynccontextmanager
async def clients(number: int, port: int, api_key: str) -> AsyncIterator[list[Client]]:
    """Some clients, until the block ends."""
    some = [Client(port, api_key) for _ in range(number)]
    try:
        yield some
    finally:
        for one in some:
            one.close()


@asynccontextmanager
async def served(directory: Path, database: str) -> AsyncIterator[Server]:
    """A real server: two workers on PostgreSQL, SQLite's one."""
    async with serving_async(directory, database, *worker_arguments(database)) as server:
        yield server


@asynccontextmanager
async def stores(database: str) -> AsyncIterator[Sequence[Store]]:
    """The stores of as many processes as may serve a database."""
    number = 2 if database.startswith("postgresql") else 1
    opened = [await open_store(database) for _ in range(number)]
    try:
        yield opened
    finally:
        for one in opened:
            await one.close()


async def team(store: Store) -> WriteContext:
    """On behalf of a new team."""
    made = await store.create_team("Bob's team", None, timestamps.now())
    return WriteContext(TeamId(made.team_id), "test", "test")


def services(opened: Sequence[Store]) -> list[Service]:
    """What one can ask of each process."""
    return [Service(store, TeamKeys(store, (MASTER_KEY,))) for store in opened]
