"""The order of the checks of a request, and the methods of a path (contract section 2)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from reachbook.domain.credential import Representation
from reachbook.service.administration import CredentialOptions
from tests.support.personas import MASTER_KEY, NOBODY, Api, sign

pytestmark = pytest.mark.anyio

CHANNEL, CHANNELS = f"/v2/contact/{NOBODY}/channel", f"/v2/contact/{NOBODY}/channels"
OF_TYPE, CONTACT = f"/v2/contact/{NOBODY}/channel/phone", f"/v2/contact/{NOBODY}"
METHODS = {
    CHANNEL: ["POST", "PUT"],
    CHANNELS: ["GET", "HEAD"],
    OF_TYPE: ["DELETE", "GET", "HEAD"],
    CONTACT: ["DELETE", "GET", "HEAD"],
    "/v2/contact": ["POST"],
    "/v1/team": ["GET", "HEAD"],
    "/v1/inboxes": ["GET", "HEAD"],
}
ALL_METHODS = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT", "QUERY", "TRACE"]
NO_CREDENTIAL: dict[str, str] = {}
WRITES = [
    ("POST", CHANNEL),
    ("PUT", CHANNEL),
    ("DELETE", OF_TYPE),
    ("DELETE", CONTACT),
    ("POST", "/v2/contact"),
]
READS = [("GET", CHANNELS), ("HEAD", CHANNELS), ("GET", OF_TYPE), ("GET", CONTACT)]
READS += [("GET", "/v1/team"), ("GET", "/v1/inboxes")]
TOO_LARGE = b" " * (1024 * 1024 + 1)
PHONE = {"channel_type": "phone", "channel_id": "15105553344"}


def status_and_code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error_code"]


async def create_read_only_key(api: Api) -> dict[str, str]:
    options = CredentialOptions(Representation.STRING_IDS, read_only=True)
    _, api_key = await api.administration.create_key(api.bob.team.team_id, options)
    return {"authorization": f"Bearer {api_key}"}


async def raw_request(api: Api, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """Sends a request without httpx, which would hide a body that must not be sent."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(b"authorization", api.bob.by_key()["authorization"].encode())],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await api.app(scope, receive, send)
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:])


# ── the order of the checks ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/nowhere", b"{", (404, "no_route")),
        ("PATCH", "/v2/contact/123/channel", b"{", (405, "method_not_allowed")),
        ("POST", "/v2/contact/123/channel", b"{", (401, "missing_credential")),
        ("POST", CHANNEL, TOO_LARGE, (401, "missing_credential")),
        ("GET", f"{CHANNELS}?representation=x", None, (401, "missing_credential")),
    ],
)
async def test_route_and_method_are_checked_before_the_credential(
    api: Api, method: str, path: str, body: bytes | None, expected: tuple[int, str]
) -> None:
    assert status_and_code(await api.request(method, path, body, by=NO_CREDENTIAL)) == expected


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "/v2/contact/123/channel", b"{", (403, "read_only")),
        ("POST", CHANNEL, TOO_LARGE, (403, "read_only")),
        ("DELETE", "/v2/contact/123/channel/Phone", None, (403, "read_only")),
        ("PATCH", CHANNEL, None, (405, "method_not_allowed")),
    ],
)
async def test_the_permission_is_checked_before_the_body(
    api: Api, method: str, path: str, body: bytes | None, expected: tuple[int, str]
) -> None:
    assert (
        status_and_code(await api.request(method, path, body, by=await create_read_only_key(api)))
        == expected
    )


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", CHANNEL, b"{", (400, "malformed_json")),
        ("POST", CHANNEL, {"channel_type": "phone"}, (400, "missing_field")),
        ("PUT", CHANNEL, {"channel_type": "phone", "channel_id": 1}, (400, "wrong_type")),
        ("POST", CHANNEL, {"channel_type": "Phone", "channel_id": "1"}, (400, "bad_channel_type")),
        ("POST", CHANNEL, {"channel_type": "phone", "channel_id": "x"}, (400, "bad_phone")),
        ("POST", CHANNEL, TOO_LARGE, (413, "body_too_large")),
        ("POST", f"{CHANNEL}?representation=x", PHONE, (400, "bad_value")),
        ("PUT", f"{CHANNEL}?channel_id=x", PHONE, (400, "bad_phone")),
        ("GET", f"/v2/contact/{NOBODY}/channel/Phone", None, (400, "bad_channel_type")),
        ("DELETE", f"{OF_TYPE}?channel_id=x", None, (400, "bad_phone")),
        ("GET", f"{CHANNELS}?representation=x", None, (400, "bad_value")),
    ],
)
async def test_the_form_is_checked_before_the_contact_is_looked_up(
    api: Api, method: str, path: str, body: object, expected: tuple[int, str]
) -> None:
    assert status_and_code(await api.request(method, path, body)) == expected


@pytest.mark.parametrize(("method", "path"), [("POST", CHANNEL), ("PUT", CHANNEL)])
async def test_a_missing_contact_has_precedence_over_a_conflict(
    api: Api, method: str, path: str
) -> None:
    await api.contact(("phone", "15105553344"))

    assert status_and_code(await api.request(method, path, PHONE)) == (404, "no_contact")


