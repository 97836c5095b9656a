"""The load generator for machines without wrk: keep-alive connections in one process.

Each connection sends a request, waits for the whole response, and sends the next. It is slower than
the faster servers here, so compare its figures only with its own.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from bench.plans import Filler, Plan

END_OF_HEAD = b"\r\n\r\n"
ERROR = 400
LAST_RESPONSE_SECONDS = 10.0


class Tally:
    """The times and errors of all connections, and when to stop."""

    def __init__(self, filler: Filler, seconds: float) -> None:
        self.filler = filler
        self.started = time.perf_counter()
        self.until = self.started + seconds
        self.took: list[float] = []
        self.refused = 0
        self.failed = 0


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._data = b""
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, end, rest = self._data.partition(END_OF_HEAD)
        if not end or len(rest) < _content_length(head):
            return
        now = time.perf_counter()
        self._tally.took.append(now - self._sent)
        self._tally.refused += int(head[9:12]) >= ERROR
        self._data = b""
        if now < self._tally.until:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._tally.failed += 1
            self.done.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._tally.filler.next())


async def measure(plan: Plan, port: int, seconds: float, connections: int) -> Tally:
    """Returns the times and errors of the connections."""
    loop = asyncio.get_running_loop()
    tally = Tally(Filler(plan), seconds)
    clients = [
        (await loop.create_connection(lambda: Client(tally), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    _, waiting = await asyncio.wait(
        [client.done for client in clients], timeout=seconds + LAST_RESPONSE_SECONDS
    )
    tally.failed += len(waiting)
    return tally


def main() -> None:
    """Print a line like that of wrk.lua."""
    file, port, seconds, connections = sys.argv[1:]
    plan = msgspec.json.decode(Path(file).read_bytes(), type=Plan)
    tally = uvloop.run(measure(plan, int(port), float(seconds), int(connections)))
    duration = time.perf_counter() - tally.started
    percentiles = statistics.quantiles([*tally.took, 0.0, 0.0], n=100)
    in_micros = [round(each * 1e6) for each in (duration, percentiles[49], percentiles[98])]
    print("RESULT", len(tally.took), *in_micros, tally.refused, tally.failed)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


if __name__ == "__main__":
    main()
