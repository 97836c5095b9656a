"""The number of Python functions that a request calls must not grow unnoticed.

Time is measured by `make bench`. A count does not depend on the machine, so it can be a test.
"""

from __future__ import annotations

import json
import sys
from types import FrameType
from typing import Any

import pytest

from tests.support.personas import Api

pytestmark = pytest.mark.anyio

REQUESTS = 40
MAX_GROWTH = 1.10

CALLS = {"get": 142, "list": 128, "resolve": 263, "add": 325}
"""The calls of a request on the event loop's thread, counted on SQLite with Python 3.11."""


async def send(api: Api, method: str, path: str, body: object) -> None:
    """Send a request to the ASGI application itself, without a client whose calls would count."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = [(name.encode(), value.encode()) for name, value in api.bob.by_key().items()]
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [*headers, (b"content-length", str(len(content)).encode())],
        "state": {},
    }
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content}

    async def record_status(message: Any) -> None:
        statuses.append(message.get("status", 200))

    await api.app(scope, receive, record_status)
    assert statuses == [200, 200]


def requests_of(name: str, uuids: list[str]) -> list[tuple[str, str, object]]:
    """Returns the requests of a kind, one for each contact."""
    if name == "resolve":
        phones = [f"1510555{n:04d}" for n in range(len(uuids))]
        return [("POST", "/x/resolve", {"channel_id": phone}) for phone in phones]
    if name == "add":
        return [
            (
                "POST",
                f"/v2/contact/{uuid}/channel",
                {"channel_type": "email", "channel_id": f"a{n}@example.com"},
            )
            for n, uuid in enumerate(uuids)
        ]
    path = "channel/phone" if name == "get" else "channels"
    return [("GET", f"/v2/contact/{uuid}/{path}", None) for uuid in uuids]


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", CALLS)
async def test_a_request_calls_no_more_functions_than_before(api: Api, name: str) -> None:
    uuids = [await api.contact(("phone", f"1510555{n:04d}")) for n in range(2 * REQUESTS)]
    requests = requests_of(name, uuids)
    count = 0

    def count_call(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    for request in requests[:REQUESTS]:
        await send(api, *request)
    sys.setprofile(count_call)
    try:
        for request in requests[REQUESTS:]:
            await send(api, *request)
    finally:
        sys.setprofile(None)

    assert count / REQUESTS <= CALLS[name] * MAX_GROWTH, count / REQUESTS
