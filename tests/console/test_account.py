"""The page Account: setting a password, and ending all sessions."""

from __future__ import annotations

import pytest

from tests.support.console import Console, Visitor, text_of

pytestmark = pytest.mark.anyio

PATH = "/console/account/password"
PASSWORD, OTHER = "correct horse battery", "another long password"


async def change(visitor: Visitor, new: str, *, again: str | None = None, current: str = "") -> str:
    """Send the form of the password, and return the text of the page."""
    form = {"password": current, "new_password": new, "again": new if again is None else again}
    return text_of(await visitor.post(PATH, form))


async def test_a_user_sets_a_password_and_signs_in_with_it(console: Console) -> None:
    async with (
        console.visitor(console.member) as visitor,
        console.visitor(console.member) as elsewhere,
        console.visitor() as later,
    ):
        await visitor.get("/console/account")
        done = await change(visitor, PASSWORD)
        ended = await elsewhere.get("/console/account")
        await later.get("/console/sign-in")
        form = {"email": console.member.email, "password": PASSWORD}
        signed_in = await later.post("/console/sign-in", form)

    assert "The password was set, and every other session was ended." in done
    assert "Change the password" in done
    assert ended.status_code == 303
    assert console.member.email in text_of(signed_in)


async def test_a_change_requires_the_current_password(console: Console) -> None:
    users = console.state.service.users
    await users.set_password(console.member, PASSWORD)
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/account")
        wrong = await change(visitor, OTHER, current="wrong password")
        right = await change(visitor, OTHER, current=PASSWORD)

    assert "This is not your current password." in wrong
    assert "The password was set" in right
    assert await users.check_password(console.member.email, OTHER, None)


async def test_attempts_at_the_current_password_are_limited(console: Console) -> None:
    await console.state.service.users.set_password(console.member, PASSWORD)
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/account")
        for _ in range(10):
            await change(visitor, OTHER, current="wrong password")
        limited = await change(visitor, OTHER, current=PASSWORD)

    assert "Too many attempts." in limited


@pytest.mark.parametrize(
    ("new", "again", "message"),
    [
        ("short", "short", "12 to 256 characters"),
        ("x" * 257, "x" * 257, "12 to 256 characters"),
        (PASSWORD, OTHER, "The two passwords differ."),
        ("", "", "12 to 256 characters"),
    ],
)
async def test_an_invalid_password_is_refused_with_a_reason_and_not_shown(
    console: Console, new: str, again: str, message: str
) -> None:
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/account")
        response = await visitor.post(PATH, {"new_password": new, "again": again})

    assert response.status_code == 400
    assert message in text_of(response)
    assert not new or new not in response.text


async def test_a_password_is_not_shown_again_after_the_session_has_ended(console: Console) -> None:
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/account")
        console.api.clock.forward(13 * 60 * 60)
        response = await visitor.post(PATH, {"new_password": PASSWORD, "again": PASSWORD})

    assert response.status_code == 403
    assert PASSWORD not in response.text
