"""What is refused before it is a request: garbage, strange methods, one connection too many."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path

import pytest

from reachbook.server.protocol import (
    FAREWELL_SECONDS,
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
)
from tests.support.clients import (
    HOST,
    Client,
    Connection,
    Response,
    connected,
    encode_request,
    read_response,
    send_raw,
)
from tests.support.server_process import Server, serving_async
from tests.support.teams import create_api_key
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.anyio

GET = b"GET /healthz HTTP/1.1\r\nhost: book\r\n"
CLOSE = b"\r\nconnection: close\r\n\r\n"
TEAM_SERVED = 'reachbook_requests_total{method="GET",route="/v1/team",status="200"}'
SERVED = GET + b"\r\n"

GARBAGE = {
    "noise": b"\x00\xff\xfe\r\n\r\n",
    "tls": bytes.fromhex("1603010200010001fc0303") + b"\x00" * 64,
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown method": b"FROB / HTTP/1.1\r\nhost: book\r\n\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\nhost: book\r\n\r\n",
    "a version to come": b"GET / HTTP/9.9\r\nhost: book\r\n\r\n",
    "HTTP/2.0 in a request line": b"GET / HTTP/2.0\r\nhost: book\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nhost: book\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nhost: book\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "no version and no head": b"GET /\r\n",
    "no version, with headers": b"GET /\r\nhost: book\r\n\r\n",
    "no version, a bare line feed": b"GET /\nhost: HTTP/1.1\r\n\r\n",
    "a version in lower case": b"GET / http/1.1\r\nhost: book\r\n\r\n",
    "a space behind the version": b"GET / HTTP/1.1 \r\nhost: book\r\n\r\n",
    "RTSP": b"GET / RTSP/1.0\r\nhost: book\r\n\r\n",
    "ICE": b"SOURCE / ICE/1.0\r\nhost: book\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no host, but others": b"GET / HTTP/1.1\r\naccept: */*\r\nx-host: book\r\n\r\n",
    "no host, but a URL": b"GET http://book/ HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"host: book\r\n\r\n",
    "two hosts that differ": GET + b"a: b\r\nHOST: other\r\n\r\n",
    "two hosts of HTTP/1.0": GET.replace(b"1.1", b"1.0") + b"host: book\r\n\r\n",
    "a host in a trailer": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    b"0\r\nhost: book\r\n\r\n",
    "a connect": b"CONNECT book:443 HTTP/1.1\r\nhost: book\r\n\r\n",
    "a path that is not ASCII": "GET /é HTTP/1.1\r\nhost: book\r\n\r\n".encode(),
    "a URL without a host": b"GET http:// HTTP/1.1\r\nhost: book\r\n\r\n",
    "a URL with half a host": b"GET http://[ HTTP/1.1\r\nhost: book\r\n\r\n",
    "a header without a colon": GET + b"nonsense\r\n\r\n",
    "a header name with a space": GET + b"a b: c\r\n\r\n",
    "a NUL in a header": GET + b"a: b\x00c\r\n\r\n",
    "two lengths": GET + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a length and chunks": GET
    + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": GET + b"content-length: -1\r\n\r\n",
    "a length that is no number": GET + b"content-length: many\r\n\r\n",
    "a length of many digits": GET + b"content-length: " + b"0" * 5000 + b"1\r\n\r\na",
    "a length past all numbers": GET + b"content-length: 99999999999999999999999\r\n\r\n",
    "a chunk size that is none": GET + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "a body of an unknown coding": GET + b"transfer-encoding: gzip\r\n\r\n",
    "a body of two codings": GET + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding twice": GET + b"transfer-encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
    "a connect to a path": b"CONNECT / HTTP/1.1\r\nhost: book\r\n\r\n",
    "too many headers": GET + b"a: b\r\n" * 100 + b"\r\n",
    "too many headers and no end": GET + b"a: b\r\n" * 101,
    "far too many headers": GET + b"a: b\r\n" * 5000 + b"\r\n",
    "a large head": GET + b"a: " + b"b" * 65536 + b"\r\n\r\n",
    "a large head in one piece": GET + (b"a: " + b"b" * 8000 + b"\r\n") * 20 + b"\r\n",
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("door")


@pytest.fixture(scope="module")
async def key(directory: Path) -> str:
    return await create_api_key(f"sqlite:///{directory}/reachbook.db")


@pytest.fixture(scope="module")
async def server(directory: Path, key: str) -> AsyncIterator[Server]:
    """Serve the database that holds the key."""
    async with serving_async(directory, f"sqlite:///{directory}/reachbook.db") as one:
        yield one


@contextmanager
def may_open(files: int) -> Iterator[None]:
    """Set the number of files that this process, and processes that it starts, may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def spec(answer: Response, status: int, code: str) -> None:
    told = answer.json()
    assert (answer.status, told["error_code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == told["request_id"]
    assert told["message"]


async def test_it_works(server: Server) -> None:
    spec(await send_raw(server.port, b"this is no request\r\n\r\n"), 400, "malformed_request")
    assert (await send_raw(server.port, GET + b"connection: close\r\n\r\n")).status == 200


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_refused_in_our_words(server: Server, garbage: bytes) -> None:
    """It is refused once, without an error in the log."""
    before, logged = await refusals(server.port), len(server.errors.read_text())
    answer = await send_raw(server.port, garbage)
    spec(answer, 400, "malformed_request")
    assert await refusals(server.port) == before + 1
    own_id = answer.headers["x-request-id"]
    await wait_until_async(
        lambda: own_id in server.errors.read_text(), 5, "a thread writes the line"
    )
    log = server.errors.read_text()[logged:]
    assert "rror:" not in log
    assert '"event":"bug"' not in log


@pytest.mark.parametrize(
    ("garbage", "words"),
    [
        ("too many headers", "100 headers"),
        ("too many headers and no end", "100 headers"),
        ("a large head", "32768 bytes"),
        ("no host", "no Host header"),
        ("two hosts", "2 Host headers"),
        ("no version", "HTTP/1.1"),
        ("no version and no head", "HTTP/1.1"),
        ("HTTP/2.0 in a request line", "HTTP/1.1"),
        ("a connect", "CONNECT"),
        ("a chunk size that is none", "chunk size"),
        ("a URL without a host", "target"),
    ],
)
async def test_a_refusal_says_what_is_wrong(server: Server, garbage: str, words: str) -> None:
    answer = await send_raw(server.port, GARBAGE[garbage])

    assert words in answer.json()["message"]


@pytest.mark.parametrize("size", [1, 16])
@pytest.mark.parametrize("garbage", ["no version", "no host", "two hosts", "RTSP"])
async def test_garbage_in_small_pieces_is_refused_too(
    server: Server, garbage: str, size: int
) -> None:
    async with connected(server.port) as (reader, writer):
        content = GARBAGE[garbage]
        for start in range(0, len(content), size):
            writer.write(content[start : start + size])
            await asyncio.sleep(0.001)
        spec(await read_response(reader), 400, "malformed_request")


@pytest.mark.parametrize("host", [b"", b"host: book\r\n"])
async def test_http_1_0_needs_no_host(server: Server, host: bytes) -> None:
    answer = await send_raw(server.port, b"GET /healthz HTTP/1.0\r\n" + host + b"\r\n")

    assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_a_head_may_be_as_large_as_its_limits(server: Server) -> None:
    """A head with the most headers is accepted; one more byte or header is refused."""
    head = GET + b"connection: close\r\n" + b"a: b\r\n" * (MAX_HEADERS - 3) + b"c: \r\n\r\n"
    full = head.replace(b"c: ", b"c: " + b"d" * (MAX_HEAD_BYTES - len(head)))

    assert (await send_raw(server.port, full)).status == 200
    for one_more in (full.replace(b"d", b"dd", 1), head.replace(b"c:", b"a: b\r\nc:")):
        spec(await send_raw(server.port, one_more), 400, "malformed_request")


async def test_what_is_refused_at_the_door_is_counted_and_logged(server: Server) -> None:
    before = await refusals(server.port)
    answer = await send_raw(server.port, b"this is no request\r\n\r\n")

    assert await refusals(server.port) == before + 1
    logged = answer.headers["x-request-id"]
    await wait_until_async(
        lambda: logged in server.errors.read_text(), 5, "a thread writes the line"
    )


async def test_what_is_refused_at_the_door_bears_the_callers_own_id(server: Server) -> None:
    """When it had been read by then."""
    head = GET + b"x-request-id: mine-1\r\n"
    chunk = b"transfer-encoding: chunked\r\n\r\nzz\r\n"
    for asked in (head + b"a: b\r\n" * 101 + b"\r\n", head + b"host: two\r\n\r\n", head + chunk):
        answer = await send_raw(server.port, asked)

        spec(answer, 400, "malformed_request")
        assert answer.headers["x-request-id"] == "mine-1"


async def refusals(port: int) -> float:
    """Return the number of malformed requests in `/metrics`."""
    return await count(port, 'reachbook_refusals_total{error_code="malformed_request"}')


async def count(port: int, name: str) -> float:
    """Return what `/metrics` shows under a name, or 0."""
    answer = await send_raw(port, b"GET /metrics HTTP/1.1\r\nhost: book" + CLOSE)
    values = dict(line.rsplit(" ", 1) for line in answer.body.decode().splitlines())
    return float(values.get(name, 0))


async def test_a_known_method_of_another_protocol_is_one_the_path_does_not_take(
    server: Server,
) -> None:
    asked = b"PROPFIND /healthz HTTP/1.1\r\nhost: book\r\nconnection: close\r\n\r\n"
    spec(await send_raw(server.port, asked), 405, "method_not_allowed")


async def test_many_small_requests_in_one_piece_are_no_large_head(server: Server) -> None:
    """A client that does not wait for answers, and whose last request is only half there."""
    asked = GET + b"\r\n"
    number = 100_000 // len(asked)
    async with connected(server.port) as (reader, writer):
        writer.write(asked * number + asked[:20])

        for _ in range(number):
            assert (await read_response(reader)).status == 200
        writer.write(asked[20:])
        assert (await read_response(reader)).status == 200


BAD_BODIES = {
    "a chunk size that is none": b"zz\r\n",
    "a chunk that is too long": b"1\r\nab\r\n",
    "a chunk without its end": b"1\r\na0\r\n\r\n",
    "a bare line feed": b"1\na\r\n",
    "a bad trailer": b"0\r\na b\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_after_a_request_does_not_take_its_answer(
    server: Server, garbage: bytes
) -> None:
    """Or a client would take the refusal for the answer to what it asked before.

    A large head may arrive after the first response has left; the refusal then follows it.
    """
    before = await refusals(server.port)
    async with connected(server.port) as (reader, writer):
        writer.write(GET + b"\r\n" + garbage)
        first = await read_response(reader)
        rest = await reader.read()

    assert first.status == 200
    assert rest == b"" or rest.startswith(b"HTTP/1.1 400 ")
    assert await refusals(server.port) == before + 1


@pytest.mark.parametrize("number", [1, 2, 20])
@pytest.mark.parametrize("bad", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_a_bad_body_after_writes_does_not_take_their_answers(
    server: Server, key: str, number: int, bad: bytes
) -> None:
    """Each request is answered; the last response has `Connection: close`."""
    async with connected(server.port) as (reader, writer):
        write = encode_request("POST", "/v2/contact", key, b"{}")
        chunked = write.replace(
            b"content-length: 2\r\n\r\n{}", b"transfer-encoding: chunked\r\n\r\n"
        )
        writer.write(write * number + chunked + bad + write * 20)

        answers = [await read_response(reader) for _ in range(number)]
        assert [(one.status, one.json()["rev"]) for one in answers] == [(200, 1)] * number
        assert [one.headers.get("connection") for one in answers] == [None] * (number - 1) + [
            "close"
        ]
        assert await reader.read() == b""


async def test_a_bad_body_is_refused_when_nothing_is_left_to_answer(
    server: Server, key: str
) -> None:
    async with connected(server.port) as (reader, writer):
        write = encode_request("POST", "/v2/contact", key, b"{}")
        writer.write(write)
        assert (await read_response(reader)).status == 200
        writer.write(write.replace(b"content-length: 2\r\n", b"transfer-encoding: chunked\r\n"))
        spec(await read_response(reader), 400, "malformed_request")
        assert await reader.read() == b""


@pytest.mark.parametrize("offer", [b"", b"connection: upgrade\r\nupgrade: h2c\r\n"])
async def test_a_refused_head_starts_no_request(server: Server, key: str, offer: bytes) -> None:
    """This also holds for a request whose body is not read."""
    get = encode_request("GET", "/v1/team", key)
    coded = get.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: gzip\r\n" + offer + b"\r\n")
    served = await count(server.port, TEAM_SERVED)
    spec(await send_raw(server.port, coded), 400, "malformed_request")

    assert await count(server.port, TEAM_SERVED) == served


@pytest.mark.parametrize(
    "field",
    [
        *("authorization: Bearer {key}", "AUTHORIZATION:Bearer {key}", "x-request-id: trailer"),
        *("host: other", "idempotency-key: trailer", "content-encoding: gzip", "expect: nothing"),
    ],
)
async def test_trailer_fields_are_no_headers(server: Server, key: str, field: str) -> None:
    """This holds for a request without a credential and for a complete request."""
    chunks = f"2\r\n{{}}\r\n0\r\n{field.format(key=key)}\r\n\r\n".encode()
    write = encode_request("POST", "/v2/contact", key)
    head = write.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")
    without = head.replace(f"authorization: Bearer {key}\r\n".encode(), b"")
    async with connected(server.port) as (reader, writer):
        for asked, status in ((without, 401), (head, 200), (without, 401)):
            writer.write(asked + chunks)
            answer = await read_response(reader)
            assert answer.status == status
            assert answer.headers["x-request-id"] != "trailer"


async def test_a_wish_for_another_protocol_is_passed_over(server: Server) -> None:
    """As RFC 9110 has it; and whatever the client asks next on the connection has its answer."""
    async with connected(server.port) as (reader, writer):
        writer.write(GET + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n")
        answer = await read_response(reader)
        assert answer.status == 200
        if answer.headers.get("connection") != "close":
            writer.write(GET + b"\r\n")
            assert (await read_response(reader)).status == 200


@dataclass
class Connections:
    """A server, and connections to it, which may be more than it accepts."""

    server: Server
    key: str
    opened: list[Connection] = field(default_factory=list)

    @property
    def write(self) -> bytes:
        """A write; without its last byte it is a request under way."""
        return encode_request("POST", "/v2/contact", self.key, b"{}")

    async def open(self, number: int, *beginnings: bytes) -> list[Connection]:
        """Open connections, send the beginnings in turn, and return the response to a GET."""
        for beginning in islice(cycle(beginnings), number):
            reader, writer = await asyncio.open_connection(HOST, self.server.port)
            self.opened.append((reader, writer))
            writer.write(beginning)
            if beginning.startswith(SERVED):
                assert (await read_response(reader)).status == 200
        return self.opened[-number:]


@pytest.fixture
async def connections(tmp_path: Path) -> AsyncIterator[Connections]:
    """Its server starts with a limit of open files that is too low."""
    database = f"sqlite:///{tmp_path}/reachbook.db"
    key = await create_api_key(database)
    async with AsyncExitStack() as stack:
        with may_open(MAX_CONNECTIONS // 2):
            server = await stack.enter_async_context(serving_async(tmp_path, database))
        stack.enter_context(may_open(4 * MAX_CONNECTIONS))
        found = Connections(server, key)
        yield found
        for _, writer in found.opened:
            writer.transport.abort()
        await asyncio.sleep(0)


async def test_the_connection_that_is_idle_longest_makes_room(connections: Connections) -> None:
    """It may have sent nothing or a part of a head, or have been served before.

    A request that is under way keeps its connection, however long it has been open.
    """
    [(reader, writer)] = await connections.open(1, connections.write[:-1])
    idle = await connections.open(MAX_CONNECTIONS - 1, b"", GET, SERVED, SERVED + GET)
    for _ in range(10):
        await connections.open(1, b"")
        answer = await send_raw(connections.server.port, GET + CLOSE[2:])
        assert answer.status == 200
        assert answer.seconds < 1

    ended = [one.at_eof() for one, _ in idle]
    assert ended == sorted(ended, reverse=True)
    assert 10 < ended.count(True) < 20
    writer.write(connections.write[-1:])
    assert (await read_response(reader)).status == 200
    port, closed = connections.server.port, "reachbook_idle_connections_closed_total"
    assert await count(port, closed) >= ended.count(True)


async def test_when_no_connection_is_idle_one_more_is_refused(connections: Connections) -> None:
    """The requests under way are served; when one is complete, a new connection is accepted."""
    reader, writer = (await connections.open(MAX_CONNECTIONS, connections.write[:-1]))[-1]
    await asyncio.sleep(0.2)
    refused = await send_raw(
        connections.server.port, encode_request("GET", "/v1/team", connections.key)
    )
    spec(refused, 503, "too_many_connections")
    assert refused.headers["retry-after"] == "1"

    writer.write(connections.write[-1:])
    assert (await read_response(reader)).status == 200
    answer = await send_raw(connections.server.port, GET + CLOSE[2:])
    assert answer.status == 200
    assert await reader.read() == b""


@pytest.mark.parametrize("received", [1, 30, -2, -1], ids=["a letter", "a line", "head", "body"])
async def test_a_request_half_received_at_the_end_is_answered(
    tmp_path: Path, received: int
) -> None:
    database = f"sqlite:///{tmp_path}/reachbook.db"
    whole = encode_request("POST", "/v2/contact", await create_api_key(database), b"{}")
    async with (
        serving_async(tmp_path, database) as server,
        connected(server.port) as (reader, writer),
    ):
        writer.write(whole[:received])
        await asyncio.sleep(0.3)
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        await asyncio.sleep(2 * FAREWELL_SECONDS)
        writer.write(whole[received:])
        answer = await read_response(reader)
        code = await stopping

    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert code == 0


async def test_who_asks_while_it_drains_is_told_that_it_was_the_last_time(tmp_path: Path) -> None:
    """A connection that is kept alive does not end under a request that is on its way."""
    database = f"sqlite:///{tmp_path}/reachbook.db"
    key = await create_api_key(database)
    async with serving_async(tmp_path, database) as server:
        client = Client(server.port, key)
        assert (await client.request("GET", "/v1/team")).status == 200
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        await asyncio.sleep(0.3)
        answer = await client.request("GET", "/v1/team")
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await stopping == 0
