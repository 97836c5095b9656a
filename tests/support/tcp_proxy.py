"""A road to PostgreSQL that can be closed, cut, slowed, and made to swallow what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum

HOST = "127.0.0.1"
PIECE = 65536


class Road(Enum):
    """How the road is."""

    OPEN = "open"
    CLOSED = "nobody listens, and whoever was on the road is thrown off it"
    CUTTING = "each connection is cut in the middle of the next statement, or of its answer"
    SLOW = "everything arrives late"
    SWALLOWING = "connections are taken and stay; nothing arrives, neither way"
    DEAF = "statements arrive, their answers do not"


class Proxy:
    """Listens on a TCP port of loopback and connects to a socket of PostgreSQL."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._road = Road.OPEN
        self._delay = 0.0
        self._server: asyncio.Server | None = None
        self._travellers: set[asyncio.Task[None]] = set()
        self._lost: list[asyncio.StreamWriter] = []
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        """Open until the block ends."""
        await self._listen()
        try:
            yield self
        finally:
            await self._close()
            await self.forget_the_lost()

    async def make(self, road: Road, delay: float = 0.0) -> None:
        """Change the road. Who was swallowed stays so until the next fault, as behind a router
        that died: healing the road does not bring them back.
        """
        self._road, self._delay = road, delay
        if road is not Road.OPEN:
            await self.forget_the_lost()
        if road is Road.CLOSED:
            await self._close()
        elif self._server is None:
            await self._listen()
        if road is Road.SWALLOWING:
            await self._throw_off()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._throw_off()

    async def _throw_off(self) -> None:
        for one in self._travellers:
            one.cancel()
        await asyncio.gather(*self._travellers, return_exceptions=True)

    async def forget_the_lost(self) -> None:
        """Let go of who was swallowed: their ends find out at last."""
        _abort(self._lost)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._travellers.add(task)
        ends = [writer]
        try:
            await self._travel(reader, ends)
        except (OSError, asyncio.CancelledError):
            pass  # the road changed under it, or one end let go
        finally:
            self._travellers.discard(task)
            if self._road in (Road.SWALLOWING, Road.DEAF):
                self._lost += ends
            else:
                _abort(ends)

    async def _travel(self, reader: asyncio.StreamReader, ends: list[asyncio.StreamWriter]) -> None:
        if self._road is Road.SWALLOWING:
            return
        far_reader, far_writer = await asyncio.open_unix_connection(self._socket_path)
        ends.append(far_writer)
        ways = [
            asyncio.create_task(self._carry(reader, far_writer, answers=False)),
            asyncio.create_task(self._carry(far_reader, ends[0], answers=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in ways:
                one.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while piece := await reader.read(PIECE):
            if self._road is Road.CUTTING:
                writer.write(piece[: len(piece) // 2])
                with suppress(OSError):
                    await writer.drain()
                return
            if self._road is Road.DEAF and answers:
                return
            if self._road is Road.SLOW:
                await asyncio.sleep(self._delay)
            writer.write(piece)
            await writer.drain()


def _abort(ends: list[asyncio.StreamWriter]) -> None:
    for one in ends:
        one.transport.abort()
    ends.clear()
