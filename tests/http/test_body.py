"""Bodies as they come: stray, untyped, no JSON, too large, cut short (contract section 2)."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.http import refusal
from tests.support.personas import NOBODY, Api

pytestmark = pytest.mark.anyio

LIMIT = 1024 * 1024
PHONE = {"channel_type": "phone", "channel_id": "15105553344"}


@pytest.mark.parametrize("stray", [b"", b"[]", b"{}", b"null", b'{"channel_id": "x"}'])
@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "nonsense"])
async def test_a_read_or_a_delete_is_served_with_a_stray_body(
    api: Api, stray: bytes, kind: str | None
) -> None:
    uuid = await api.contact(("phone", "15105553344"))
    by = api.bob.by_key() | ({"content-type": kind} if kind else {})
    for method, tail in [
        ("GET", "/channels"),
        ("HEAD", "/channels"),
        ("GET", "/channel/phone"),
        ("GET", ""),
        ("DELETE", "/channel/phone"),
    ]:
        answer = await api.request(method, f"/v2/contact/{uuid}{tail}", stray, by=by)
        assert answer.status_code == 200, (method, tail)


@pytest.mark.parametrize(
    ("stray", "expected"),
    [
        (b"{bad", "malformed_json"),
        (b"\xff", "malformed_json"),
        (b"[NaN]", "malformed_json"),
        (b'{"primary": true}', "unknown_name"),
        (b"[1]", "wrong_type"),
        (b"5", "wrong_type"),
        (b"[]", None),
        (b" { } ", None),
    ],
)
async def test_a_body_that_nobody_asked_for_is_judged(
    api: Api, stray: bytes, expected: str | None
) -> None:
    """Under /v2 keys are ignored, as everywhere there; under /x what is not known is refused."""
    uuid = await api.contact(("phone", "15105553344"))
    [channel] = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
    own = f"/x/contact/{uuid}/channel/{channel['id']}"
    for method, path in [
        ("GET", f"/v2/contact/{uuid}"),
        ("GET", own),
        ("POST", f"{own}/primary"),
        ("GET", f"/x/contact/{uuid}/history"),
        ("DELETE", f"/v2/contact/{uuid}/channel/phone"),
    ]:
        answer = await api.request(method, path, stray)

        vendors = path.startswith("/v2/") and expected != "malformed_json"
        served = expected is None or vendors
        code = 200 if served else answer.json()["error_code"]
        assert (answer.status_code, code) == ((200, 200) if served else (400, expected)), path


@pytest.mark.parametrize("kind", [None, "", "text/plain", "application/json; charset=latin-1"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_missing_or_odd_content_type_is_served(
    api: Api, method: str, kind: str | None
) -> None:
    uuid = await api.contact(("phone", "14155551234"))
    by = api.bob.by_key() | ({} if kind is None else {"content-type": kind})

    answer = await api.request(method, f"/v2/contact/{uuid}/channel", PHONE, by=by)

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "encoding",
    ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "gzip, identity", "x", "*"],
)
async def test_a_body_in_a_content_coding_is_not_read(api: Api, encoding: str) -> None:
    """It is refused whatever the body holds, and before the contact is looked up."""
    by = {**api.bob.by_key(), "content-encoding": encoding}
    for method, path in [
        ("POST", f"/v2/contact/{NOBODY}/channel"),
        ("PUT", f"/v2/contact/{NOBODY}"),
        ("POST", "/v2/contacts"),
        ("POST", "/v2/contacts/list"),
        ("GET", f"/v2/contact/{NOBODY}/channels"),
        ("DELETE", f"/x/contact/{NOBODY}/erase"),
        ("POST", "/x/resolve"),
    ]:
        for body in (gzip.compress(json.dumps(PHONE).encode()), b"{}", b"{"):
            answer = await api.request(method, path, body, by=by)

            assert refusal(answer) == (415, "unsupported_encoding"), path
            assert answer.json()["error"] == "bad_data"
            assert list(answer.json()["fields"]) == ["Content-Encoding"]
            assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["identity", "Identity", "", " ", ",", "identity, IDENTITY"])
async def test_a_body_in_no_content_coding_is_read(api: Api, encoding: str) -> None:
    uuid = await api.contact()
    by = {**api.bob.by_key(), "content-encoding": encoding}

    answer = await api.request("POST", f"/v2/contact/{uuid}/channel", PHONE, by=by)

    assert answer.status_code == 200, answer.text


async def test_the_content_coding_is_looked_at_with_the_form(api: Api) -> None:
    """Route, method and credential are checked first; a request without a body is not refused."""
    gzipped = {"content-encoding": "gzip"}
    by, path = {**api.bob.by_key(), **gzipped}, f"/v2/contact/{NOBODY}/channel"

    answers = [
        await api.request("POST", "/v2/nowhere", b"{}", by=by),
        await api.request("PATCH", path, b"{}", by=by),
        await api.request("POST", path, b"{}", by=gzipped),
        await api.request("GET", "/v1/team", by=by),
    ]

    assert [one.status_code for one in answers] == [404, 405, 401, 200]


def filled(text: bytes) -> bytes:
    """A body that is whole but for one value, in a key that is otherwise ignored."""
    return json.dumps({**PHONE, "unheard": 0}).encode().replace(b": 0", b": " + text)


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"}",
        b"{,}",
        b"\x00",
        b"\xef\xbb\xbf" + filled(b"1"),
        filled(b"1").decode().encode("utf-16"),
        filled(b'"\xff"'),
        filled(b'"\xed\xa0\x80"'),
        filled(b'"\xc0\xaf"'),
        filled(b"NaN"),
        filled(b"Infinity"),
        filled(b"-Infinity"),
        filled(b"nan"),
        filled(b"01"),
        filled(b"1."),
        filled(b"'x'"),
        filled(b"1,"),
        filled(b'"a\nb"'),
        filled(b"1 // no"),
        filled(b"1") + b"x",
        filled(b"1") + filled(b"1"),
        filled(b"1")[:-1],
        filled(b"[" * 100_000),
        filled(b"[" * 100_000 + b"]" * 100_000),
        filled(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    ],
    ids=range(27),
)
async def test_what_is_not_json_in_utf_8_is_refused(api: Api, method: str, body: bytes) -> None:
    uuid = await api.contact(("phone", "14155551234"))

    answer = await api.request(method, f"/v2/contact/{uuid}/channel", body)

    assert refusal(answer) == (400, "malformed_json")
    assert answer.json()["error"] == "bad_data"


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"true", b"1", b'"text"', b"[{}]", b"[" * LIMIT], ids=range(7)
)
async def test_json_that_is_no_object_is_refused(api: Api, body: bytes) -> None:
    answer = await api.request("POST", f"/v2/contact/{NOBODY}/channel", body)

    assert refusal(answer) == (400, "wrong_type")


@pytest.mark.parametrize("depth", [10, 100])
async def test_an_ignored_key_may_hold_anything(api: Api, depth: int) -> None:
    uuid = await api.contact()
    body = filled(b"[" * depth + b"]" * depth)

    answer = await api.request("POST", f"/v2/contact/{uuid}/channel", body)

    assert answer.status_code == 200, answer.text


async def test_a_body_of_exactly_the_limit_is_read(api: Api) -> None:
    body = json.dumps(PHONE).encode()
    path = f"/v2/contact/{await api.contact()}/channel"

    assert (await api.request("POST", path, body.ljust(LIMIT))).status_code == 200
    assert refusal(await api.request("POST", path, body.ljust(LIMIT + 1))) == (
        413,
        "body_too_large",
    )


@pytest.mark.parametrize("declared", [True, False])
async def test_a_huge_body_is_read_no_further(api: Api, declared: bool) -> None:
    """A declared length is refused unread; a chunked body as soon as it has grown over."""
    piece, sent = b" " * 65536, 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1024):
            sent += len(piece)
            yield piece

    length = {"content-length": str(1024 * len(piece))} if declared else {}
    answer = await api.client.post(
        f"/v2/contact/{NOBODY}/channel",
        content=endless(),
        headers={**api.bob.by_key(), **length},
    )

    assert refusal(answer) == (413, "body_too_large")
    assert answer.json()["error"] == "too_large"
    assert sent <= (0 if declared else LIMIT + len(piece))


async def test_a_body_that_stops_short_changes_nothing(api: Api) -> None:
    """The connection ends in the middle of what would have been a whole body."""
    uuid = await api.contact()
    whole = json.dumps(PHONE).encode()
    incoming: Iterator[dict[str, Any]] = iter(
        [{"type": "http.request", "body": whole, "more_body": True}, {"type": "http.disconnect"}]
    )
    headers = [(b"authorization", api.bob.by_key()["authorization"].encode())]
    path = f"/v2/contact/{uuid}/channel"
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return next(incoming)

    async def send(message: Any) -> None:
        sent.append(message)

    await api.app({**scope, "query_string": b""}, receive, send)

    assert [one["status"] for one in sent if "status" in one] in ([], [400])
    assert (await api.request("GET", f"/v2/contact/{uuid}/channels")).json() == []
