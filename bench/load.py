"""A load generator in one process: keep-alive connections, each asking again when answered."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

CONNECTIONS = 32
END_OF_HEAD = b"\r\n\r\n"


@dataclass
class Measured:
    """What one round saw: answers a second, and milliseconds that half and all but 1 % took."""

    per_second: float
    p50: float
    p99: float


class _Client(asyncio.Protocol):
    """One connection: sends a request, waits for the whole answer, sends the next."""

    def __init__(self, make: Callable[[], bytes], until: float, took: list[float]) -> None:
        self._make = make
        self._until = until
        self._took = took
        self._data = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, rest = self._data.partition(END_OF_HEAD)
        if not end or len(rest) < _content_length(head):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._stop(RuntimeError(self._data.decode()))
            return
        self._took.append(time.perf_counter() - self._sent)
        self._data = b""
        if time.perf_counter() < self._until:
            self._ask()
        else:
            self._stop(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def _ask(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._make())

    def _stop(self, error: Exception | None) -> None:
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)
        self._transport.close()


async def measure(port: int, make: Callable[[], bytes], seconds: float) -> Measured:
    """One round against a server on loopback; `make` makes the bytes of the next request."""
    took: list[float] = []
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    until = started + seconds
    clients = [
        (await loop.create_connection(lambda: _Client(make, until, took), "127.0.0.1", port))[1]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.wait_for(asyncio.gather(*(one.done for one in clients)), seconds + 30)
    elapsed = time.perf_counter() - started
    cuts = statistics.quantiles(took, n=100)
    return Measured(len(took) / elapsed, cuts[49] * 1000, cuts[98] * 1000)


def request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    """The bytes of one request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _content_length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
