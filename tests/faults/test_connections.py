"""Refusals before a request is served: malformed requests, bad methods, too many connections."""

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
    LAST_REQUEST_SECONDS,
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
    "an unknown version": b"GET / HTTP/9.9\r\nhost: book\r\n\r\n",
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
    "no host, but other headers": b"GET / HTTP/1.1\r\naccept: */*\r\nx-host: book\r\n\r\n",
    "no host, but a URL": b"GET http://book/ HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"host: book\r\n\r\n",
    "two hosts that differ": GET + b"a: b\r\nHOST: other\r\n\r\n",
    "two hosts of HTTP/1.0": GET.replace(b"1.1", b"1.0") + b"host: book\r\n\r\n",
    "a host in a trailer": b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    b"0\r\nhost: book\r\n\r\n",
    "a connect": b"CONNECT book:443 HTTP/1.1\r\nhost: book\r\n\r\n",
    "a path that is not ASCII": "GET /é HTTP/1.1\r\nhost: book\r\n\r\n".encode(),
    "a URL without a host": b"GET http:// HTTP/1.1\r\nhost: book\r\n\r\n",
    "a URL with an invalid host": b"GET http://[ HTTP/1.1\r\nhost: book\r\n\r\n",
    "a header without a colon": GET + b"nonsense\r\n\r\n",
    "a header name with a space": GET + b"a b: c\r\n\r\n",
    "a NUL in a header": GET + b"a: b\x00c\r\n\r\n",
    "two lengths": GET + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a length and chunks": GET
    + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": GET + b"content-length: -1\r\n\r\n",
    "a length that is not a number": GET + b"content-length: many\r\n\r\n",
    "a length of many digits": GET + b"content-length: " + b"0" * 5000 + b"1\r\n\r\na",
    "a length over 64 bits": GET + b"content-length: 99999999999999999999999\r\n\r\n",
    "an invalid chunk size": GET + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
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
    return tmp_path_factory.mktemp("connections")


@pytest.fixture(scope="module")
async def key(directory: Path) -> str:
    return await create_api_key(f"sqlite:///{directory}/reachbook.db")


@pytest.fixture(scope="module")
async def server(directory: Path, key: str) -> AsyncIterator[Server]:
    """A server of the database that has the key."""
    async with serving_async(directory, f"sqlite:///{directory}/reachbook.db") as started:
        yield started


