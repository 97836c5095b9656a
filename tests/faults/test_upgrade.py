"""An offer to upgrade is ignored: the body is framed as the headers declare.

Java's HttpClient offers h2c with every cleartext request, and so do `curl --http2` and others.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.clients import (
    HOST,
    Response,
    connected,
    encode_request,
    open_clients,
    read_response,
)
from tests.support.server_process import Server, serving_async
from tests.support.teams import create_api_key

pytestmark = pytest.mark.anyio

PROGRAM_SECONDS = 60
RESPONSE_SECONDS = 5
PAUSE_SECONDS = 0.01
ADDRESS = "alice@example.test"
BODY = json.dumps({"contact_channels": [{"channel_ids": [ADDRESS]}]}).encode()
H2C = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
)
OFFERS = {
    "none": b"",
    "h2c": H2C,
    "h2c, in another case": b"CONNECTION: hTTP2-sETTINGS, uPGRADE\r\nuPGRADE: H2C\r\n",
    "websocket": b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
    "TLS": b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n",
    "several": b"Connection: upgrade\r\nUpgrade: HTTP/2.0, TLS/1.2\r\nUpgrade: websocket\r\n",
    "an empty offer": b"Connection: upgrade\r\nUpgrade:\r\n",
    "only the Upgrade header": b"Upgrade: h2c\r\n",
    "only the Connection header": b"Connection: upgrade\r\n",
}
LENGTH = b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKS = b"Transfer-Encoding: chunked\r\n\r\n7\r\n%b\r\n%x\r\n%b\r\n" % (
    BODY[:7],
    len(BODY[7:]),
    BODY[7:],
)
BODIES = {
    "a length": LENGTH,
    "chunks": CHUNKS + b"0\r\n\r\n",
    "chunks and a trailer": CHUNKS + b"0;a=b\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
}

JAVA = """
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;