async def test_a_missing_channel_has_precedence_over_a_conflict(
    api: Api,
) -> None:
    await api.contact(("phone", "15105553344"))
    uuid = await api.contact(("email", "bob@example.com"))

    response = await api.request("PUT", f"/v2/contact/{uuid}/channel", PHONE)

    assert status_and_code(response) == (404, "no_channel")


# ── routes and methods ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v2",
        "/v2/",
        "/v2/contact/",
        "/v2/contacts/nobody/channels",
        f"/v1/contact/{NOBODY}/channels",
        f"/V2/contact/{NOBODY}/channels",
        f"/v2/contact/{NOBODY}/channel/",
        f"/v2/contact//{NOBODY}/channels",
        "/v2/contact//channels",
        f"{CHANNELS}/phone",
        f"{CHANNELS}%0A",
        f"{CHANNEL}%0A",
        "/v2/contact%0A",
        "/v1/team%0A",
        *(f"{path}/" for path in METHODS),
        *(f"{path}//" for path in METHODS),
    ],
)
async def test_an_unknown_path_is_not_found(api: Api, path: str) -> None:
    """A path with a trailing slash is unknown too, and is not redirected."""
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        for credential in (NO_CREDENTIAL, api.bob.by_key()):
            response = await api.request(method, path, by=credential)

            assert status_and_code(response) == (404, "no_route"), method
            assert response.json()["error"] == "not_found"
            assert "location" not in response.headers


@pytest.mark.parametrize(("path", "methods"), METHODS.items())
async def test_a_405_lists_the_allowed_methods(api: Api, path: str, methods: list[str]) -> None:
    """PUT of a whole contact is not requested here."""
    untested = ["PUT"] if path == CONTACT else []
    for method in sorted(set(ALL_METHODS) - {*methods, *untested}):
        response = await api.request(method, path, by=NO_CREDENTIAL)

        allowed = response.headers["allow"].split(", ")
        assert response.status_code == 405
        assert set(allowed) >= {*methods, "OPTIONS"}
        assert method not in allowed
        if method != "HEAD":
            assert response.json()["error"] == "method_not_allowed"


@pytest.mark.parametrize(("path", "methods"), METHODS.items())
async def test_options_needs_no_credential(api: Api, path: str, methods: list[str]) -> None:
    for credential in (NO_CREDENTIAL, {"authorization": "Bearer wrong"}, api.bob.by_key()):
        origin = {"origin": "https://example.com", "access-control-request-method": "POST"}

        response = await api.request("OPTIONS", path, by={**credential, **origin})

        assert (response.status_code, response.content) == (204, b"")
        assert set(response.headers["allow"].split(", ")) >= {*methods, "OPTIONS"}
        assert not [name for name in response.headers if name.startswith("access-control")]


async def test_no_response_has_cors_headers(api: Api) -> None:
    by = {**api.bob.by_key(), "origin": "https://example.com"}

    response = await api.request("GET", "/v1/team", by=by)

    assert not [name for name in response.headers if name.startswith("access-control")]


async def test_head_has_the_headers_of_get_and_no_body(api: Api) -> None:
    uuid = await api.contact(("phone", "15105553344"))
    contact = f"/v2/contact/{uuid}"
    found = [contact, f"{contact}/channels", f"{contact}/channel/phone", "/v1/team"]
    not_found = [f"{contact}/channel/email", CHANNELS, "/v2/contact/1/channels"]
    for path in [*found, *not_found, "/nowhere"]:
        got, (status, headers, body) = (
            await api.request("GET", path),
            await raw_request(api, "HEAD", path),
        )

        assert (status, body) == (got.status_code, b""), path
        same = {name: value for name, value in got.headers.items() if name != "x-request-id"}
        assert {**headers, **same} == headers, path


async def test_a_head_with_status_405_has_no_body(api: Api) -> None:
    assert (await raw_request(api, "HEAD", CHANNEL))[::2] == (405, b"")


# ── read-only credentials ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("contact_exists", [False, True])
async def test_a_read_only_credential_cannot_write(api: Api, contact_exists: bool) -> None:
    by = await create_read_only_key(api)
    uuid = await api.contact(("phone", "15105553344")) if contact_exists else NOBODY
    for method, path in WRITES:
        response = await api.request(method, path.replace(NOBODY, uuid), PHONE, by=by)

        assert status_and_code(response) == (403, "read_only"), (method, path)
        assert response.json()["error"] == "denied"
        assert "www-authenticate" not in response.headers


async def test_a_read_only_credential_can_read(api: Api) -> None:
    by = await create_read_only_key(api)
    uuid = await api.contact(("phone", "15105553344"))
    for method, path in READS:
        response = await api.request(method, path.replace(NOBODY, uuid), by=by)

        assert response.status_code == 200, (method, path)


async def test_a_jwt_can_be_read_only(api: Api) -> None:
    options = CredentialOptions(Representation.INTEGER_IDS, read_only=True)
    team = api.bob.team.team_id
    secret, secret_key = await api.administration.create_secret(team, options, MASTER_KEY)
    claims = {"iss": secret.id, "iat": api.clock() / 1_000_000}
    by = {"authorization": f"Bearer {sign(claims, secret.id, secret_key)}"}

    assert status_and_code(await api.request("POST", "/v2/contact", {}, by=by)) == (
        403,
        "read_only",
    )
    assert (await api.request("GET", "/v1/team", by=by)).status_code == 200
