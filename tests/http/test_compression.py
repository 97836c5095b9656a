"""Lists are compressed for clients that ask for it, and nothing else is (contract section 8)."""

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
    answer = await api.client.send(request, stream=True)
    raw = b"".join([piece async for piece in answer.aiter_raw()])
    return Received(answer.status_code, dict(answer.headers), raw)


def channels(count: int) -> list[dict[str, str]]:
    return [{"channel_type": "facebook", "channel_id": f"{number:08}"} for number in range(count)]


async def contact(api: Api, count: int = 20) -> str:
    """The UUID of a contact with long lists."""
    body = {"custom": {"1": "x" * 2000}, "contact_channels": channels(count)}
    answer = await api.request("POST", "/v2/contact", body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["uuid"])


def lists(uuid: str) -> list[tuple[str, str, object]]:
    """A request to each operation that answers with a list."""
    one = f"/v2/contact/{uuid}"
    [first, second, third, *_] = channels(3)
    addresses = [{"channel_type": "facebook", "channel_id": f"{each:08}"} for each in range(20)]
    sought = {"contact_channels": [{**second, "channel_ids": [second["channel_id"]]}]}
    return [
        ("GET", f"{one}/channels", None),
        ("POST", f"{one}/channel", first),
        ("PUT", f"{one}/channel?channel_id={second['channel_id']}", second),
        ("DELETE", f"{one}/channel/facebook?channel_id={third['channel_id']}", None),
        ("POST", "/v2/contacts/list", {}),
        ("POST", "/v2/contacts/search", sought),
        ("POST", "/v2/contacts", {"contacts": [{"contact_id": uuid}]}),
        ("GET", f"/x/contact/{uuid}/channels", None),
        ("GET", f"/x/contact/{uuid}/history", None),
        ("GET", "/x/events", None),
        ("POST", "/x/resolve/batch", {"addresses": addresses}),
    ]


async def test_it_works(api: Api) -> None:
    uuid = await contact(api)
    for method, path, body in lists(uuid):
        zipped = await receive(api, method, path, body, accept_encoding="gzip")

        assert zipped.status == 200, (path, zipped.decoded())
        assert zipped.is_compressed, path
        assert zipped.headers["vary"] == BOTH
        assert int(zipped.headers["content-length"]) == len(zipped.body) < len(zipped.decoded())
        assert zipped.headers["content-type"] == "application/json"
        assert json.loads(zipped.decoded())
        assert zipped.body[8] == 4  # the fastest level, as the format tells (RFC 1952, 2.3.1)


async def test_the_lists_are_the_operations_that_are_declared(api: Api) -> None:
    """DELETE of a channel by its id is added: it answers like the DELETE by type."""
    tried = {(method, path.partition("?")[0]) for method, path, _ in lists("{contactID}")}
    tried = {(method, path.replace("/facebook", "/{channelType}")) for method, path in tried}
    declared = {
        (method, route.path)
        for route in app.ROUTES
        if isinstance(route.endpoint, Endpoint)
        for method, operation in route.endpoint.operations.items()
        if operation.spec.compressible and method != "HEAD"
    }

    assert declared - tried == {("DELETE", "/x/contact/{contactID}/channel/{id}")}
    assert tried <= declared


async def test_what_does_not_ask_for_gzip_gets_the_same_bytes_plain(api: Api) -> None:
    path = f"/v2/contact/{await contact(api)}/channels"
    zipped = await receive(api, "GET", path, accept_encoding="gzip")
    for asked in ({}, {"accept_encoding": "identity"}, {"accept_encoding": "br"}):
        plain = await receive(api, "GET", path, **asked)

        assert not plain.is_compressed
        assert plain.body == zipped.decoded()
        assert plain.headers["etag"] == zipped.headers["etag"]
        assert plain.headers["vary"] == BOTH  # a cache must tell the two apart


async def test_nothing_else_is_compressed(api: Api) -> None:
    """A single contact, export, description, refusal or probe is not, nor is a short list."""
    uuid = await contact(api)
    short = await api.contact(("phone", "15105553344"))
    several = f"/v2/contact/{uuid}/channel/facebook"
    for method, path, body, status in [
        ("GET", f"/v2/contact/{uuid}", None, 200),
        ("PUT", f"/v2/contact/{uuid}", {}, 200),
        ("GET", f"/x/contact/{uuid}/export", None, 200),
        ("GET", several, None, 200),
        ("DELETE", several, None, 409),
        ("POST", "/x/resolve", {**channels(1)[0]}, 200),
        ("GET", "/openapi.json", None, 200),
        ("GET", "/docs", None, 200),
        ("GET", "/metrics", None, 200),
        ("GET", "/v1/team", None, 200),
        ("GET", "/v1/inboxes", None, 200),
        ("GET", f"/v2/contact/{short}/channels", None, 200),
        ("GET", f"/v2/contact/{short}/channels?representation=x", None, 400),
    ]:
        answer = await receive(api, method, path, body, accept_encoding="gzip")

        assert (answer.status, answer.is_compressed) == (status, False), path
        assert answer.headers["vary"] == "Authorization", path


