"""Signing in with a link and with a password, the end of a session, and signing out."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest

from reachbook.console.attempts import MAX_PER_ADDRESS, SignInAttempts
from reachbook.domain.user import Role
from tests.support.console import Console, open_console, text_of
from tests.support.personas import Api

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery"


async def test_a_get_does_not_use_up_a_link(console: Console) -> None:
    token = await console.state.service.users.new_link(console.admin)
    async with console.visitor() as visitor:
        for _ in range(3):
            shown = await visitor.get(f"/console/link/{token}")
            assert shown.status_code == 200
            assert shown.headers["referrer-policy"] == "no-referrer"
        used = await visitor.post(f"/console/link/{token}")
        again = await visitor.get(f"/console/link/{token}")

    assert used.status_code != 410
    assert again.status_code == 410


async def test_a_disabled_user_is_signed_out(console: Console) -> None:
    async with console.visitor(console.member) as visitor:
        assert (await visitor.get("/console")).headers["location"] == "/console/contacts"
        await console.state.service.users.disable(console.member)
        after = await visitor.get("/console")

    assert after.headers["location"] == "/console/sign-in?next=%2Fconsole"


async def test_a_wrong_account_and_a_wrong_password_get_the_same_response(console: Console) -> None:
    await console.state.service.users.set_password(console.admin, PASSWORD)
    async with console.visitor() as visitor:
        await visitor.get("/console/sign-in")
        responses = [
            await visitor.post("/console/sign-in", {"email": email, "password": password})
            for email, password in [
                (console.admin.email, "wrong password"),
                ("nobody@example.com", PASSWORD),
                (console.member.email, PASSWORD),
                ("not an address", PASSWORD),
            ]
        ]

    assert {response.status_code for response in responses} == {403}
    assert len({text_of(response) for response in responses}) == 1
    assert "The email address or the password is wrong." in text_of(responses[0])


async def test_attempts_are_limited_by_account(console: Console) -> None:
    await console.state.service.users.set_password(console.admin, PASSWORD)
    form = {"email": console.admin.email.upper(), "password": "wrong password"}
    async with console.visitor() as visitor:
        await visitor.get("/console/sign-in")
        statuses = [(await visitor.post("/console/sign-in", form)).status_code for _ in range(11)]
        right = await visitor.post("/console/sign-in", {**form, "password": PASSWORD})

    assert statuses == [403] * 10 + [429]
    assert right.status_code == 429


async def test_attempts_are_limited_by_address() -> None:
    attempts = SignInAttempts()
    for number in range(MAX_PER_ADDRESS):
        address = f"2001:db8:0:1::{number + 1:x}"
        assert await attempts.seconds_to_wait(f"{number}@example.com", address) == 0

    assert await attempts.seconds_to_wait("x@example.com", "2001:db8:0:1::ffff") > 800
    assert await attempts.seconds_to_wait("x@example.com", "2001:db8:0:2::1") == 0
    assert await attempts.seconds_to_wait("x@example.com", "203.0.113.9") == 0


async def test_a_form_without_its_csrf_token_is_refused(console: Console) -> None:
    async with console.visitor(console.admin) as visitor:
        visitor.csrf = "0" * 64
        await visitor.post("/console/sign-out")
        still = await visitor.get("/console")
        forged = await visitor.client.post(
            "/console/sign-out", data={"csrf": ""}, headers={"sec-fetch-site": "cross-site"}
        )

    assert still.headers["location"] == "/console/contacts"
    assert forged.status_code == 403


async def test_api_credentials_and_sessions_are_not_interchangeable(console: Console) -> None:
    async with console.visitor() as visitor:
        by_key = await visitor.get("/console", headers=console.api.bob.by_key())
    async with console.visitor(console.admin) as visitor:
        by_session = await visitor.client.get("/v1/team")

    assert by_key.status_code == 303
    assert by_session.status_code == 401


async def test_a_form_of_an_ended_session_is_shown_again_after_signing_in(console: Console) -> None:
    await console.state.service.users.set_password(console.member, PASSWORD)
    typed = {"first": 'Zoë "<b>" \U0001f389', "note": "line one\nline two"}
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/nowhere")
        console.api.clock.forward(13 * 60 * 60)
        response = await visitor.post("/console/sign-out-everywhere", typed)
        hidden = dict(re.findall(r'name="(resume\w*)" value="([^"]*)"', response.text))
        form = {name: unescape(value) for name, value in hidden.items()}
        resumed = await visitor.post(
            "/console/sign-in", {**form, "email": console.member.email, "password": PASSWORD}
        )

    assert response.status_code == 403
    assert "Your session has ended." in text_of(response)
    assert "Your text is still here" in text_of(resumed)
    assert 'action="/console/sign-out-everywhere"' in resumed.text
    for value in typed.values():
        assert unescape(resumed.text).count(value) == 1


async def test_a_form_of_a_previous_session_is_shown_again(console: Console) -> None:
    async with console.visitor(console.member) as visitor:
        stale = visitor.csrf
        token = await console.state.service.users.new_link(console.member)
        await visitor.get(f"/console/link/{token}")
        await visitor.post(f"/console/link/{token}")
        visitor.csrf = stale
        resumed = await visitor.post("/console/sign-out-everywhere", {"first": "Zoë"})

    assert "Your text is still here" in text_of(resumed)
    assert 'value="Zoë"' in resumed.text


@pytest.mark.parametrize(
    "path", ["https://evil.example/", "//evil.example", "/console//evil", "/console/\\evil", "/v2"]
)
async def test_sign_in_does_not_redirect_to_another_site(console: Console, path: str) -> None:
    await console.state.service.users.set_password(console.member, PASSWORD)
    form = {"email": console.member.email, "password": PASSWORD}
    async with console.visitor() as visitor:
        await visitor.get("/console/sign-in")
        after = await visitor.client.post(
            "/console/sign-in", data={**form, "csrf": visitor.csrf, "next": path}
        )
        elsewhere = await visitor.client.post(
            "/console/sign-in",
            data={**form, "csrf": visitor.csrf, "resume_path": path, "resume": '{"a":"b"}'},
        )

    assert after.headers["location"] == "/console"
    assert "evil" not in elsewhere.text


async def test_sign_in_asks_for_the_team_if_an_address_has_several(console: Console) -> None:
    users, email = console.state.service.users, console.member.email
    other = await users.create(console.api.charlie.team.team_id, email, Role.MEMBER)
    for user in (console.member, other):
        await users.set_password(user, PASSWORD)
    form = {"email": email, "password": PASSWORD}
    async with console.visitor() as visitor:
        await visitor.get("/console/sign-in")
        response = await visitor.post("/console/sign-in", form)
        await visitor.post("/console/sign-in", {**form, "team": str(other.team_id)})
        shown = await visitor.get("/console/nowhere")

    assert "Several teams have this account." in text_of(response)
    assert f'<option value="{other.team_id}">Charlie' in response.text
    assert 'title="Charlie&#39;s team"' in shown.text


async def test_signing_out_everywhere_ends_every_session(console: Console) -> None:
    async with console.visitor(console.member) as first, console.visitor(console.member) as second:
        await first.post("/console/sign-out-everywhere")
        responses = [await visitor.get("/console") for visitor in (first, second)]

    locations = [response.headers["location"].partition("?")[0] for response in responses]
    assert locations == ["/console/sign-in"] * 2


@pytest.mark.parametrize(
    ("scheme", "base_path", "cookie"),
    [
        ("http", "", "reachbook-session=.*; Path=/console; .*HttpOnly; SameSite=Lax"),
        ("https", "", "__Host-reachbook-session=.*; Path=/; .*HttpOnly; SameSite=Lax; Secure"),
        ("https", "/book", "__Secure-reachbook-session=.*; Path=/book/console; .*; Secure"),
    ],
)
async def test_the_session_cookie_has_its_security_attributes(
    api: Api, scheme: str, base_path: str, cookie: str
) -> None:
    async with open_console(api, base_path=base_path) as console:
        token = await console.state.service.users.new_link(console.member)
        async with console.visitor() as visitor:
            visitor.client.base_url = httpx.URL(f"{scheme}://book")
            shown = await visitor.get(f"/console/link/{token}")
            # A proxy strips the base path, and without it this client does not send the cookie.
            sent = {"cookie": shown.headers["set-cookie"].partition(";")[0]}
            used = await visitor.client.post(
                f"/console/link/{token}", data={"csrf": visitor.csrf}, headers=sent
            )

    assert re.match(cookie, used.headers["set-cookie"])
    assert used.headers["location"] == f"{base_path}/console"


@pytest.mark.parametrize("path", ["/console", "/console/link/x", "/console/sign-in", "/console/x"])
async def test_every_page_has_the_security_headers(console: Console, path: str) -> None:
    async with console.visitor() as visitor:
        headers = (await visitor.get(path)).headers

    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{}", "application/json", 400),
        (b"\xff=1", "application/x-www-form-urlencoded", 403),
        (b"%FF=1", "application/x-www-form-urlencoded", 403),
        (b"&".join(b"a=1" for _ in range(300)), "application/x-www-form-urlencoded", 400),
        (b"a" * 2_000_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_a_malformed_form_is_refused(
    console: Console, body: bytes, content_type: str, status: int
) -> None:
    async with console.visitor() as visitor:
        response = await visitor.client.post(
            "/console/sign-in", content=body, headers={"content-type": content_type}
        )

    assert response.status_code in (status, 400)
    assert response.headers["content-type"] == "text/html; charset=utf-8"


async def test_other_methods_are_refused(console: Console) -> None:
    async with console.visitor(console.admin) as visitor:
        for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
            assert (await visitor.client.request(method, "/console")).status_code == 405
        assert (await visitor.client.get("/console/sign-out")).status_code == 405
