"""The page Team: its name and region, its users, and the page for a member."""

from __future__ import annotations

import re
from html import unescape

import pytest

from reachbook.console.team import PATH
from reachbook.domain.user import Role
from tests.support.console import HOST, Console, Visitor, text_of

pytestmark = pytest.mark.anyio


async def link_of(visitor: Visitor, path: str, form: dict[str, str] | None = None) -> str:
    """Send a form, and return the sign-in link that is shown."""
    response = await visitor.post(path, form)
    [link] = re.findall(r'<input id="c-link" value="([^"]*)"', response.text)
    return unescape(link)


async def test_an_admin_changes_name_and_region(console: Console) -> None:
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        saved = await visitor.post(f"{PATH}/settings", {"name": "Help <desk>", "region": "BR"})
        cleared = await visitor.post(f"{PATH}/settings", {"name": "Help desk", "region": ""})

    assert "Saved." in text_of(saved)
    assert "Team Help <desk>" in text_of(saved)
    assert '<option value="BR" selected>BR (+55)</option>' in saved.text
    assert "selected" not in cleared.text


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"name": " ", "region": ""}, "1 to 255 printable characters"),
        ({"name": "x", "region": "XX"}, "two capital letters"),
    ],
)
async def test_an_invalid_name_or_region_is_refused_with_a_reason(
    console: Console, form: dict[str, str], message: str
) -> None:
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        refused = await visitor.post(f"{PATH}/settings", form)

    assert refused.status_code == 400
    assert message in text_of(refused)
    team = await console.api.administration.team(console.admin.team_id)
    assert (team.name, team.default_region) == ("Bob's team", None)


async def test_a_new_user_signs_in_with_the_link(console: Console) -> None:
    async with console.visitor(console.admin) as visitor, console.visitor() as other:
        await visitor.get(PATH)
        link = await link_of(
            visitor, f"{PATH}/users", {"email": "Dana@Example.com", "role": "member"}
        )
        listed = await visitor.get(PATH)
        assert link.startswith(f"{HOST}/console/link/")
        await other.get(link)
        welcome = await other.post(link)

    assert link not in listed.text
    assert "dana@example.com" in text_of(listed)
    assert "dana@example.com" in text_of(welcome)


async def test_a_new_link_of_a_user_works(console: Console) -> None:
    async with console.visitor(console.admin) as visitor, console.visitor() as other:
        await visitor.get(PATH)
        link = await link_of(visitor, f"{PATH}/users/{console.member.id}/link")
        await other.get(link)
        welcome = await other.post(link)

    assert console.member.email in text_of(welcome)


@pytest.mark.parametrize(
    ("form", "status", "message"),
    [
        ({"email": "dana", "role": "member"}, 400, "not an email address"),
        ({"email": "dana@example.com", "role": "owner"}, 400, "member or admin"),
        ({"email": "", "role": "member"}, 400, "not an email address"),
    ],
)
async def test_an_invalid_user_is_refused_with_a_reason_and_the_form_keeps_its_values(
    console: Console, form: dict[str, str], status: int, message: str
) -> None:
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        refused = await visitor.post(f"{PATH}/users", form)

    assert refused.status_code == status
    assert message in text_of(refused)
    assert f'value="{form["email"]}"' in refused.text


async def test_a_second_user_with_an_address_is_refused(console: Console) -> None:
    form = {"email": console.member.email.upper(), "role": "member"}
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        refused = await visitor.post(f"{PATH}/users", form)

    assert refused.status_code == 409
    assert "has a user" in text_of(refused)


async def test_the_last_admin_cannot_be_demoted_or_disabled(console: Console) -> None:
    member, admin = (f"{PATH}/users/{user.id}" for user in (console.member, console.admin))
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        last = await visitor.post(f"{admin}/role", {"role": "member"})
        disabled = await visitor.post(f"{admin}/disable")
        await visitor.post(f"{member}/role", {"role": "admin"})
        changed = await visitor.post(f"{admin}/role", {"role": "member"})

    assert (last.status_code, disabled.status_code) == (409, 409)
    assert "make another user an admin first" in text_of(last)
    assert "Make a member" not in text_of(changed)  # a member sees no buttons


async def test_a_user_is_disabled_and_enabled(console: Console) -> None:
    path = f"{PATH}/users/{console.member.id}"
    async with console.visitor(console.admin) as visitor, console.visitor(console.member) as other:
        response = await visitor.get(f"{path}/disable")
        disabled = await visitor.post(f"{path}/disable")
        signed_out = await other.get("/console/team")
        enabled = await visitor.post(f"{path}/enable")

    assert f"Disable {console.member.email} ?" in text_of(response)
    assert "is signed out everywhere" in text_of(disabled)
    assert signed_out.status_code == 303
    assert "The user can sign in again." in text_of(enabled)


async def test_a_member_cannot_change_the_team(console: Console) -> None:
    async with console.visitor(console.member) as visitor:
        seen = await visitor.get(PATH)
        refused = await visitor.post(f"{PATH}/settings", {"name": "Mine", "region": ""})

    assert console.admin.email in text_of(seen)
    assert "Add a user" not in text_of(seen)
    assert "Settings" not in text_of(seen)
    assert refused.status_code == 403


async def test_a_user_of_another_team_is_not_found(console: Console) -> None:
    charlie = console.api.charlie.team.team_id
    frank = await console.state.service.users.create(charlie, f"f{charlie}@example.com", Role.ADMIN)
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        for ident in (frank.id, "0", "x", "9" * 30, "٣"):
            for action in ("link", "role", "disable", "enable"):
                sent = await visitor.post(f"{PATH}/users/{ident}/{action}", {"role": "member"})
                assert sent.status_code == 404, (ident, action)

    assert (await console.state.service.users.get(charlie, frank.id)).role is Role.ADMIN
