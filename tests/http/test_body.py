"""Request bodies: unexpected, untyped, malformed, too large, incomplete (contract section 2)."""

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


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b'{"channel_id": "x"}'])
@pytest.mark.parametrize("kind", [None, "application/json", "text/plain", "nonsense"])
async def test_a_read_or_a_delete_ignores_an_unexpected_body(
    api: Api, body: bytes, kind: str | None
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
        response = await api.request(method, f"/v2/contact/{uuid}{tail}", body, by=by)
        assert response.status_code == 200, (method, tail)


@pytest.mark.parametrize(
    ("body", "expected"),
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
async def test_an_unexpected_body_is_validated(api: Api, body: bytes, expected: str | None) -> None:
    """Under /v2 unknown keys are ignored; under /x they are refused."""
    uuid = await api.contact(("phone", "15105553344"))
    [channel] = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
    channel_path = f"/x/contact/{uuid}/channel/{channel['id']}"
    for method, path in [
        ("GET", f"/v2/contact/{uuid}"),
        ("GET", channel_path),
        ("POST", f"{channel_path}/primary"),
        ("GET", f"/x/contact/{uuid}/history"),
        ("DELETE", f"/v2/contact/{uuid}/channel/phone"),
    ]:
        response = await api.request(method, path, body)

        ignored = path.startswith("/v2/") and expected != "malformed_json"
        succeeds = expected is None or ignored
        code = 200 if succeeds else response.json()["error_code"]
        assert (response.status_code, code) == ((200, 200) if succeeds else (400, expected)), path


@pytest.mark.parametrize("kind", [None, "", "text/plain", "application/json; charset=latin-1"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_missing_or_wrong_content_type_is_accepted(
    api: Api, method: str, kind: str | None
) -> None:
    uuid = await api.contact(("phone", "14155551234"))
    by = api.bob.by_key() | ({} if kind is None else {"content-type": kind})

    response = await api.request(method, f"/v2/contact/{uuid}/channel", PHONE, by=by)

    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "encoding",
    ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "gzip, identity", "x", "*"],
)
async def test_a_content_encoding_is_refused(api: Api, encoding: str) -> None:
    """It is refused whatever the body is, and before the contact is looked up."""
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
            response = await api.request(method, path, body, by=by)

            assert refusal(response) == (415, "unsupported_encoding"), path
            assert response.json()["error"] == "bad_data"
            assert list(response.json()["fields"]) == ["Content-Encoding"]
            assert response.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["identity", "Identity", "", " ", ",", "identity, IDENTITY"])
async def test_the_content_encoding_identity_is_accepted(api: Api, encoding: str) -> None:
    uuid = await api.contact()
    by = {**api.bob.by_key(), "content-encoding": encoding}

    response = await api.request("POST", f"/v2/contact/{uuid}/channel", PHONE, by=by)

    assert response.status_code == 200, response.text


async def test_the_content_encoding_is_checked_after_the_credential(api: Api) -> None:
    """Route, method and credential are checked first; a request without a body is not refused."""
    gzipped = {"content-encoding": "gzip"}
    by, path = {**api.bob.by_key(), **gzipped}, f"/v2/contact/{NOBODY}/channel"

    responses = [
        await api.request("POST", "/v2/nowhere", b"{}", by=by),
        await api.request("PATCH", path, b"{}", by=by),
        await api.request("POST", path, b"{}", by=gzipped),
        await api.request("GET", "/v1/team", by=by),
    ]

    assert [response.status_code for response in responses] == [404, 405, 401, 200]


def body_with_value(text: bytes) -> bytes:
    """Returns a valid body to which an ignored key with the given value is added."""
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
        b"\xef\xbb\xbf" + body_with_value(b"1"),
        body_with_value(b"1").decode().encode("utf-16"),
        body_with_value(b'"\xff"'),
        body_with_value(b'"\xed\xa0\x80"'),
        body_with_value(b'"\xc0\xaf"'),
        body_with_value(b"NaN"),
        body_with_value(b"Infinity"),
        body_with_value(b"-Infinity"),
        body_with_value(b"nan"),
        body_with_value(b"01"),
        body_with_value(b"1."),
        body_with_value(b"'x'"),
        body_with_value(b"1,"),
        body_with_value(b'"a\nb"'),
        body_with_value(b"1 // no"),
        body_with_value(b"1") + b"x",
        body_with_value(b"1") + body_with_value(b"1"),
        body_with_value(b"1")[:-1],
        body_with_value(b"[" * 100_000),
        body_with_value(b"[" * 100_000 + b"]" * 100_000),
        body_with_value(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    ],
    ids=range(27),
)
async def test_a_body_that_is_not_json_in_utf_8_is_refused(
    api: Api, method: str, body: bytes
) -> None:
    uuid = await api.contact(("phone", "14155551234"))

    response = await api.request(method, f"/v2/contact/{uuid}/channel", body)

    assert refusal(response) == (400, "malformed_json")
    assert response.json()["error"] == "bad_data"


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"true", b"1", b'"text"', b"[{}]", b"[" * LIMIT], ids=range(7)
)
async def test_json_that_is_not_an_object_is_refused(api: Api, body: bytes) -> None:
    response = await api.request("POST", f"/v2/contact/{NOBODY}/channel", body)

    assert refusal(response) == (400, "wrong_type")


@pytest.mark.parametrize("depth", [10, 100])
async def test_an_ignored_key_may_have_any_value(api: Api, depth: int) -> None:
    uuid = await api.contact()
    body = body_with_value(b"[" * depth + b"]" * depth)

    response = await api.request("POST", f"/v2/contact/{uuid}/channel", body)

    assert response.status_code == 200, response.text


async def test_a_body_of_exactly_the_limit_is_accepted(api: Api) -> None:
    body = json.dumps(PHONE).encode()
    path = f"/v2/contact/{await api.contact()}/channel"

    assert (await api.request("POST", path, body.ljust(LIMIT))).status_code == 200
    assert refusal(await api.request("POST", path, body.ljust(LIMIT + 1))) == (
        413,
        "body_too_large",
    )


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_above_the_limit_is_not_read_to_its_end(api: Api, declared: bool) -> None:
    """A declared length is refused before reading; a chunked body at the chunk that exceeds it."""
    chunk, sent = b" " * 65536, 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1024):
            sent += len(chunk)
            yield chunk

    length = {"content-length": str(1024 * len(chunk))} if declared else {}
    response = await api.client.post(
        f"/v2/contact/{NOBODY}/channel",
        content=chunks(),
        headers={**api.bob.by_key(), **length},
    )

    assert refusal(response) == (413, "body_too_large")
    assert response.json()["error"] == "too_large"
    assert sent <= (0 if declared else LIMIT + len(chunk))


async def test_an_incomplete_body_changes_nothing(api: Api) -> None:
    """The client disconnects before the last part of the body."""
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

    assert [message["status"] for message in sent if "status" in message] in ([], [400])
    assert (await api.request("GET", f"/v2/contact/{uuid}/channels")).json() == []
