"""The protocol class on real sockets, with access to the server's end of each connection."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from reachbook.metrics import Metrics
from reachbook.server import protocol
from reachbook.server.protocol import MAX_HEAD_BYTES, MAX_PIPELINED, BoundedProtocol
from tests.support.clients import HOST, connected, read_response
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
GET = b"GET / HTTP/1.1\r\nhost: book\r\n\r\n"
RESPONSE_BYTES = 20_000
HIGH_WATER_BYTES = 65_536
MAX_RESPONSES = 1_000
LONG_RESPONSE_BYTES = 2 * MIB

PARTS = [
    b"\r\n",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"\n0",
    b"a" * 50,
    GET,
    GET[:20],
    b"POST / HTTP/1.1\r\n",
]

ServerConnections = Callable[[], list[BoundedProtocol]]


async def send_response(scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(b"content-length", str(RESPONSE_BYTES).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(RESPONSE_BYTES)})


class HeldApplication:
    """An application that reads a request, and responds when it is released."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []
        self.released = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        await self.released.wait()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def listening(
    app: ASGIApp = send_response, send_buffer: int = 0
) -> AsyncIterator[tuple[int, ServerConnections]]:
    """Yield a port, and a function that returns the server's ends of the connections to it."""
    config = uvicorn.Config(app, http=BoundedProtocol, ws="none", log_config=None)
    config.load()
    state = ServerState()
    metrics = Metrics()
    server = await asyncio.get_running_loop().create_server(
        lambda: BoundedProtocol(config, state, {"metrics": metrics}), HOST, 0
    )
    async with server:
        if send_buffer:
            server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        port = server.sockets[0].getsockname()[1]
        yield (
            port,
            lambda: [
                connection
                for connection in state.connections
                if isinstance(connection, BoundedProtocol)
            ],
        )
        for connection in list(state.connections):
            connection.transport.abort()
        await wait_until_async(lambda: not state.connections, 3, "all connections are gone")


async def test_a_response_with_little_unread_is_limited_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The unread rest is smaller than the transport's high-water mark."""
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 1.0)
    monkeypatch.setattr(protocol, "CHECK_SECONDS", 0.2)
    loop = asyncio.get_running_loop()
    silent = socket.socket()
    silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    silent.setblocking(False)
    async with listening() as (port, connections):
        await loop.sock_connect(silent, (HOST, port))
        unsent = requests = 0
        while not unsent and requests < MAX_RESPONSES:
            await loop.sock_sendall(silent, GET)
            await asyncio.sleep(0.002)
            requests, unsent = requests + 1, connections()[0].transport.get_write_buffer_size()
        assert 0 < unsent < HIGH_WATER_BYTES
        await wait_until_async(lambda: not connections(), 3, "the connection is gone")
    silent.close()


async def test_the_connection_of_a_client_that_reads_is_not_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each response has a time limit of its own, and the client may pause between requests."""
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "CHECK_SECONDS", 0.05)
    async with listening() as (port, connections), connected(port) as (reader, writer):
        for pause in [*[0.05] * 15, 1.2, 0]:
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(RESPONSE_BYTES)
            await asyncio.sleep(pause)
        assert len(connections()) == 1
        writer.transport.abort()
        await wait_until_async(lambda: not connections(), 3, "the connection is gone")


# ── pipelined requests ───────────────────────────────────────────────────────────────────────────


async def test_at_most_16_pipelined_requests_are_parsed() -> None:
    """The rest of a read is buffered, and nothing more is read, until a response is complete."""
    app = HeldApplication()
    number = 4_000
    async with listening(app) as (port, connections), connected(port) as (reader, writer):
        writer.write(b"".join(GET.replace(b"/ ", b"/%d " % index) for index in range(number)))
        await wait_until_async(lambda: bool(app.scopes), 3, "the first request is there")
        await asyncio.sleep(0.1)
        [end] = connections()
        assert len(end.pipeline) == MAX_PIPELINED
        assert not end.transport.is_reading()

        app.released.set()
        for _ in range(number):
            assert (await read_response(reader)).body == b"ok"
        assert not end.pipeline
        assert end.transport.is_reading()
    assert [scope["path"] for scope in app.scopes] == [f"/{index}" for index in range(number)]


async def test_pipelined_requests_with_bodies_are_parsed_in_order() -> None:
    """Some of the bodies look like requests."""
    app = HeldApplication()
    bodies = [b"", b"a", GET * 3, b"\r\n\r\n0\r\n\r\n", b"b" * 100_000] * 12
    async with listening(app) as (port, _), connected(port) as (reader, writer):
        for number, body in enumerate(bodies):
            writer.write(post(body, chunked=number % 2 == 1))
        await wait_until_async(lambda: bool(app.scopes), 3, "the first request is there")
        app.released.set()
        for _ in bodies:
            assert (await read_response(reader)).status == 200
    assert app.bodies == bodies


def post(body: bytes, *, chunked: bool = False) -> bytes:
    head = b"POST / HTTP/1.1\r\nhost: book\r\n"
    if not chunked:
        return head + b"content-length: %d\r\n\r\n" % len(body) + body
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return head + b"transfer-encoding: chunked\r\n\r\n" + chunk + b"0\r\nhost: trailer\r\n\r\n"


@pytest.mark.parametrize("in_two_reads", [False, True])
@pytest.mark.parametrize("offer", [b"", b"connection: upgrade\r\nupgrade: h2c\r\n"])
async def test_trailer_fields_are_dropped(offer: bytes, in_two_reads: bool) -> None:
    """The client address of a proxy's header is not replaced by a trailer field."""
    app = HeldApplication()
    app.released.set()
    trailer = b"x-forwarded-for: 192.0.2.7\r\nauthorization: Bearer a\r\nhost: other\r\n"
    request = post(b"{}", chunked=True).replace(b"\r\nhost: trailer\r\n", b"\r\n" + trailer)
    request = request.replace(b"\r\n\r\n", b"\r\n" + offer + b"\r\n", 1)
    async with listening(app) as (port, _), connected(port) as (reader, writer):
        for _ in range(2):
            for piece in [request[:-60], request[-60:]] if in_two_reads else [request]:
                writer.write(piece)
                await asyncio.sleep(0.02)
            assert (await read_response(reader)).status == 200
    assert app.bodies == [b"{}", b"{}"]
    for scope in app.scopes:
        assert scope["client"][0] == HOST
        names = [name for name, _ in scope["headers"]]
        assert names == [b"host", b"transfer-encoding", b"connection", b"upgrade"][: len(names)]


