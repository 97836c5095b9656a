"""Raw HTTP clients on loopback, which use little processor time compared to the server."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
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


class ConnectionLostError(Exception):
    """The connection ended before a complete response; the request may have been processed."""


@dataclass(frozen=True)
class Response:
    """A response, and the seconds from the request to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """Return the value of the body."""
        return json.loads(self.body)


class Requester(Protocol):
    """An object that sends requests."""

    async def request(self, method: str, path: str, body: object = None) -> Response:
        """Send a request and return the response; raise ConnectionLostError without one."""

    def close(self) -> None:
        """Close the connection."""


class Client:
    """A client with one connection, which is opened again after it was lost.

    Of several ports, it connects to the first one on which a server listens, and stays with it.
    """

    def __init__(self, ports: Sequence[int] | int, api_key: str) -> None:
        self._ports = deque([ports] if isinstance(ports, int) else ports)
        self._api_key = api_key
        self._connection: Connection | None = None

    async def request(
        self, method: str, path: str, body: object = None, *, idempotency_key: str | None = None
    ) -> Response:
        """Send a request and return the response; raise ConnectionLostError without one."""
        content = b"" if body is None else json.dumps(body).encode()
        began = time.monotonic()
        try:
            reader, writer = await self._connect()
            writer.write(encode_request(method, path, self._api_key, content, idempotency_key))
            async with asyncio.timeout(PATIENCE_SECONDS):
                response = await read_response(reader, began)
        except (OSError, EOFError, TimeoutError) as error:
            hung = isinstance(error, TimeoutError) and time.monotonic() - began > PATIENCE_SECONDS
            assert not hung, f"{method} {path} hangs"
            self.close()
            raise ConnectionLostError(str(error)) from None
        if response.headers.get("connection") == "close":
            self.close()
        return response

    async def _connect(self) -> Connection:
        """Return the connection, or open one to the first port that accepts it."""
        if self._connection and self._connection[0].at_eof():
            self.close()
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

    def close(self) -> None:
        """Close the connection."""
        if self._connection:
            self._connection[1].transport.abort()
        self._connection = None


@asynccontextmanager
async def open_clients(number: int, port: int, api_key: str) -> AsyncIterator[list[Client]]:
    """Yield a number of clients, which are closed when the block ends."""
    clients = [Client(port, api_key) for _ in range(number)]
    try:
        yield clients
    finally:
        for each in clients:
            each.close()


def encode_request(
    method: str,
    path: str,
    api_key: str,
    content: bytes = b"",
    idempotency_key: str | None = None,
) -> bytes:
    """Return the bytes of a request."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: book",
        f"authorization: Bearer {api_key}",
        *([f"content-length: {len(content)}"] if content else []),
        *([] if idempotency_key is None else [f"idempotency-key: {idempotency_key}"]),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


async def read_response(reader: asyncio.StreamReader, began: float | None = None) -> Response:
    """Read the next response on a connection; `began` is the time of its request."""
    began = time.monotonic() if began is None else began
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    length = _length.search(head)
    body = await reader.readexactly(int(length[1]) if length else 0)
    headers = dict(line.split(": ", 1) for line in lines)
    return Response(int(first.split(" ")[1]), headers, body, time.monotonic() - began)


async def send_raw(port: int, content: bytes) -> Response:
    """Send bytes and return the response; the server must then close the connection."""
    async with connected(port) as (reader, writer):
        writer.write(content)
        response = await read_response(reader)
        with suppress(ConnectionError):
            assert await reader.read() == b""
    return response


@asynccontextmanager
async def connected(port: int, seconds: float = PATIENCE_SECONDS) -> AsyncIterator[Connection]:
    """Open a connection, which is aborted when the block ends; raise TimeoutError after a time."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        async with asyncio.timeout(seconds):
            yield reader, writer
    finally:
        writer.transport.abort()


def connected_socket(port: int, seconds: float = 10) -> socket.socket:
    """Return a blocking socket that is connected; each operation on it has a timeout."""
    return socket.create_connection((HOST, port), seconds)


async def wait_for_close(connection: Connection) -> None:
    """Wait until the server closes a connection; the data that it sends is discarded."""
    reader, writer = connection
    try:
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass
    finally:
        writer.transport.abort()


async def send_slowly(
    port: int, beginning: bytes, piece: bytes = b"a", every: float = 0.5
) -> float:
    """Send a beginning, then a piece at an interval, until the server closes the connection.

    Returns the seconds that it took.
    """
    await asyncio.sleep(random.uniform(0, every))  # so that clients do not send all at once
    began = time.monotonic()
    connection = await asyncio.open_connection(HOST, port)
    connection[1].write(beginning)
    closed = asyncio.create_task(wait_for_close(connection))
    while not closed.done():
        await asyncio.wait([closed], timeout=every)
        if not closed.done():
            connection[1].write(piece)
        assert time.monotonic() - began < 3 * PATIENCE_SECONDS, "a slow client is never closed"
    await closed
    return time.monotonic() - began
