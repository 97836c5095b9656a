"""The export is streamed: chunked encoding, bounded memory, erasure and failures meanwhile."""

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
from reachbook.storage import queries
from tests.support.clients import connected_socket
from tests.support.histories import ONE, plant_events
from tests.support.http import ok
from tests.support.personas import Api, open_api
from tests.support.raw_sql import sql_runner
from tests.support.server_process import REQUEST_SECONDS, Server, serving
from tests.support.waiting import wait_until

MIB = 1024 * 1024
EVENTS, CUSTOM_BYTES = 260, 64 * 1024
"""Each event has a custom object of that size before and after: 32 MiB in total."""


@dataclass
class Exporter:
    """A server, the headers of a client, and contacts with long histories to export."""

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
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
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
        yield Exporter(served, by, uuids, small)


def test_a_long_export_is_chunked_and_does_not_use_memory(
    exporter: Exporter,
) -> None:
    """The resident memory of the server grows by less than the size of the export."""
    server = psutil.Process(exporter.served.process.pid)
    exporter.served.request(exporter.path(exporter.small), headers=exporter.by)
    before = server.memory_info().rss

    response = exporter.served.request(exporter.path(), headers=exporter.by)
    grown = server.memory_info().rss - before

    assert (response.status_code, response.headers["transfer-encoding"]) == (200, "chunked")
    assert "content-length" not in response.headers
    assert response.headers["x-representation"] == "string_ids"
    assert len(response.content) > 32 * MIB
    document = response.json()
    assert list(document) == ["contact", "deleted", "channels", "events"]
    assert [event["rev"] for event in document["events"]] == list(range(1, EVENTS + 2))
    assert grown < 24 * MIB


def test_a_short_export_has_a_length(exporter: Exporter) -> None:
    for uuid in (exporter.small, exporter.uuids[0]):
        head = exporter.served.request(exporter.path(uuid), "HEAD", headers=exporter.by)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == "application/json"
        assert ("content-length" in head.headers) is (uuid == exporter.small)
    whole = exporter.served.request(exporter.path(exporter.small), headers=exporter.by)
    head = exporter.served.request(exporter.path(exporter.small), "HEAD", headers=exporter.by)
    assert int(head.headers["content-length"]) == len(whole.content)
    assert whole.json()["events"][0]["rev"] == 1


def test_an_http_1_0_response_has_a_length(exporter: Exporter) -> None:
    """HTTP/1.0 has no chunks."""
    request = (
        f"GET {exporter.path()} HTTP/1.0\r\nAuthorization: {exporter.by['authorization']}\r\n\r\n"
    )
    with connected_socket(exporter.served.port, 20) as client:
        client.sendall(request.encode())
        received = b"".join(iter(lambda: client.recv(MIB), b""))

    head, _, body = received.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert f"content-length: {len(body)}".encode() in head.lower()
    assert json.loads(body) == exporter.served.request(exporter.path(), headers=exporter.by).json()


def test_the_export_stops_when_the_client_disconnects(
    exporter: Exporter,
) -> None:
    """The server stops reading the events, and logs no error."""
    server = psutil.Process(exporter.served.process.pid)

    def logged_exports() -> int:
        return sum(
            line.get("route", "").endswith("/export") for line in exporter.served.log_lines()
        )

    began, before = server.io_counters().read_chars, logged_exports()
    with exporter.stream() as response:
        next(response.iter_raw())
    wait_until(lambda: logged_exports() == before + 1)

    assert server.io_counters().read_chars - began < 20 * MIB
    assert [line for line in exporter.served.log_lines() if line["level"] == "error"] == []


def test_erasing_during_an_export_makes_later_values_null(
    exporter: Exporter,
) -> None:
    uuid = exporter.uuids[1]
    with exporter.stream(uuid) as response:
        pieces = response.iter_raw(MIB)
        begun = next(pieces)
        erased = exporter.served.request(f"/x/contact/{uuid}/erase", "DELETE", headers=exporter.by)
        document = json.loads(begun + b"".join(pieces))

    assert (response.status_code, erased.status_code) == (200, 200)
    events = document["events"]
    assert [event["rev"] for event in events] == list(range(1, EVENTS + 2))
    assert events[1]["after"] is not None
    assert (events[-1]["before"], events[-1]["after"]) == (None, None)
    logged = [line for line in exporter.served.log_lines() if line.get("level") == "error"]
    assert logged == []


def test_erasing_during_an_http_1_0_export_ends_it_early(
    exporter: Exporter,
) -> None:
    """The body ends before its Content-Length, so the client knows that it is not complete."""
    uuid = exporter.uuids[2]
    authorization = exporter.by["authorization"]
    path = exporter.path(uuid)
    request = f"GET {path} HTTP/1.0\r\nAuthorization: {authorization}\r\n\r\n"
    with connected_socket(exporter.served.port, 20) as client:
        client.sendall(request.encode())
        begun = client.recv(MIB)
        exporter.served.request(f"/x/contact/{uuid}/erase", "DELETE", headers=exporter.by)
        received = begun + b"".join(iter(lambda: client.recv(MIB), b""))

    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert 0 < len(body) < length
    assert [line for line in exporter.served.log_lines() if line["event"] == "bug"] == []


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
        with httpx.stream("GET", url, headers=by, timeout=REQUEST_SECONDS) as response:
            pieces = response.iter_raw(MIB)
            next(pieces)
            asyncio.run(drop_database(postgres, urlsplit(database).path[1:]))
            with pytest.raises(httpx.RemoteProtocolError):
                b"".join(pieces)

        [line] = [line for line in served.log_lines() if line.get("route", "").endswith("/export")]
        assert (line["status"], line["error_code"]) == (200, "store_unavailable")


async def drop_database(postgres: str, name: str) -> None:
    await sql_runner(postgres)(f"DROP DATABASE {name} WITH (FORCE)")


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
        monkeypatch.setattr(queries, "PAGE_BYTES", page_bytes)
        monkeypatch.setattr(response, "BUFFER_BYTES", buffered)
        exported = await api.request("GET", path)
        assert ("content-length" in exported.headers) is (len(exported.content) <= buffered)
        assert exported.json() == whole
    assert len(whole["events"]) == 12