async def test_requests_after_connection_close_are_not_served() -> None:
    app = HeldApplication()
    async with listening(app) as (port, connections), connected(port) as (reader, writer):
        last = GET.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        writer.write(GET + last + GET * 100 + GET[:20])
        app.released.set()
        assert [(await read_response(reader)).status for _ in range(2)] == [200, 200]
        assert await reader.read() == b""
        writer.close()
        await wait_until_async(lambda: not connections(), 3, "the connection is gone")
    assert len(app.scopes) == 2


@pytest.mark.parametrize("seed", range(10))
async def test_random_requests_are_served_in_any_split(seed: int) -> None:
    """Bodies that look like requests, Upgrade headers, trailer fields and empty lines."""
    chance = random.Random(seed)
    app = HeldApplication()
    app.released.set()
    bodies = [b"".join(chance.choices(PARTS, k=chance.randrange(6))) for _ in range(40)]
    content = b""
    for body in bodies:
        request = post(body, chunked=chance.random() < 0.5)
        fields = chance.choice([b"", b"connection: upgrade\r\nupgrade: websocket\r\n"])
        content += b"\r\n" * chance.choice([0, 0, 1, 3])
        content += request.replace(b"\r\n", b"\r\n" + fields, 1)
    async with listening(app) as (port, _), connected(port) as (reader, writer):
        while content:
            size = chance.choice([1, 2, 3, 10, 100, 1000])
            writer.write(content[:size])
            content = content[size:]
            await asyncio.sleep(0)
        for _ in bodies:
            assert (await read_response(reader)).status == 200
    assert app.bodies == bodies


# ── timeouts ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "more",
    [b"\r\n", b"\r\n" * 100, GET[:20], post(b"a" * 100)[:-1], GET * 30 + GET[:20]],
    ids=["a line break", "line breaks", "a part of a head", "a part of a body", "requests"],
)
async def test_pipelined_bytes_do_not_shorten_the_time_of_a_request(
    monkeypatch: pytest.MonkeyPatch, more: bytes
) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(protocol, "CHECK_SECONDS", 0.05)
    app = HeldApplication()
    async with listening(app) as (port, connections), connected(port) as (reader, writer):
        writer.write(post(b"{}"))
        await wait_until_async(lambda: bool(app.bodies), 3, "the request is there")
        writer.write(more)
        await asyncio.sleep(0.5)
        app.released.set()
        assert (await read_response(reader)).body == b"ok"
        if more == GET[:20]:  # a deadline of its own has begun
            await wait_until_async(lambda: not connections(), 3, "the connection is gone")


