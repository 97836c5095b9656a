"""The order in which a request is judged, and the methods of a path (contract section 2)."""

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
EVERY = ["DELETE", "GET", "HEAD", "PATCH", "POST", "PUT", "QUERY", "TRACE"]
NO_ONE: dict[str, str] = {}
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


def verdict(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


async def read_only(api: Api) -> dict[str, str]:
    terms = CredentialOptions(Representation.STRING_IDS, read_only=True)
    _, api_key = await api.administration.create_key(api.bob.team.team_id, terms)
    return {"authorization": f"Bearer {api_key}"}


async def raw(api: Api, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """A request below httpx, which hides a body that should not have been sent."""
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
    return sent[0]["status"], headers, b"".join(one.get("body", b"") for one in sent[1:])


# ── the order ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("method", "path", "body", "judged"),
    [
        ("GET", "/nowhere", b"{", (404, "no_route")),
        ("PATCH", "/v2/contact/123/channel", b"{", (405, "method_not_allowed")),
        ("POST", "/v2/contact/123/channel", b"{", (401, "missing_credential")),
        ("POST", CHANNEL, TOO_LARGE, (401, "missing_credential")),
        ("GET", f"{CHANNELS}?representation=x", None, (401, "missing_credential")),
    ],
)
async def test_route_and_method_come_before_the_credential_and_that_before_the_form(
    api: Api, method: str, path: str, body: bytes | None, judged: tuple[int, str]
) -> None:
    assert verdict(await api.request(method, path, body, by=NO_ONE)) == judged


@pytest.mark.parametrize(
    ("method", "path", "body", "judged"),
    [
        ("POST", "/v2/contact/123/channel", b"{", (403, "read_only")),
        ("POST", CHANNEL, TOO_LARGE, (403, "read_only")),
        ("DELETE", "/v2/contact/123/channel/Phone", None, (403, "read_only")),
        ("PATCH", CHANNEL, None, (405, "method_not_allowed")),
    ],
)
async def test_the_right_to_write_comes_before_the_form(
    api: Api, method: str, path: str, body: bytes | None, judged: tuple[int, str]
) -> None:
    assert verdict(await api.request(method, path, body, by=await read_only(api))) == judged


@pytest.mark.parametrize(
    ("method", "path", "body", "judged"),
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
async def test_the_form_comes_before_existence(
    api: Api, method: str, path: str, body: object, judged: tuple[int, str]
) -> None:
    assert verdict(await api.request(method, path, body)) == judged


@pytest.mark.parametrize(("method", "path"), [("POST", CHANNEL), ("PUT", CHANNEL)])
async def test_existence_comes_before_the_rules(api: Api, method: str, path: str) -> None:
    await api.contact(("phone", "15105553344"))

    assert verdict(await api.request(method, path, PHONE)) == (404, "no_contact")


async def test_a_channel_that_is_not_there_comes_before_an_address_that_is_taken(
    api: Api,
) -> None:
    await api.contact(("phone", "15105553344"))
    uuid = await api.contact(("email", "bob@example.com"))

    answer = await api.request("PUT", f"/v2/contact/{uuid}/channel", PHONE)

    assert verdict(answer) == (404, "no_channel")


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
async def test_any_other_path_is_not_found(api: Api, path: str) -> None:
    """A trailing slash makes another path, and nothing redirects."""
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        for credential in (NO_ONE, api.bob.by_key()):
            answer = await api.request(method, path, by=credential)

            assert verdict(answer) == (404, "no_route"), method
            assert answer.json()["error"] == "not_found"
            assert "location" not in answer.headers


@pytest.mark.parametrize(("path", "known"), METHODS.items())
async def test_a_path_says_which_methods_it_has(api: Api, path: str, known: list[str]) -> None:
    """The vendor also has a PUT of a whole contact, so that one is not judged here."""
    later = ["PUT"] if path == CONTACT else []
    for method in [one for one in EVERY if one not in [*known, *later]]:
        answer = await api.request(method, path, by=NO_ONE)

        allowed = answer.headers["allow"].split(", ")
        assert answer.status_code == 405
        assert set(allowed) >= {*known, "OPTIONS"}
        assert method not in allowed
        if method != "HEAD":
            assert answer.json()["error"] == "method_not_allowed"


@pytest.mark.parametrize(("path", "known"), METHODS.items())
async def test_options_needs_no_credential(api: Api, path: str, known: list[str]) -> None:
    for credential in (NO_ONE, {"authorization": "Bearer wrong"}, api.bob.by_key()):
        origin = {"origin": "https://example.com", "access-control-request-method": "POST"}

        answer = await api.request("OPTIONS", path, by={**credential, **origin})

        assert (answer.status_code, answer.content) == (204, b"")
        assert set(answer.headers["allow"].split(", ")) >= {*known, "OPTIONS"}
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_no_answer_lets_a_browser_in(api: Api) -> None:
    by = {**api.bob.by_key(), "origin": "https://example.com"}

    answer = await api.request("GET", "/v1/team", by=by)

    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_head_answers_as_get_without_a_body(api: Api) -> None:
    uuid = await api.contact(("phone", "15105553344"))
    contact = f"/v2/contact/{uuid}"
    found = [contact, f"{contact}/channels", f"{contact}/channel/phone", "/v1/team"]
    not_found = [f"{contact}/channel/email", CHANNELS, "/v2/contact/1/channels"]
    for path in [*found, *not_found, "/nowhere"]:
        got, (status, headers, body) = await api.request("GET", path), await raw(api, "HEAD", path)

        assert (status, body) == (got.status_code, b""), path
        same = {name: value for name, value in got.headers.items() if name != "x-request-id"}
        assert {**headers, **same} == headers, path


async def test_a_head_that_is_no_method_of_the_path_has_no_body(api: Api) -> None:
    assert (await raw(api, "HEAD", CHANNEL))[::2] == (405, b"")


# ── the right to write ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seeded", [False, True])
async def test_a_read_only_credential_is_denied_what_writes(api: Api, seeded: bool) -> None:
    by = await read_only(api)
    uuid = await api.contact(("phone", "15105553344")) if seeded else NOBODY
    for method, path in WRITES:
        answer = await api.request(method, path.replace(NOBODY, uuid), PHONE, by=by)

        assert verdict(answer) == (403, "read_only"), (method, path)
        assert answer.json()["error"] == "denied"
        assert "www-authenticate" not in answer.headers


async def test_a_read_only_credential_may_read(api: Api) -> None:
    by = await read_only(api)
    uuid = await api.contact(("phone", "15105553344"))
    for method, path in READS:
        answer = await api.request(method, path.replace(NOBODY, uuid), by=by)

        assert answer.status_code == 200, (method, path)


async def test_a_jwt_can_be_read_only(api: Api) -> None:
    terms = CredentialOptions(Representation.INTEGER_IDS, read_only=True)
    team = api.bob.team.team_id
    secret, secret_key = await api.administration.create_secret(team, terms, MASTER_KEY)
    claims = {"iss": secret.id, "iat": api.clock() / 1_000_000}
    by = {"authorization": f"Bearer {sign(claims, secret.id, secret_key)}"}

    assert verdict(await api.request("POST", "/v2/contact", {}, by=by)) == (403, "read_only")
    assert (await api.request("GET", "/v1/team", by=by)).status_code == 200
