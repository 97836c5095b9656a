"""What of the protocol cannot be seen from outside: real sockets, and the server's end in view."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from drills.clients import HOST
from drills.servers import until
from reachbook.http import deadline
from reachbook.http.deadline import BoundedProtocol

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nhost: book\r\n\r\n"
ANSWER_BYTES = 20_000
HIGH_WATER_BYTES = 65_536
MOST_ANSWERS = 1_000


async def talkative(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-length", str(ANSWER_BYTES).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(ANSWER_BYTES)})


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[int, Callable[[], list[BoundedProtocol]]]]:
    """A port, and the server's ends of the connections to it."""
    config = uvicorn.Config(talkative, http=BoundedProtocol, ws="none", log_config=None)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: BoundedProtocol(config, state, {}), HOST, 0
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield port, lambda: [one for one in state.connections if isinstance(one, BoundedProtocol)]


async def test_an_answer_of_which_little_is_left_unread_has_a_deadline_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Less than the mark at which the transport would tell us that it is full."""
    monkeypatch.setattr(deadline, "REQUEST_SECONDS", 1.0)
    monkeypatch.setattr(deadline, "LOOK_SECONDS", 0.2)
    loop = asyncio.get_running_loop()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.setblocking(False)
    async with listening() as (port, ends):
        await loop.sock_connect(deaf, (HOST, port))
        left = asked = 0
        while not left and asked < MOST_ANSWERS:
            await loop.sock_sendall(deaf, GET)
            await asyncio.sleep(0.002)
            asked, left = asked + 1, ends()[0].transport.get_write_buffer_size()
        assert 0 < left < HIGH_WATER_BYTES
        await until(lambda: not ends(), 3, "the connection is gone")
    deaf.close()


async def test_a_client_that_listens_is_not_hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that asks again and again has a deadline for each answer, and may pause between them."""
    monkeypatch.setattr(deadline, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(deadline, "LOOK_SECONDS", 0.05)
    async with listening() as (port, ends):
        reader, writer = await asyncio.open_connection(HOST, port)
        for pause in [*[0.05] * 15, 1.2, 0]:
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(ANSWER_BYTES)
            await asyncio.sleep(pause)
        assert len(ends()) == 1
        writer.transport.abort()
        await until(lambda: not ends(), 3, "the connection is gone")
