"""The export is streamed: chunked encoding, bounded memory, erasure and failure on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from reachbook.http import response
from reachbook.service import history as histories
from reachbook.storage import queries as directory
from tests.support.clients import connected_socket
from tests.support.histories import ONE, plant_events
from tests.support.http import ok
from tests.support.personas import Api, open_api
from tests.support.raw_sql import beside
from tests.support.server_process import REQUEST_SECONDS, Server, serving
from tests.support.waiting import wait_until

MIB = 1024 * 1024
EVENTS, CUSTOM_BYTES = 260, 64 * 1024
"""Each event has a custom object of that size before and after: 32 MiB together."""


@dataclass
class Long:
    """A server, the headers of a client, and contacts with long histories."""

    served: Server
    by: dict[str, str]
    uuids: list[str]
    small: str

    def path(self, uuid: str = "") -> str:
        return f"/x/contact/{uuid or self.uuids[0]}/export"

    def stream(self, uuid: str = "") -> Any:
        url = self.served.url + self.path(uuid)
        return httpx.stream("GET", url, headers=self.by, timeout=REQUEST_SECONDS)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Long]:
    """One server on SQLite for all tests of this module."""
    directory = tmp_path_factory.mktemp("long")
    database = f"sqlite:///{directory}/reachbook.db"

    async def fill() -> tuple[dict[str, str], list[str], str]:
        async with open_api(database) as api:
            uuids = [await api.contact(("phone", f"1510555334{number}")) for number in range(3)]
            for uuid in uuids:
                await plant_events(api, uuid, EVENTS, custom_bytes=CUSTOM_BYTES)
            return api.bob.by_key(), uuids, await api.contact(("email", "a@example.com"))

    by, uuids, small = asyncio.run(fill())
    with serving(directory, database) as served:
        yield Long(served, by, uuids, small)


def test_it_works(long: Long) -> None:
    """A long export is chunked, and the process does not grow by its size."""
    server = psutil.Process(long.served.process.pid)
    long.served.request(long.path(long.small), headers=long.by)
    before = server.memory_info().rss

    answer = long.served.request(long.path(), headers=long.by)
    grown = server.memory_info().rss - before

    assert (answer.status_code, answer.headers["transfer-encoding"]) == (200, "chunked")
    assert "content-length" not in answer.headers
    assert answer.headers["x-representation"] == "string_ids"
    assert len(answer.content) > 32 * MIB
    document = answer.json()
    assert list(document) == ["contact", "deleted", "channels", "events"]
    assert [event["rev"] for event in document["events"]] == list(range(1, EVENTS + 2))
    assert grown < 24 * MIB


def test_a_short_export_has_a_length(long: Long) -> None:
    for uuid in (long.small, long.uuids[0]):
        head = long.served.request(long.path(uuid), "HEAD", headers=long.by)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == "application/json"
        assert ("content-length" in head.headers) is (uuid == long.small)
    whole = long.served.request(long.path(long.small), headers=long.by)
    head = long.served.request(long.path(long.small), "HEAD", headers=long.by)
    assert int(head.headers["content-length"]) == len(whole.content)
    assert whole.json()["events"][0]["rev"] == 1


def test_an_http_1_0_response_has_a_length(long: Long) -> None:
    """HTTP/1.0 has no chunks."""
    request = f"GET {long.path()} HTTP/1.0\r\nAuthorization: {long.by['authorization']}\r\n\r\n"
    with connected_socket(long.served.port, 20) as client:
        client.sendall(request.encode())
        heard = b"".join(iter(lambda: client.recv(MIB), b""))

    head, _, body = heard.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert f"content-length: {len(body)}".encode() in head.lower()
    assert json.loads(body) == long.served.request(long.path(), headers=long.by).json()


def test_the_export_stops_when_the_client_disconnects(long: Long) -> None:
    """The server stops reading the events, and logs no error."""
    server = psutil.Process(long.served.process.pid)

    def answered() -> int:
        return sum(line.get("route", "").endswith("/export") for line in long.served.log_lines())

    began, before = server.io_counters().read_chars, answered()
    with long.stream() as answer:
        next(answer.iter_raw())
    wait_until(lambda: answered() == before + 1)

    assert server.io_counters().read_chars - began < 20 * MIB
    assert [line for line in long.served.log_lines() if line["level"] == "error"] == []


def test_erasing_during_an_export_makes_later_values_null(long: Long) -> None:
    uuid = long.uuids[1]
    with long.stream(uuid) as answer:
        pieces = answer.iter_raw(MIB)
        begun = next(pieces)
        erased = long.served.request(f"/x/contact/{uuid}/erase", "DELETE", headers=long.by)
        document = json.loads(begun + b"".join(pieces))

    assert (answer.status_code, erased.status_code) == (200, 200)
    events = document["events"]
    assert [event["rev"] for event in events] == list(range(1, EVENTS + 2))
    assert events[1]["after"] is not None
    assert (events[-1]["before"], events[-1]["after"]) == (None, None)
    logged = [line for line in long.served.log_lines() if line.get("level") == "error"]
    assert logged == []


def test_erasing_during_an_http_1_0_export_ends_it_early(long: Long) -> None:
    """The body ends before its Content-Length, so the client knows that it is not complete."""
    uuid = long.uuids[2]
    request = f"GET {long.path(uuid)} HTTP/1.0\r\nAuthorization: {long.by['authorization']}\r\n\r\n"
    with connected_socket(long.served.port, 20) as client:
        client.sendall(request.encode())
        begun = client.recv(MIB)
        long.served.request(f"/x/contact/{uuid}/erase", "DELETE", headers=long.by)
        heard = begun + b"".join(iter(lambda: client.recv(MIB), b""))

    head, _, body = heard.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert 0 < len(body) < length
    assert [line for line in long.served.log_lines() if line["event"] == "bug"] == []


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_losing_the_store_during_an_export_ends_it_early(
    tmp_path: Path, database: str, postgres: str
) -> None:
    """The client gets an error, and the log line has the reason."""

    async def fill() -> tuple[dict[str, str], str]:
        async with open_api(database) as api:
            uuid = await api.contact(("phone", ONE))
            await plant_events(api, uuid, EVENTS, custom_bytes=CUSTOM_BYTES)
            return api.bob.by_key(), uuid

    by, uuid = asyncio.run(fill())
    with serving(tmp_path, database) as served:
        url = f"{served.url}/x/contact/{uuid}/export"
        with httpx.stream("GET", url, headers=by, timeout=REQUEST_SECONDS) as answer:
            pieces = answer.iter_raw(MIB)
            next(pieces)
            asyncio.run(drop(postgres, urlsplit(database).path[1:]))
            with pytest.raises(httpx.RemoteProtocolError):
                b"".join(pieces)

        [line] = [line for line in served.log_lines() if line.get("route", "").endswith("/export")]
        assert (line["status"], line["error_code"]) == (200, "store_unavailable")


async def drop(postgres: str, name: str) -> None:
    await beside(postgres)(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.anyio
async def test_the_document_does_not_depend_on_page_sizes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = await api.contact(("phone", ONE))
    await plant_events(api, uuid, 11, custom_bytes=100)
    path = f"/x/contact/{uuid}/export"
    whole = await ok(api, "GET", path)

    for events, page_bytes, buffered in [(1000, 300, MIB), (3, MIB, 1), (1, 1, 1), (12, MIB, 2000)]:
        monkeypatch.setattr(histories, "PAGE_EVENTS", events)
        monkeypatch.setattr(directory, "PAGE_BYTES", page_bytes)
        monkeypatch.setattr(response, "BUFFER_BYTES", buffered)
        answer = await api.request("GET", path)
        assert ("content-length" in answer.headers) is (len(answer.content) <= buffered)
        assert answer.json() == whole
    assert len(whole["events"]) == 12