@contextmanager
def open_file_limit(files: int) -> Iterator[None]:
    """Set the number of files that this process, and processes that it starts, may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def assert_error(response: Response, status: int, code: str) -> None:
    error = response.json()
    assert (response.status, error["error_code"]) == (status, code)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"] == error["request_id"]
    assert error["message"]


async def test_a_malformed_request_is_refused_and_the_server_continues(server: Server) -> None:
    assert_error(
        await send_raw(server.port, b"this is no request\r\n\r\n"), 400, "malformed_request"
    )
    assert (await send_raw(server.port, GET + b"connection: close\r\n\r\n")).status == 200


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_a_malformed_request_is_refused_with_a_json_error(
    server: Server, garbage: bytes
) -> None:
    """It is counted once, and the log has no error."""
    before, log_length = await refusals(server.port), len(server.errors.read_text())
    response = await send_raw(server.port, garbage)
    assert_error(response, 400, "malformed_request")
    assert await refusals(server.port) == before + 1
    request_id = response.headers["x-request-id"]
    await wait_until_async(
        lambda: request_id in server.errors.read_text(), 5, "a thread writes the line"
    )
    log = server.errors.read_text()[log_length:]
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
        ("an invalid chunk size", "chunk size"),
        ("a URL without a host", "target"),
    ],
)
async def test_the_error_message_names_the_fault(server: Server, garbage: str, words: str) -> None:
    response = await send_raw(server.port, GARBAGE[garbage])

    assert words in response.json()["message"]


@pytest.mark.parametrize("size", [1, 16])
@pytest.mark.parametrize("garbage", ["no version", "no host", "two hosts", "RTSP"])
async def test_a_malformed_request_in_small_pieces_is_refused(
    server: Server, garbage: str, size: int
) -> None:
    async with connected(server.port) as (reader, writer):
        content = GARBAGE[garbage]
        for start in range(0, len(content), size):
            writer.write(content[start : start + size])
            await asyncio.sleep(0.001)
        assert_error(await read_response(reader), 400, "malformed_request")


@pytest.mark.parametrize("host", [b"", b"host: book\r\n"])
async def test_http_1_0_requires_no_host_header(server: Server, host: bytes) -> None:
    response = await send_raw(server.port, b"GET /healthz HTTP/1.0\r\n" + host + b"\r\n")

    assert (response.status, response.headers["connection"]) == (200, "close")


async def test_a_head_of_the_maximum_size_is_accepted(server: Server) -> None:
    """A head with the most headers is accepted; one more byte or header is refused."""
    head = GET + b"connection: close\r\n" + b"a: b\r\n" * (MAX_HEADERS - 3) + b"c: \r\n\r\n"
    full = head.replace(b"c: ", b"c: " + b"d" * (MAX_HEAD_BYTES - len(head)))

    assert (await send_raw(server.port, full)).status == 200
    for too_large in (full.replace(b"d", b"dd", 1), head.replace(b"c:", b"a: b\r\nc:")):
        assert_error(await send_raw(server.port, too_large), 400, "malformed_request")


async def test_a_malformed_request_is_counted_and_logged(server: Server) -> None:
    before = await refusals(server.port)
    response = await send_raw(server.port, b"this is no request\r\n\r\n")

    assert await refusals(server.port) == before + 1
    request_id = response.headers["x-request-id"]
    await wait_until_async(
        lambda: request_id in server.errors.read_text(), 5, "a thread writes the line"
    )


async def test_the_error_for_a_malformed_request_has_the_callers_request_id(server: Server) -> None:
    """If the header was received before the fault."""
    head = GET + b"x-request-id: mine-1\r\n"
    chunk = b"transfer-encoding: chunked\r\n\r\nzz\r\n"
    for request in (head + b"a: b\r\n" * 101 + b"\r\n", head + b"host: two\r\n\r\n", head + chunk):
        response = await send_raw(server.port, request)

        assert_error(response, 400, "malformed_request")
        assert response.headers["x-request-id"] == "mine-1"


async def refusals(port: int) -> float:
    """Return the number of malformed requests in `/metrics`."""
    return await count(port, 'reachbook_refusals_total{error_code="malformed_request"}')


async def count(port: int, name: str) -> float:
    """Return the value of a metric in `/metrics`, or 0."""
    response = await send_raw(port, b"GET /metrics HTTP/1.1\r\nhost: book" + CLOSE)
    values = dict(line.rsplit(" ", 1) for line in response.body.decode().splitlines())
    return float(values.get(name, 0))


async def test_a_webdav_method_is_refused_with_405(
    server: Server,
) -> None:
    request = b"PROPFIND /healthz HTTP/1.1\r\nhost: book\r\nconnection: close\r\n\r\n"
    assert_error(await send_raw(server.port, request), 405, "method_not_allowed")


async def test_many_small_requests_in_one_read_do_not_exceed_the_head_limit(server: Server) -> None:
    """The client does not wait for responses, and sends its last request in two parts."""
    request = GET + b"\r\n"
    number = 100_000 // len(request)
    async with connected(server.port) as (reader, writer):
        writer.write(request * number + request[:20])

        for _ in range(number):
            assert (await read_response(reader)).status == 200
        writer.write(request[20:])
        assert (await read_response(reader)).status == 200


BAD_BODIES = {
    "an invalid chunk size": b"zz\r\n",
    "a chunk that is too long": b"1\r\nab\r\n",
    "a chunk without its end": b"1\r\na0\r\n\r\n",
    "a bare line feed": b"1\na\r\n",
    "a bad trailer": b"0\r\na b\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_a_malformed_request_does_not_replace_the_response_to_the_previous_request(
    server: Server, garbage: bytes
) -> None:
    """Otherwise a client would read the error as the response to its previous request.

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
async def test_a_malformed_body_does_not_replace_the_responses_to_previous_writes(
    server: Server, key: str, number: int, bad: bytes
) -> None:
    """Each complete request gets its response; the last response has `Connection: close`."""
    async with connected(server.port) as (reader, writer):
        write = encode_request("POST", "/v2/contact", key, b"{}")
        chunked = write.replace(
            b"content-length: 2\r\n\r\n{}", b"transfer-encoding: chunked\r\n\r\n"
        )
        writer.write(write * number + chunked + bad + write * 20)

        responses = [await read_response(reader) for _ in range(number)]
        assert [(response.status, response.json()["rev"]) for response in responses] == [
            (200, 1)
        ] * number
        assert [response.headers.get("connection") for response in responses] == [None] * (
            number - 1
        ) + ["close"]
        assert await reader.read() == b""