async def test_line_breaks_do_not_keep_an_idle_connection_open() -> None:
    app = HeldApplication()
    app.released.set()
    async with listening(app) as (port, connections), connected(port) as (reader, writer):
        writer.write(GET)
        await read_response(reader)
        connections()[0].timeout_keep_alive = 0.3  # type: ignore[assignment]
        writer.write(GET)
        await read_response(reader)
        for _ in range(12):
            writer.write(b"\r\n")
            await asyncio.sleep(0.05)
        assert not connections()


async def test_endless_line_breaks_are_refused_after_the_response() -> None:
    app = HeldApplication()
    async with listening(app) as (port, connections), connected(port) as (reader, writer):
        writer.write(post(b"{}"))
        await wait_until_async(lambda: bool(app.bodies), 3, "the request is there")
        writer.write(b"\r\n" * MAX_HEAD_BYTES)
        await wait_until_async(
            lambda: not connections()[0].transport.is_reading(), 3, "the server stops reading"
        )
        app.released.set()
        response = await read_response(reader)
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert await reader.read() == b""


# ── clients that read slowly ─────────────────────────────────────────────────────────────────────


async def send_long_response(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond with many bytes: in one piece for the path /, otherwise in many."""
    pieces = 1 if scope["path"] == "/" else 256
    headers = [(b"content-length", str(LONG_RESPONSE_BYTES).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    piece = bytes(LONG_RESPONSE_BYTES // pieces)
    for left in range(pieces - 1, -1, -1):
        await send({"type": "http.response.body", "body": piece, "more_body": left > 0})


async def read_slowly(
    port: int, path: bytes, piece: int, every: float
) -> AsyncGenerator[int, None]:
    """Read a piece at an interval in seconds; yield the number of bytes so far."""
    loop = asyncio.get_running_loop()
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.setblocking(False)
    await loop.sock_connect(slow, (HOST, port))
    await loop.sock_sendall(slow, GET.replace(b"/", path, 1))
    read, start = 0, loop.time()
    with slow, suppress(ConnectionError):
        while data := await loop.sock_recv(slow, piece):
            read += len(data)
            yield read
            await asyncio.sleep(start + read / piece * every - loop.time())


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "CHECK_SECONDS", 0.05)


@asynccontextmanager
async def reading(
    path: bytes, piece: int, every: float
) -> AsyncIterator[tuple[AsyncIterator[int], ServerConnections]]:
    """Yield the iterator of `read_slowly` over a long response, and the server's connections."""
    async with (
        listening(send_long_response, send_buffer=65_536) as (port, connections),
        aclosing(read_slowly(port, path, piece, every)) as reads,
    ):
        yield reads, connections


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize("path", [b"/", b"/pieces"])
async def test_a_client_that_reads_slowly_is_served(path: bytes) -> None:
    """It reads for several times the limit of an unread response."""
    most = 0
    async with reading(path, 32_768, 0.02) as (reads, _):
        async for most in reads:
            if most > LONG_RESPONSE_BYTES:
                break
    assert most > LONG_RESPONSE_BYTES


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize("path", [b"/", b"/pieces"])
@pytest.mark.parametrize(("piece", "every"), [(1, 0.05), (2_000, 0.25)])
async def test_a_client_that_reads_too_slowly_is_disconnected(
    path: bytes, piece: int, every: float
) -> None:
    async with reading(path, piece, every) as (reads, connections):
        async for read in reads:
            if not connections():
                break
            assert read * every < 1.5 * piece, "the client is never disconnected"


@pytest.mark.usefixtures("short_timeouts")
@pytest.mark.parametrize("path", [b"/", b"/pieces"])
async def test_a_client_that_stops_reading_is_disconnected(path: bytes) -> None:
    """The client is disconnected even if it has read much before."""
    async with reading(path, 65_536, 0.001) as (reads, connections):
        while await anext(reads) < LONG_RESPONSE_BYTES // 2:
            pass
        await wait_until_async(lambda: not connections(), 1, "the connection is gone")


async def test_the_connection_of_a_client_that_does_not_read_is_closed_for_a_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is closed although its request is in progress; that of a client that reads stays open."""
    monkeypatch.setattr(protocol, "CHECK_SECONDS", 0.1)
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 2)
    async with (
        listening(send_long_response, send_buffer=65_536) as (port, connections),
        aclosing(read_slowly(port, b"/pieces", 16_384, 0.02)) as reads,
        aclosing(read_slowly(port, b"/pieces", 16_384, 0.02)) as silent,
    ):
        await anext(reads)
        await anext(silent)
        stalled = connections()
        loop = asyncio.get_running_loop()
        start = loop.time()
        while loop.time() - start < 0.5:
            await anext(reads)
        async with connected(port) as (reader, writer):
            writer.write(GET)
            assert (await read_response(reader)).status == 200
        await anext(reads)
        assert len(set(stalled) & set(connections())) == 1
