"""After a refused request with Expect: 100-continue, the connection serves the next request."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reachbook.http.request import MAX_BODY_BYTES
from reachbook.http.response import EXPECTED_SECONDS, MAX_EXPECTED_BYTES
from tests.support.clients import connected_socket
from tests.support.personas import NOBODY
from tests.support.server_process import Server, serving
from tests.support.teams import create_team

CONTINUE = b"HTTP/1.1 100 Continue"
OK = b"HTTP/1.1 200 OK"
BODY = b'{"first": "Alice"}'
LARGE = MAX_EXPECTED_BYTES + 1


@pytest.fixture(scope="module")
def server_and_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server and an API key."""
    folder = tmp_path_factory.mktemp("expect")
    database = f"sqlite:///{folder}/reachbook.db"
    bob = create_team(database)
    with serving(folder, database) as server:
        yield server, bob.api_key


class Connection:
    """A connection on which a request is sent in parts."""

    def __init__(self, client: socket.socket) -> None:
        self._socket = client
        self._received = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def head(self) -> list[bytes]:
        """Return the lines of the head of the next response, and skip its body."""
        while b"\r\n\r\n" not in self._received:
            data = self._socket.recv(65536)
            if not data:
                return []
            self._received += data
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        for line in lines:
            if line.startswith(b"content-length: "):
                self._skip(int(line.partition(b" ")[2]))
        return [head.split(b"\r\n")[0], *lines[1:]]

    def _skip(self, count: int) -> None:
        while len(self._received) < count:
            data = self._socket.recv(65536)
            assert data
            self._received += data
        self._received = self._received[count:]


@contextmanager
def connected(server_and_key: Server) -> Iterator[Connection]:
    with connected_socket(server_and_key.port, 5) as connection:
        yield Connection(connection)


def head(line: str, key: str, length: int, version: str = "1.1") -> bytes:
    return (
        f"{line} HTTP/{version}\r\nHost: reachbook\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    ).encode()


NEXT = b"GET /healthz HTTP/1.1\r\nHost: reachbook\r\n\r\n"
REFUSED = [
    ("POST /v2/contact", False, b"401"),
    ("POST /v2/nowhere", True, b"404"),
    ("PATCH /v2/contact", True, b"405"),
    ("PUT /v2/contact/7", True, b"400"),
    ("POST /v2/contact?representation=x", True, b"400"),
    (f"PUT /v2/contact/{NOBODY}", True, b"404"),
    ("OPTIONS /v2/contact", True, b"204"),
    ("GET /healthz", True, b"200"),
]


@pytest.mark.parametrize(("line", "known", "status"), REFUSED)
def test_a_refused_request_with_expect_leaves_the_connection_usable(
    server_and_key: tuple[Server, str], line: str, known: bool, status: bytes
) -> None:
    """After 100 Continue the client sends its body, and repeats the request on the connection."""
    server, key = server_and_key
    with connected(server) as connection:
        for _ in range(2):
            connection.send(head(line, key if known else "wrong", len(BODY)))
            assert connection.head() == [CONTINUE]
            connection.send(BODY)
            first, *headers = connection.head()
            assert first.split()[1] == status
            assert b"connection: close" not in headers
        connection.send(NEXT)
        assert connection.head()[0] == OK


@pytest.mark.parametrize("length", [LARGE, MAX_BODY_BYTES + 1])
def test_100_continue_is_not_sent_for_a_large_body(
    server_and_key: tuple[Server, str], length: int
) -> None:
    server, _ = server_and_key
    with connected(server) as connection:
        connection.send(head("POST /v2/contact", "wrong", length))

        assert connection.head()[0].split()[1] == b"401"


def test_a_body_over_the_limit_is_refused_without_100_continue(
    server_and_key: tuple[Server, str],
) -> None:
    server, key = server_and_key
    with connected(server) as connection:
        connection.send(head("POST /v2/contact", key, MAX_BODY_BYTES + 1))

        first, *headers = connection.head()

        assert (first.split()[1], b"connection: close" in headers) == (b"413", True)


def test_a_client_that_does_not_send_its_body_gets_a_response(
    server_and_key: tuple[Server, str],
) -> None:
    server, _ = server_and_key
    with connected(server) as connection:
        start = time.monotonic()
        connection.send(head("POST /v2/contact", "wrong", len(BODY)))

        assert connection.head() == [CONTINUE]
        assert connection.head()[0].split()[1] == b"401"
        assert time.monotonic() - start < EXPECTED_SECONDS + 1
        connection.send(BODY + NEXT)
        assert connection.head()[0] == OK


def test_an_invalid_body_is_refused_without_delay(server_and_key: tuple[Server, str]) -> None:
    server, key = server_and_key
    with connected(server) as connection:
        connection.send(head("POST /v2/contact", key, 2) + b"{]")
        start = time.monotonic()

        assert connection.head() == [CONTINUE]
        assert connection.head()[0].split()[1] == b"400"
        assert time.monotonic() - start < EXPECTED_SECONDS


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_reuses_its_connection(server_and_key: tuple[Server, str], tmp_path: Path) -> None:
    server, _ = server_and_key
    body = tmp_path / "body"
    body.write_bytes(BODY.ljust(5000))
    url = f"{server.url}/v2/contact"
    shown = subprocess.run(
        [
            *("curl", "--silent", "--max-time", "10", "--header", "Expect: 100-continue"),
            *("--header", "Authorization: Bearer wrong", "--data-binary", f"@{body}"),
            *("--write-out", "%{http_code} %{num_connects}\n", "--output", "-"),
            *(url, url, url),
        ],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    lines = [line[-5:] for line in shown.stdout.splitlines()]
    assert lines == ["401 1", "401 0", "401 0"]
