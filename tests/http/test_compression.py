"""Only lists are compressed, and only for clients that accept gzip (contract section 8)."""

from __future__ import annotations

import gzip
import json
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from reachbook.http import app
from reachbook.http.compression import MAX_INLINE_BYTES, MIN_BYTES, accepts_gzip
from reachbook.http.operation import Endpoint
from reachbook.service import IdempotencyKey
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

GZIP = {"accept-encoding": "gzip"}
PLAIN = {"accept-encoding": "identity"}
BOTH = "Authorization, Accept-Encoding"


@dataclass
class Received:
    """A response before decoding."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_compressed(self) -> bool:
        return self.headers.get("content-encoding") == "gzip"

    def decoded(self) -> bytes:
        return gzip.decompress(self.body) if self.is_compressed else self.body


async def receive(
    api: Api, method: str, path: str, body: object = None, **headers: str
) -> Received:
    by = {**api.bob.by_key(), **{name.replace("_", "-"): value for name, value in headers.items()}}
    content = None if body is None else json.dumps(body)
    request = api.client.build_request(method, path, content=content, headers=by)
    if "accept-encoding" not in by:
        del request.headers["accept-encoding"]
    response = await api.client.send(request, stream=True)
    raw = b"".join([piece async for piece in response.aiter_raw()])
    return Received(response.status_code, dict(response.headers), raw)


def make_channels(count: int) -> list[dict[str, str]]:
    return [{"channel_type": "facebook", "channel_id": f"{number:08}"} for number in range(count)]


async def create_contact(api: Api, count: int = 20) -> str:
    """Creates a contact with long lists, and returns its UUID."""
    body = {"custom": {"1": "x" * 2000}, "contact_channels": make_channels(count)}
    response = await api.request("POST", "/v2/contact", body)
    assert response.status_code == 200, response.text
    return str(response.json()["uuid"])


def list_requests(uuid: str) -> list[tuple[str, str, object]]:
    """Returns a request to each operation that returns a list."""
    path = f"/v2/contact/{uuid}"
    [first, second, third, *_] = make_channels(3)
    addresses = [{"channel_type": "facebook", "channel_id": f"{each:08}"} for each in range(20)]
    search = {"contact_channels": [{**second, "channel_ids": [second["channel_id"]]}]}
    return [
        ("GET", f"{path}/channels", None),
        ("POST", f"{path}/channel", first),
        ("PUT", f"{path}/channel?channel_id={second['channel_id']}", second),
        ("DELETE", f"{path}/channel/facebook?channel_id={third['channel_id']}", None),
        ("POST", "/v2/contacts/list", {}),
        ("POST", "/v2/contacts/search", search),
        ("POST", "/v2/contacts", {"contacts": [{"contact_id": uuid}]}),
        ("GET", f"/x/contact/{uuid}/channels", None),
        ("GET", f"/x/contact/{uuid}/history", None),
        ("GET", "/x/events", None),
        ("POST", "/x/resolve/batch", {"addresses": addresses}),
    ]


async def test_each_list_is_compressed(api: Api) -> None:
    uuid = await create_contact(api)
    for method, path, body in list_requests(uuid):
        compressed = await receive(api, method, path, body, accept_encoding="gzip")

        assert compressed.status == 200, (path, compressed.decoded())
        assert compressed.is_compressed, path
        assert compressed.headers["vary"] == BOTH
        assert (
            int(compressed.headers["content-length"])
            == len(compressed.body)
            < len(compressed.decoded())
        )
        assert compressed.headers["content-type"] == "application/json"
        assert json.loads(compressed.decoded())
        assert compressed.body[8] == 4  # the fastest level (RFC 1952, section 2.3.1)


async def test_these_tests_request_each_compressible_operation(api: Api) -> None:
    """Except DELETE of a channel by its id: it returns the same list as DELETE by type."""
    requested = {
        (method, path.partition("?")[0]) for method, path, _ in list_requests("{contactID}")
    }
    requested = {
        (method, path.replace("/facebook", "/{channelType}")) for method, path in requested
    }
    declared = {
        (method, route.path)
        for route in app.ROUTES
        if isinstance(route.endpoint, Endpoint)
        for method, operation in route.endpoint.operations.items()
        if operation.spec.compressible and method != "HEAD"
    }

    assert declared - requested == {("DELETE", "/x/contact/{contactID}/channel/{id}")}
    assert requested <= declared


async def test_without_gzip_the_same_bytes_are_sent_uncompressed(api: Api) -> None:
    path = f"/v2/contact/{await create_contact(api)}/channels"
    compressed = await receive(api, "GET", path, accept_encoding="gzip")
    for accept in ({}, {"accept_encoding": "identity"}, {"accept_encoding": "br"}):
        plain = await receive(api, "GET", path, **accept)

        assert not plain.is_compressed
        assert plain.body == compressed.decoded()
        assert plain.headers["etag"] == compressed.headers["etag"]
        assert plain.headers["vary"] == BOTH  # a cache must store the two separately


async def test_other_responses_are_not_compressed(api: Api) -> None:
    """These are single contacts, the export, the description, errors, probes and short lists."""
    uuid = await create_contact(api)
    short = await api.contact(("phone", "15105553344"))
    several = f"/v2/contact/{uuid}/channel/facebook"
    for method, path, body, status in [
        ("GET", f"/v2/contact/{uuid}", None, 200),
        ("PUT", f"/v2/contact/{uuid}", {}, 200),
        ("GET", f"/x/contact/{uuid}/export", None, 200),
        ("GET", several, None, 200),
        ("DELETE", several, None, 409),
        ("POST", "/x/resolve", {**make_channels(1)[0]}, 200),
        ("GET", "/openapi.json", None, 200),
        ("GET", "/docs", None, 200),
        ("GET", "/metrics", None, 200),
        ("GET", "/v1/team", None, 200),
        ("GET", "/v1/inboxes", None, 200),
        ("GET", f"/v2/contact/{short}/channels", None, 200),
        ("GET", f"/v2/contact/{short}/channels?representation=x", None, 400),
    ]:
        response = await receive(api, method, path, body, accept_encoding="gzip")

        assert (response.status, response.is_compressed) == (status, False), path
        assert response.headers["vary"] == "Authorization", path


async def test_a_list_is_compressed_above_1_kib(api: Api) -> None:
    uuid = await api.contact()
    path = f"/v2/contact/{uuid}/channels"
    for channel in make_channels(12):
        await api.request("POST", f"/v2/contact/{uuid}/channel", channel)
        plain = await receive(api, "GET", path)
        compressed = await receive(api, "GET", path, accept_encoding="gzip")

        assert compressed.is_compressed is (len(plain.body) > MIN_BYTES)


async def test_head_has_the_headers_of_get(api: Api) -> None:
    path = f"/v2/contact/{await create_contact(api)}/channels"
    for encoding in ("gzip", "identity"):
        got = await receive(api, "GET", path, accept_encoding=encoding)
        head = await receive(api, "HEAD", path, accept_encoding=encoding)

        assert head.body == b""
        same = {name: value for name, value in got.headers.items() if name != "x-request-id"}
        assert {**head.headers, **same} == head.headers


async def test_the_etag_of_a_compressed_list_matches(api: Api) -> None:
    """It is sent unchanged and with the suffixes of proxies, with a read and with a write."""
    uuid = await create_contact(api)
    path = f"/v2/contact/{uuid}/channels"
    etag = (await receive(api, "GET", path, accept_encoding="gzip")).headers["etag"]
    text = etag.strip('"')
    for sent in (etag, f"W/{etag}", f'"{text}-gzip"', f'"{text}--gzip"', f'"{text}-br"'):
        read = await receive(api, "GET", path, accept_encoding="gzip", if_none_match=sent)
        written = await receive(api, "PUT", f"/v2/contact/{uuid}", {}, if_match=sent)

        assert (read.status, read.body, read.headers["etag"]) == (304, b"", etag)
        assert read.headers["vary"] == BOTH
        assert "content-encoding" not in read.headers
        assert written.status == 200


async def test_the_stored_response_is_uncompressed(api: Api) -> None:
    """A replay is compressed if the retry accepts gzip, whatever the first request accepted."""
    uuid = await create_contact(api)
    for key, first, again in (("1", "gzip", "identity"), ("2", "identity", "gzip")):
        for number, (method, path, body) in enumerate(
            [
                (
                    "POST",
                    f"/v2/contact/{uuid}/channel",
                    {**make_channels(1)[0], "channel_handle": key},
                ),
                ("POST", "/v2/contacts", {"contacts": [{"contact_id": uuid, "first": key}]}),
            ]
        ):
            keyed = {"idempotency_key": f"{key}-{number}"}
            original = await receive(api, method, path, body, accept_encoding=first, **keyed)
            replay = await receive(api, method, path, body, accept_encoding=again, **keyed)
            stored = await api.store.stored_response(
                api.bob.team.team_id, IdempotencyKey(f"{key}-{number}", b"", 0, 0)
            )

            assert stored is not None
            assert stored.response.body == original.decoded() == replay.decoded()
            assert [original.is_compressed, replay.is_compressed] == [
                first == "gzip",
                again == "gzip",
            ]
            assert replay.headers["idempotent-replayed"] == "true"
            assert "content-encoding" not in dict(stored.response.headers)


async def test_a_large_list_is_compressed_in_a_thread(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop_thread, calls = threading.get_ident(), []
    original = gzip.compress

    def record_call(*args: Any, **more: Any) -> bytes:
        calls.append((len(args[0]) > MAX_INLINE_BYTES, threading.get_ident() == loop_thread))
        return original(*args, **more)

    monkeypatch.setattr(gzip, "compress", record_call)
    uuid = await create_contact(api)
    rows = [{"custom": {"1": str(number) * 10_000}} for number in range(30)]
    assert (await api.request("POST", "/v2/contacts", {"contacts": rows})).status_code == 200
    calls.clear()

    small = await receive(api, "GET", f"/v2/contact/{uuid}/channels", accept_encoding="gzip")
    large = await receive(api, "POST", "/v2/contacts/list", {"limit": 500}, accept_encoding="gzip")

    assert small.is_compressed
    assert len(json.loads(large.decoded())) == 31
    assert calls == [(False, True), (True, False)]


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        *((header, True) for header in ("gzip", "GZIP", "x-gzip", "br, gzip", "gzip;q=0.001", "*")),
        *(
            (header, True)
            for header in ("gzip ; q=0.5", "gzip;Q=1.000", "identity;q=0.5, gzip", "*;q=1")
        ),
        *(
            (header, True)
            for header in ("identity;q=0, *", "deflate, *;q=0.1", "gzip;q=1, identity;q=1")
        ),
        *(
            (header, True)
            for header in (" , gzip,", "gzip, *;q=0", "br;q=x, gzip", "identity;q=0, gzip")
        ),
        *(
            (header, False)
            for header in (None, "", "identity", "br", "deflate, br", "gzip;q=0", "*;q=0")
        ),
        *((header, False) for header in ("gzip;q=0.000", "gzip;q=0, *", "gzip;q=0.5, identity")),
        *(
            (header, False)
            for header in ("*, gzip;q=0", "identity, *;q=0.5", "gzip;q=2", "gzip;q=-1")
        ),
        *(
            (header, False)
            for header in ("gzip;q=", "gzip;level=1", "gzipx", "x gzip", "gzip;q=0.1234")
        ),
        *((header, False) for header in ("identity;q=0", "gzip;q=0.5, *;q=0.7")),
    ],
)
def test_accepts_gzip_parses_accept_encoding(accept_encoding: str | None, accepted: bool) -> None:
    assert accepts_gzip(accept_encoding) is accepted
