"""Signing in with a link and with a password, the end of a session, and signing out."""

from __future__ import annotations

import pytest

from tests.support.console import Console, text_of

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery"


async def test_the_get_of_a_link_does_not_use_it(console: Console) -> None:
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


async def test_a_disabled_user_is_signed_out_at_once(console: Console) -> None:
    async with console.visitor(console.member) as visitor:
        assert (await visitor.get("/console")).headers["location"] == "/console/contacts"
        await console.state.service.users.disable(console.member)
        after = await visitor.get("/console")

    assert after.headers["location"] == "/console/sign-in?next=%2Fconsole"


async def test_a_wrong_account_and_a_wrong_password_have_the_same_answer(console: Console) -> None:
    await console.state.service.users.set_password(console.admin, PASSWORD)
    async with console.visitor() as visitor:
        await visitor.get("/console/sign-in")
        answers = [
            await visitor.post("/console/sign-in", {"email": email, "password": password})
            for email, password in [
                ("admin@example.com", "wrong password"),
                ("nobody@example.com", PASSWORD),
                ("member@example.com", PASSWORD),
                ("not an address", PASSWORD),
            ]
        ]

    assert {answer.status_code for answer in answers} == {403}
    assert len({text_of(answer) for answer in answers}) == 1
    assert "The email address or the password is wrong." in text_of(answers[0])


async def test_attempts_are_limited_by_account(console: Console) -> None:
    await console.state.service.users.set_password(console.admin, PASSWORD)
    form = {"email": "Admin@example.com", "password": "wrong password"}
    async with console.visitor() as visitor:
        await visitor.get("/console/sign-in")
        statuses = [(await visitor.post("/console/sign-in", form)).status_code for _ in range(11)]
        right = await visitor.post("/console/sign-in", {**form, "password": PASSWORD})

    assert statuses == [403] * 10 + [429]
    assert right.status_code == 429


async def test_a_form_without_its_token_changes_nothing(console: Console) -> None:
    async with console.visitor(console.admin) as visitor:
        visitor.csrf = "0" * 64
        await visitor.post("/console/sign-out")
        still = await visitor.get("/console")
        forged = await visitor.client.post(
            "/console/sign-out", data={"csrf": ""}, headers={"sec-fetch-site": "cross-site"}
        )

    assert still.headers["location"] == "/console/contacts"
    assert forged.status_code == 403


async def test_an_api_credential_opens_no_page_and_a_session_no_route(console: Console) -> None:
    async with console.visitor() as visitor:
        by_key = await visitor.get("/console", headers=console.api.bob.by_key())
    async with console.visitor(console.admin) as visitor:
        by_session = await visitor.client.get("/v1/team")

    assert by_key.status_code == 303
    assert by_session.status_code == 401
