"""A TCP proxy in front of PostgreSQL that simulates faults of a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum

HOST = "127.0.0.1"
PIECE = 65536


class Network(Enum):
    """The state of the network."""

    OPEN = "open"
    CLOSED = "the port is closed, and every connection is aborted"
    CUTTING = "each connection is aborted in the middle of the next statement, or of its response"
    SLOW = "all data is delayed"
    SWALLOWING = "connections are accepted, and no data is forwarded in either direction"
    DEAF = "statements are forwarded, and their responses are not"


class Proxy:
    """Listens on a TCP port of loopback and connects to a socket of PostgreSQL."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._network = Network.OPEN
        self._delay = 0.0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._silent: list[asyncio.StreamWriter] = []
        self.port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        """Accept connections until the block ends."""
        await self._listen()
        try:
            yield self
        finally:
            await self._close()
            await self.close_silent()

    async def set_network(self, network: Network, delay: float = 0.0) -> None:
        """Change the state of the network.

        Connections that were accepted in the state SWALLOWING stay open and silent until the next
        fault, as behind a router that failed.
        """
        self._network, self._delay = network, delay
        if network is not Network.OPEN:
            await self.close_silent()
        if network is Network.CLOSED:
            await self._close()
        elif self._server is None:
            await self._listen()
        if network is Network.SWALLOWING:
            await self._abort_all()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        await self._abort_all()

    async def _abort_all(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close_silent(self) -> None:
        """Close the connections that stay open and silent."""
        _abort(self._silent)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        ends = [writer]
        try:
            await self._forward(reader, ends)
        except (OSError, asyncio.CancelledError):
            pass  # the state changed, or one end closed the connection
        finally:
            self._tasks.discard(task)
            if self._network in (Network.SWALLOWING, Network.DEAF):
                self._silent += ends
            else:
                _abort(ends)

    async def _forward(
        self, reader: asyncio.StreamReader, ends: list[asyncio.StreamWriter]
    ) -> None:
        if self._network is Network.SWALLOWING:
            return
        server_reader, server_writer = await asyncio.open_unix_connection(self._socket_path)
        ends.append(server_writer)
        directions = [
            asyncio.create_task(self._copy(reader, server_writer, are_responses=False)),
            asyncio.create_task(self._copy(server_reader, ends[0], are_responses=True)),
        ]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, are_responses: bool
    ) -> None:
        while piece := await reader.read(PIECE):
            if self._network is Network.CUTTING:
                writer.write(piece[: len(piece) // 2])
                with suppress(OSError):
                    await writer.drain()
                return
            if self._network is Network.DEAF and are_responses:
                return
            if self._network is Network.SLOW:
                await asyncio.sleep(self._delay)
            writer.write(piece)
            await writer.drain()


def _abort(ends: list[asyncio.StreamWriter]) -> None:
    for end in ends:
        end.transport.abort()
    ends.clear()