async def test_the_bound_is_1_kib(api: Api) -> None:
    uuid = await api.contact()
    path = f"/v2/contact/{uuid}/channels"
    for channel in channels(12):
        await api.request("POST", f"/v2/contact/{uuid}/channel", channel)
        plain = await receive(api, "GET", path)
        zipped = await receive(api, "GET", path, accept_encoding="gzip")

        assert zipped.is_compressed is (len(plain.body) > MIN_BYTES)


async def test_head_tells_what_get_would_send(api: Api) -> None:
    path = f"/v2/contact/{await contact(api)}/channels"
    for asked in ("gzip", "identity"):
        got = await receive(api, "GET", path, accept_encoding=asked)
        head = await receive(api, "HEAD", path, accept_encoding=asked)

        assert head.body == b""
        same = {name: value for name, value in got.headers.items() if name != "x-request-id"}
        assert {**head.headers, **same} == head.headers


async def test_the_tag_of_a_compressed_list_still_counts(api: Api) -> None:
    """It is sent unchanged and as a proxy would mark it, on a read and on a write."""
    uuid = await contact(api)
    path = f"/v2/contact/{uuid}/channels"
    tag = (await receive(api, "GET", path, accept_encoding="gzip")).headers["etag"]
    text = tag.strip('"')
    for sent in (tag, f"W/{tag}", f'"{text}-gzip"', f'"{text}--gzip"', f'"{text}-br"'):
        known = await receive(api, "GET", path, accept_encoding="gzip", if_none_match=sent)
        written = await receive(api, "PUT", f"/v2/contact/{uuid}", {}, if_match=sent)

        assert (known.status, known.body, known.headers["etag"]) == (304, b"", tag)
        assert known.headers["vary"] == BOTH
        assert "content-encoding" not in known.headers
        assert written.status == 200


async def test_the_stored_response_is_the_plain_one(api: Api) -> None:
    """A replay is compressed if that request asks for it, whatever the first one asked for."""
    uuid = await contact(api)
    for key, first, again in (("1", "gzip", "identity"), ("2", "identity", "gzip")):
        for number, (method, path, body) in enumerate(
            [
                ("POST", f"/v2/contact/{uuid}/channel", {**channels(1)[0], "channel_handle": key}),
                ("POST", "/v2/contacts", {"contacts": [{"contact_id": uuid, "first": key}]}),
            ]
        ):
            keyed = {"idempotency_key": f"{key}-{number}"}
            one = await receive(api, method, path, body, accept_encoding=first, **keyed)
            two = await receive(api, method, path, body, accept_encoding=again, **keyed)
            stored = await api.store.stored_response(
                api.bob.team.team_id, IdempotencyKey(f"{key}-{number}", b"", 0, 0)
            )

            assert stored is not None
            assert stored.response.body == one.decoded() == two.decoded()
            assert [one.is_compressed, two.is_compressed] == [first == "gzip", again == "gzip"]
            assert two.headers["idempotent-replayed"] == "true"
            assert "content-encoding" not in dict(stored.response.headers)


async def test_a_large_list_is_compressed_in_a_thread(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, seen = threading.get_ident(), []
    original = gzip.compress

    def noting(*args: Any, **more: Any) -> bytes:
        seen.append((len(args[0]) > MAX_INLINE_BYTES, threading.get_ident() == here))
        return original(*args, **more)

    monkeypatch.setattr(gzip, "compress", noting)
    uuid = await contact(api)
    rows = [{"custom": {"1": str(number) * 10_000}} for number in range(30)]
    assert (await api.request("POST", "/v2/contacts", {"contacts": rows})).status_code == 200
    seen.clear()

    small = await receive(api, "GET", f"/v2/contact/{uuid}/channels", accept_encoding="gzip")
    large = await receive(api, "POST", "/v2/contacts/list", {"limit": 500}, accept_encoding="gzip")

    assert small.is_compressed
    assert len(json.loads(large.decoded())) == 31
    assert seen == [(False, True), (True, False)]


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        *((one, True) for one in ("gzip", "GZIP", "x-gzip", "br, gzip", "gzip;q=0.001", "*")),
        *((one, True) for one in ("gzip ; q=0.5", "gzip;Q=1.000", "identity;q=0.5, gzip", "*;q=1")),
        *((one, True) for one in ("identity;q=0, *", "deflate, *;q=0.1", "gzip;q=1, identity;q=1")),
        *((one, True) for one in (" , gzip,", "gzip, *;q=0", "br;q=x, gzip", "identity;q=0, gzip")),
        *((one, False) for one in (None, "", "identity", "br", "deflate, br", "gzip;q=0", "*;q=0")),
        *((one, False) for one in ("gzip;q=0.000", "gzip;q=0, *", "gzip;q=0.5, identity")),
        *((one, False) for one in ("*, gzip;q=0", "identity, *;q=0.5", "gzip;q=2", "gzip;q=-1")),
        *((one, False) for one in ("gzip;q=", "gzip;level=1", "gzipx", "x gzip", "gzip;q=0.1234")),
        *((one, False) for one in ("identity;q=0", "gzip;q=0.5, *;q=0.7")),
    ],
)
def test_what_a_client_accepts(accept_encoding: str | None, accepted: bool) -> None:
    assert accepts_gzip(accept_encoding) is accepted