async def test_a_malformed_body_is_refused_after_all_responses_are_sent(
    server: Server, key: str
) -> None:
    async with connected(server.port) as (reader, writer):
        write = encode_request("POST", "/v2/contact", key, b"{}")
        writer.write(write)
        assert (await read_response(reader)).status == 200
        writer.write(write.replace(b"content-length: 2\r\n", b"transfer-encoding: chunked\r\n"))
        assert_error(await read_response(reader), 400, "malformed_request")
        assert await reader.read() == b""


@pytest.mark.parametrize("offer", [b"", b"connection: upgrade\r\nupgrade: h2c\r\n"])
async def test_a_refused_head_does_not_start_a_request(
    server: Server, key: str, offer: bytes
) -> None:
    """Also if the body of the request is not read."""
    get = encode_request("GET", "/v1/team", key)
    with_gzip = get.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: gzip\r\n" + offer + b"\r\n")
    served = await count(server.port, TEAM_SERVED)
    assert_error(await send_raw(server.port, with_gzip), 400, "malformed_request")

    assert await count(server.port, TEAM_SERVED) == served


@pytest.mark.parametrize(
    "field",
    [
        *("authorization: Bearer {key}", "AUTHORIZATION:Bearer {key}", "x-request-id: trailer"),
        *("host: other", "idempotency-key: trailer", "content-encoding: gzip", "expect: nothing"),
    ],
)
async def test_trailer_fields_are_not_used_as_headers(server: Server, key: str, field: str) -> None:
    """Neither for a request without a credential nor for a complete request."""
    chunks = f"2\r\n{{}}\r\n0\r\n{field.format(key=key)}\r\n\r\n".encode()
    write = encode_request("POST", "/v2/contact", key)
    head = write.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n")
    head_without_credential = head.replace(f"authorization: Bearer {key}\r\n".encode(), b"")
    async with connected(server.port) as (reader, writer):
        for head_sent, status in (
            (head_without_credential, 401),
            (head, 200),
            (head_without_credential, 401),
        ):
            writer.write(head_sent + chunks)
            response = await read_response(reader)
            assert response.status == status
            assert response.headers["x-request-id"] != "trailer"


async def test_an_offer_to_upgrade_is_ignored(server: Server) -> None:
    """RFC 9110 permits this; the next request on the connection is served too."""
    async with connected(server.port) as (reader, writer):
        writer.write(GET + b"connection: upgrade\r\nupgrade: h2c\r\n\r\n")
        response = await read_response(reader)
        assert response.status == 200
        if response.headers.get("connection") != "close":
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
        """A write request; without its last byte it is a request in progress."""
        return encode_request("POST", "/v2/contact", self.key, b"{}")

    async def open(self, number: int, *beginnings: bytes) -> list[Connection]:
        """Open connections, send the beginnings in turn, and read the response to a whole GET."""
        for beginning in islice(cycle(beginnings), number):
            reader, writer = await asyncio.open_connection(HOST, self.server.port)
            self.opened.append((reader, writer))
            writer.write(beginning)
            if beginning.startswith(SERVED):
                assert (await read_response(reader)).status == 200
        return self.opened[-number:]


