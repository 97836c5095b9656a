"""SIGTERM: stop accepting, finish the running requests, exit with 0 within ten seconds."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.clients import connected_socket
from tests.support.home import Home
from tests.support.server_process import STOP_SECONDS, Server, worker_arguments
from tests.support.waiting import wait_until

BODY = json.dumps({"contact_channels": [{"channel_type": "phone", "channel_id": "15105553344"}]})


@contextmanager
def serving(database: str, tmp_path: Path) -> Iterator[tuple[Home, Server, str]]:
    """Run a server, with two workers on PostgreSQL; yield its home, the server and an API key."""
    home = Home(tmp_path / "data").having(database=database)
    _, api_key = home.team_with_key()
    with home.serve(*worker_arguments(database)) as server:
        yield home, server, api_key


def request(api_key: str) -> bytes:
    head = (
        "POST /v2/contact HTTP/1.1\r\nHost: book\r\n"
        f"Authorization: Bearer {api_key}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    return (head + BODY).encode()


def is_refused(port: int) -> bool:
    try:
        connected_socket(port, 1).close()
    except OSError:
        return True
    return False


def read_all(connection: socket.socket) -> bytes:
    """Return all bytes until the server closes the connection."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("received", ["half of the body", "half of the head"])
def test_a_partly_received_request_gets_its_response(
    database: str, tmp_path: Path, received: str
) -> None:
    with serving(database, tmp_path) as (home, server, api_key):
        text = request(api_key)
        cut = len(text) - len(BODY) // 2 if received == "half of the body" else 30
        with connected_socket(server.port, STOP_SECONDS) as connection:
            connection.sendall(text[:cut])
            time.sleep(0.3)
            server.process.terminate()
            time.sleep(0.3)
            connection.sendall(text[cut:])
            response = read_all(connection)

        assert response.startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(STOP_SECONDS) == 0
        uuid = json.loads(response.partition(b"\r\n\r\n")[2])["uuid"]
        assert home.json("contact", "show", uuid, "--team", "1")["phone"] == "15105553344"


def test_new_connections_are_refused_while_the_server_drains(database: str, tmp_path: Path) -> None:
    """A refused client can connect to another server at once."""
    with serving(database, tmp_path) as (_, server, api_key):
        with connected_socket(server.port, STOP_SECONDS) as connection:
            connection.sendall(request(api_key)[:-1])
            time.sleep(0.3)
            server.process.terminate()

            wait_until(lambda: is_refused(server.port), 3)
            connection.sendall(request(api_key)[-1:])

            assert read_all(connection).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(STOP_SECONDS) == 0


def test_an_idle_connection_does_not_delay_the_stop(database: str, tmp_path: Path) -> None:
    with serving(database, tmp_path) as (_, server, api_key), server.client(api_key) as client:
        assert client.get("/v1/team").status_code == 200
        start = time.monotonic()

        assert server.stop() == 0
        assert time.monotonic() - start < 4


def test_a_request_that_never_ends_is_refused_with_503_at_the_stop(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/reachbook.db"
    with serving(database, tmp_path) as (_, server, api_key):
        with connected_socket(server.port, STOP_SECONDS) as connection:
            connection.sendall(request(api_key)[:-1])
            time.sleep(0.3)

            assert server.stop() == 0
            head, _, body = read_all(connection).partition(b"\r\n\r\n")

        error = json.loads(body)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert (error["error"], error["error_code"]) == ("unavailable", "stopping")
        assert f"x-request-id: {error['request_id']}".encode() in head
        for line in server.errors.read_text().splitlines():
            json.loads(line)
