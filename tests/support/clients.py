"""Clients that cost little, so that what a drill metrics is the server: good ones and bad ones."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

HOST = "127.0.0.1"
PATIENCE_SECONDS = 20.0

Connection: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_length = re.compile(rb"^content-length: (\d+)\r$", re.MULTILINE)


class CutError(Exception):
    """The connection ended before a whole answer came: nobody knows what became of the request."""


@dataclass(frozen=True)
class Answer:
    """A response, and the seconds that it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


class Asks(Protocol):
    """Whoever can ask the server something."""

    async def ask(self, method: str, path: str, body: object = None) -> Answer:
        """One request and its answer; `CutError` when there is none."""

    async def close(self) -> None:
        """Let go of the server."""


class Client:
    """One connection, kept alive and made anew when it was lost.

    Of several ports, the first is asked until nobody listens there, then the next.
    """

    def __init__(self, ports: Sequence[int] | int, api_key: str) -> None:
        self._ports = deque([ports] if isinstance(ports, int) else ports)
        self._api_key = api_key
        self._connection: Connection | None = None

    async def ask(self, method: str, path: str, body: object = None) -> Answer:
        """One request and its answer; `CutError` when there is none."""
        content = b"" if body is None else json.dumps(body).encode()
        began = time.monotonic()
        try:
            reader, writer = await self._connected()
            writer.write(request(method, path, self._api_key, content))
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await read_answer(reader, began)
        except (OSError, EOFError, TimeoutError) as error:
            hung = isinstance(error, TimeoutError) and time.monotonic() - began > PATIENCE_SECONDS
            assert not hung, f"{method} {path} hangs"
            await self.close()
            raise CutError(str(error)) from None
        if answer.headers.get("connection") == "close":
            await self.close()
        return answer

    async def _connected(self) -> Connection:
        """The connection, or a new one where somebody listens."""
        if self._connection and self._connection[0].at_eof():
            await self.close()
        for _ in range(len(self._ports)):
            if self._connection:
                break
            with suppress(ConnectionRefusedError):
                self._connection = await asyncio.open_connection(HOST, self._ports[0])
                break
            self._ports.rotate(-1)
        if self._connection is None:
            raise ConnectionRefusedError
        return self._connection

    async def close(self) -> None:
        """Let the connection go."""
        if self._connection:
            self._connection[1].transport.abort()
        self._connection = None


@asynccontextmanager
async def several(number: int, port: int, api_key: str) -> AsyncIterator[list[Client]]:
    """Some clients, until the block ends."""
    clients = [Client(port, api_key) for _ in range(number)]
    try:
        yield clients
    finally:
        for one in clients:
            await one.close()


def request(method: str, path: str, api_key: str, content: bytes = b"") -> bytes:
    """The bytes of a request."""
    length = f"content-length: {len(content)}\r\n" if content else ""
    head = f"{method} {path} HTTP/1.1\r\nhost: book\r\nauthorization: Bearer {api_key}\r\n{length}"
    return head.encode() + b"\r\n" + content


async def read_answer(reader: asyncio.StreamReader, began: float | None = None) -> Answer:
    """The next answer on a connection."""
    began = time.monotonic() if began is None else began
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    length = _length.search(head)
    body = await reader.readexactly(int(length[1]) if length else 0)
    headers = dict(line.split(": ", 1) for line in lines)
    return Answer(int(first.split(" ")[1]), headers, body, time.monotonic() - began)


async def send_raw(port: int, content: bytes) -> Answer:
    """The answer to bytes as they are, after which the server must have closed the connection."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(content)
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await read_answer(reader)
            with suppress(ConnectionError):
                assert await reader.read() == b""
    finally:
        writer.transport.abort()
    return answer


@asynccontextmanager
async def connected(port: int, seconds: float = PATIENCE_SECONDS) -> AsyncIterator[Connection]:
    """A connection that is aborted when the block ends; `TimeoutError` if that takes longer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        async with asyncio.timeout(seconds):
            yield reader, writer
    finally:
        writer.transport.abort()


async def gone(connection: Connection) -> None:
    """Wait for the server to end a connection; what it still says is not listened to."""
    reader, writer = connection
    try:
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
    finally:
        writer.transport.abort()


async def dribble(port: int, beginning: bytes, drop: bytes = b"a", every: float = 0.5) -> float:
    """Send a beginning, then a drop now and then; the seconds after which the server has enough."""
    await asyncio.sleep(random.uniform(0, every))  # or all would drop in the same moment
    began = time.monotonic()
    connection = await asyncio.open_connection(HOST, port)
    connection[1].write(beginning)
    ended = asyncio.create_task(gone(connection))
    while not ended.done():
        await asyncio.wait([ended], timeout=every)
        if not ended.done():
            connection[1].write(drop)
        assert time.monotonic() - began < 3 * PATIENCE_SECONDS, "a slow client is served for ever"
    await ended
    return time.monotonic() - began