public class Post {
    static String send(HttpClient client, String[] to, BodyPublisher body) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(to[0])).POST(body)
            .header("Authorization", "Bearer " + to[1]).build();
        var answer = client.send(request, BodyHandlers.ofString());
        return answer.statusCode() + " " + answer.body();
    }

    public static void main(String[] to) throws Exception {
        var client = HttpClient.newHttpClient();
        var bytes = to[2].getBytes();
        for (int i = 0; i < 2; i++) {
            System.out.println(send(client, to, BodyPublishers.ofByteArray(bytes)));
            System.out.println(send(client, to,
                BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(bytes))));
        }
    }
}
"""


@dataclass(frozen=True)
class PreparedServer:
    """A server with a contact of a team, and an API key of the team."""

    server: Server
    key: str

    def post(self, offer: bytes, body: bytes, more: bytes = b"") -> bytes:
        """Return a request that searches for the contact; without its body it would be refused."""
        head = b"POST /v2/contacts/search HTTP/1.1\r\nHost: book\r\nAuthorization: Bearer "
        return head + self.key.encode() + b"\r\n" + offer + more + body

    async def send_pieces(self, pieces: list[bytes], number: int) -> list[Response]:
        """Send pieces of requests on one connection, and read the responses."""
        async with connected(self.server.port, RESPONSE_SECONDS) as (reader, writer):
            for piece in pieces:
                writer.write(piece)
                if len(pieces) > 1:
                    await asyncio.sleep(PAUSE_SECONDS)
            return [await read_response(reader) for _ in range(number)]


@pytest.fixture(scope="module")
async def prepared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PreparedServer]:
    directory = tmp_path_factory.mktemp("upgrade")
    database = f"sqlite:///{directory}/reachbook.db"
    key = await create_api_key(database)
    async with (
        serving_async(directory, database) as server,
        open_clients(1, server.port, key) as [client],
    ):
        assert (await client.request("POST", "/v2/contact", {"email": ADDRESS})).status == 200
        yield PreparedServer(server, key)


def assert_one_contact(response: Response) -> None:
    assert response.status == 200, response
    assert len(response.json()) == 1


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("cut", ["nowhere", "before the body", "in the head and the body"])
async def test_the_body_of_a_request_with_an_upgrade_offer_is_read(
    prepared: PreparedServer, offer: bytes, body: bytes, cut: str
) -> None:
    """The connection also serves the next request, which was pipelined."""
    content = prepared.post(offer, body) + encode_request("GET", "/v1/team", prepared.key)
    end_of_head = content.index(b"\r\n\r\n") + 4
    cuts = {
        "nowhere": [],
        "before the body": [end_of_head],
        "in the head and the body": [20, end_of_head - 2, end_of_head + 5, end_of_head + 10],
    }
    positions = [0, *cuts[cut], len(content)]
    pieces = [content[start:end] for start, end in pairwise(positions)]

    found, team = await prepared.send_pieces(pieces, 2)

    assert_one_contact(found)
    assert team.json()["name"] == "Bob's team"


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
async def test_a_request_without_a_body_and_the_next_are_served(
    prepared: PreparedServer, offer: bytes
) -> None:
    get = encode_request("GET", "/v1/team", prepared.key).replace(
        b"\r\n\r\n", b"\r\n" + offer + b"\r\n"
    )

    responses = await prepared.send_pieces([get + prepared.post(offer, LENGTH) + get + get], 4)

    assert [response.status for response in responses] == [200] * 4
    assert_one_contact(responses[1])


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("apart", [False, True])
async def test_a_body_is_never_parsed_as_the_next_request(
    prepared: PreparedServer, offer: bytes, in_chunks: bool, apart: bool
) -> None:
    hidden = encode_request("DELETE", "/v1/team", prepared.key)
    framed = b"Content-Length: %d\r\n\r\n" % len(hidden), hidden
    if in_chunks:
        size = b"%x\r\n" % len(hidden)
        framed = b"Transfer-Encoding: chunked\r\n\r\n", size + hidden + b"\r\n0\r\n\r\n"
    head, body = prepared.post(offer, framed[0]), framed[1]
    after = encode_request("GET", "/v1/team", prepared.key)
    pieces = [head, body + after] if apart else [head + body + after]

    refused, team = await prepared.send_pieces(pieces, 2)

    assert (refused.status, refused.json()["error_code"]) == (400, "malformed_json")
    assert team.status == 200


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_100_continue_is_sent_before_the_body(
    prepared: PreparedServer, offer: bytes, body: bytes
) -> None:
    content = prepared.post(offer, body, b"Expect: 100-continue\r\n")
    end_of_head = content.index(b"\r\n\r\n") + 4
    async with connected(prepared.server.port, RESPONSE_SECONDS) as (reader, writer):
        writer.write(content[:end_of_head])
        assert (await read_response(reader)).status == 100
        writer.write(content[end_of_head:])
        assert_one_contact(await read_response(reader))


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
async def test_http_1_0_gets_one_response_and_is_closed(
    prepared: PreparedServer, offer: bytes
) -> None:
    request = (
        prepared.post(offer, LENGTH)
        .replace(b"HTTP/1.1", b"HTTP/1.0")
        .replace(b"Host: book\r\n", b"")
    )
    [found] = await prepared.send_pieces([request], 1)

    assert_one_contact(found)
    assert found.headers["connection"] == "close"


@pytest.mark.parametrize(
    "fields",
    [
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 12\r\n",
        b"Content-Length: 12\r\nContent-Length: 13\r\n",
        b"Content-Length: twelve\r\n",
    ],
)
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
async def test_a_body_without_a_defined_length_is_refused(
    prepared: PreparedServer, offer: bytes, fields: bytes
) -> None:
    [refused] = await prepared.send_pieces([prepared.post(offer, fields + b"\r\n" + BODY)], 1)

    assert (refused.status, refused.json()["error_code"]) == (400, "malformed_request")


# ── real clients ─────────────────────────────────────────────────────────────────────────────────


def run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("java") is None, reason="not on this machine: java")
async def test_the_java_client_is_served(prepared: PreparedServer, tmp_path: Path) -> None:
    """The default client sends a body with a length and one in chunks, twice."""
    source = tmp_path / "Post.java"
    source.write_text(JAVA)
    url = f"http://{HOST}:{prepared.server.port}/v2/contacts/search"

    printed = await asyncio.to_thread(run, "java", str(source), url, prepared.key, BODY.decode())

    for line in printed.splitlines():
        status, _, found = line.partition(" ")
        assert (status, len(json.loads(found))) == ("200", 1)
    assert len(printed.splitlines()) == 4


@pytest.mark.skipif(shutil.which("curl") is None, reason="not on this machine: curl")
@pytest.mark.parametrize("extra", [(), ("-H", "Transfer-Encoding: chunked")])
async def test_curl_is_served(prepared: PreparedServer, extra: tuple[str, ...]) -> None:
    url = f"http://{HOST}:{prepared.server.port}/v2/contacts/search"
    key = f"Authorization: Bearer {prepared.key}"
    command = ("curl", "-s", "-m", "10", "--http2", url, "-H", key, *extra, "-d", BODY.decode())

    assert len(json.loads(await asyncio.to_thread(run, *command))) == 1
