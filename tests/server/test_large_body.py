"""The limit on the head does not apply to a body that arrives in the same read."""

from __future__ import annotations

from pathlib import Path

import pytest

from reachbook.http.request import MAX_BODY_BYTES
from reachbook.server.protocol import MAX_HEAD_BYTES
from tests.support.clients import connected_socket
from tests.support.server_process import serving
from tests.support.teams import create_team


@pytest.mark.parametrize("size", [MAX_HEAD_BYTES // 2, MAX_HEAD_BYTES + 1, MAX_BODY_BYTES])
def test_a_body_larger_than_the_head_limit_is_accepted(tmp_path: Path, size: int) -> None:
    """The head and the body are sent together."""
    database = f"sqlite:///{tmp_path}/reachbook.db"
    bob = create_team(database)
    body = b'{"first": "Alice"' + b" " * (size - 18) + b"}"
    head = (
        "POST /v2/contact HTTP/1.1\r\nHost: reachbook\r\nConnection: close\r\n"
        f"Authorization: Bearer {bob.api_key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    responses = []
    with serving(tmp_path, database) as served:
        for _ in range(5):
            with connected_socket(served.port) as client:
                client.sendall(head.encode() + body)
                responses.append(client.recv(4096).split(b"\r\n")[0])

    assert responses == [b"HTTP/1.1 200 OK"] * 5
