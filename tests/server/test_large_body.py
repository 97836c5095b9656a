"""A body is bound by its own limit, however many of its bytes arrive at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from reachbook.http.request import MAX_BODY_BYTES
from reachbook.server.protocol import MAX_HEAD_BYTES
from tests.support.clients import connected_socket
from tests.support.server_process import serving
from tests.support.teams import create_team


@pytest.mark.parametrize("size", [MAX_HEAD_BYTES // 2, MAX_HEAD_BYTES + 1, MAX_BODY_BYTES])
def test_it_works(tmp_path: Path, size: int) -> None:
    """The limit on the head does not look at the body, sent in one piece with it."""
    database = f"sqlite:///{tmp_path}/reachbook.db"
    bob = create_team(database)
    body = b'{"first": "Alice"' + b" " * (size - 18) + b"}"
    head = (
        "POST /v2/contact HTTP/1.1\r\nHost: reachbook\r\nConnection: close\r\n"
        f"Authorization: Bearer {bob.api_key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    answers = []
    with serving(tmp_path, database) as served:
        for _ in range(5):
            with connected_socket(served.port) as one:
                one.sendall(head.encode() + body)
                answers.append(one.recv(4096).split(b"\r\n")[0])

    assert answers == [b"HTTP/1.1 200 OK"] * 5