@pytest.fixture
async def connections(tmp_path: Path) -> AsyncIterator[Connections]:
    """The server starts with a limit of open files that is too low, and must raise it."""
    database = f"sqlite:///{tmp_path}/reachbook.db"
    key = await create_api_key(database)
    async with AsyncExitStack() as stack:
        with open_file_limit(MAX_CONNECTIONS // 2):
            server = await stack.enter_async_context(serving_async(tmp_path, database))
        stack.enter_context(open_file_limit(4 * MAX_CONNECTIONS))
        found = Connections(server, key)
        yield found
        for _, writer in found.opened:
            writer.transport.abort()
        await asyncio.sleep(0)


async def test_the_longest_idle_connection_is_closed_for_a_new_one(
    connections: Connections,
) -> None:
    """It may have sent nothing or a part of a head, or have been served before.

    A connection with a request in progress is not closed, however old it is.
    """
    [(reader, writer)] = await connections.open(1, connections.write[:-1])
    idle = await connections.open(MAX_CONNECTIONS - 1, b"", GET, SERVED, SERVED + GET)
    for _ in range(10):
        await connections.open(1, b"")
        response = await send_raw(connections.server.port, GET + CLOSE[2:])
        assert response.status == 200
        assert response.seconds < 1

    is_closed = [reader.at_eof() for reader, _ in idle]
    assert is_closed == sorted(is_closed, reverse=True)
    assert 10 < is_closed.count(True) < 20
    writer.write(connections.write[-1:])
    assert (await read_response(reader)).status == 200
    port, closed = connections.server.port, "reachbook_idle_connections_closed_total"
    assert await count(port, closed) >= is_closed.count(True)


async def test_a_connection_over_the_limit_is_refused_if_none_is_idle(
    connections: Connections,
) -> None:
    """The requests in progress are served; after one of them a new connection is accepted."""
    reader, writer = (await connections.open(MAX_CONNECTIONS, connections.write[:-1]))[-1]
    await asyncio.sleep(0.2)
    refused = await send_raw(
        connections.server.port, encode_request("GET", "/v1/team", connections.key)
    )
    assert_error(refused, 503, "too_many_connections")
    assert refused.headers["retry-after"] == "1"

    writer.write(connections.write[-1:])
    assert (await read_response(reader)).status == 200
    response = await send_raw(connections.server.port, GET + CLOSE[2:])
    assert response.status == 200
    assert await reader.read() == b""


@pytest.mark.parametrize(
    "received",
    [1, 30, -2, -1],
    ids=["first byte", "request line", "without the body", "without the last byte"],
)
async def test_a_partly_received_request_is_served_during_shutdown(
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
        await asyncio.sleep(2 * LAST_REQUEST_SECONDS)
        writer.write(whole[received:])
        response = await read_response(reader)
        code = await stopping

    assert (response.status, response.headers["connection"]) == (200, "close")
    assert code == 0


async def test_a_response_during_shutdown_has_connection_close(tmp_path: Path) -> None:
    """A persistent connection is not closed while a request of the client may be on its way."""
    database = f"sqlite:///{tmp_path}/reachbook.db"
    key = await create_api_key(database)
    async with serving_async(tmp_path, database) as server:
        client = Client(server.port, key)
        assert (await client.request("GET", "/v1/team")).status == 200
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        await asyncio.sleep(0.3)
        response = await client.request("GET", "/v1/team")
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert await stopping == 0
