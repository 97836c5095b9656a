"""Users, their links, passwords and sessions, on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from reachbook.domain import passwords
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.user import Role, User
from reachbook.service.users import Users
from reachbook.storage import Store, open_store
from reachbook.storage.users import UserStore
from tests.support.personas import Clock
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

HOUR = 60 * 60
PASSWORD = "correct horse battery"


@dataclass
class Staff:
    """The user service, and a team with an admin and a member."""

    users: Users
    store: Store
    clock: Clock
    team_id: int
    admin: User
    member: User
    database: str


@pytest.fixture
async def staff(database: str) -> AsyncIterator[Staff]:
    store = await open_store(database)
    clock = Clock()
    team = await store.create_team("Bob's team", None, clock())
    users = Users(UserStore(store.engine), clock)
    admin = await users.create(team.team_id, "admin@example.com", Role.ADMIN)
    member = await users.create(team.team_id, "member@example.com", Role.MEMBER)
    yield Staff(users, store, clock, team.team_id, admin, member, database)
    await store.close()


async def reason_of(refused: object) -> Reason:
    with pytest.raises(Refusal) as caught:
        await refused  # type: ignore[misc]
    return caught.value.reason


async def test_an_address_is_unique_in_a_team_whatever_its_case(staff: Staff) -> None:
    again = staff.users.create(staff.team_id, " ADMIN@example.com", Role.MEMBER)

    assert await reason_of(again) is Reason.USER_EXISTS
    other = await staff.store.create_team("Charlie's team", None, staff.clock())
    await staff.users.create(other.team_id, "admin@example.com", Role.MEMBER)


async def test_a_link_can_be_used_once_by_simultaneous_requests(staff: Staff) -> None:
    token = await staff.users.new_link(staff.member)

    sessions = await asyncio.gather(*(staff.users.sign_in_with_link(token) for _ in range(10)))

    assert sum(session is not None for session in sessions) == 1
    assert not await staff.users.has_link(token)


async def test_a_link_is_valid_for_ten_minutes(staff: Staff) -> None:
    token = await staff.users.new_link(staff.member)
    staff.clock.forward(599)
    assert await staff.users.has_link(token)
    staff.clock.forward(2)

    assert not await staff.users.has_link(token)
    assert await staff.users.sign_in_with_link(token) is None


async def test_a_session_ends_after_twelve_idle_hours(staff: Staff) -> None:
    token = await staff.users.begin_session(staff.member)
    for _ in range(3):
        staff.clock.forward(11 * HOUR)
        assert await staff.users.session(token)
    staff.clock.forward(12 * HOUR + 1)

    assert await staff.users.session(token) is None


async def test_a_session_ends_after_seven_days(staff: Staff) -> None:
    token = await staff.users.begin_session(staff.member)
    for _ in range(16):
        staff.clock.forward(10 * HOUR)
        assert await staff.users.session(token)
    staff.clock.forward(10 * HOUR)

    assert await staff.users.session(token) is None


async def test_ended_sessions_and_links_are_deleted(staff: Staff) -> None:
    for _ in range(2):
        await staff.users.begin_session(staff.member)
        await staff.users.new_link(staff.member)
        staff.clock.forward(13 * HOUR)
    live = await staff.users.begin_session(staff.admin)
    await staff.users.purge(staff.team_id)

    assert await staff.users.session(live)
    raw = sql_runner(staff.database)
    assert await raw("SELECT count(*) FROM console_session") == [(1,)]
    assert await raw("SELECT count(*) FROM sign_in_link") == [(0,)]


async def test_passwords_and_tokens_are_not_stored_in_clear_text(staff: Staff) -> None:
    await staff.users.set_password(staff.member, PASSWORD)
    tokens = [
        await staff.users.begin_session(staff.member),
        await staff.users.new_link(staff.member),
    ]

    raw = sql_runner(staff.database)
    stored = [
        str(row)
        for table in ("team_user", "console_session", "sign_in_link")
        for row in await raw(f"SELECT * FROM {table}")
    ]
    secrets = [PASSWORD, *(token.partition(".")[2] for token in tokens)]
    assert not [secret for secret in secrets if any(secret in row for row in stored)]
    assert any("$argon2id$" in row for row in stored)


async def test_disabling_ends_sessions_and_links(staff: Staff) -> None:
    session = await staff.users.begin_session(staff.member)
    link = await staff.users.new_link(staff.member)
    await staff.users.disable(staff.member)

    assert await staff.users.session(session) is None
    assert await staff.users.sign_in_with_link(link) is None
    await staff.users.enable(staff.member)
    assert await staff.users.session(session) is None


async def test_setting_a_password_ends_other_sessions(staff: Staff) -> None:
    session = await staff.users.begin_session(staff.member)
    await staff.users.set_password(staff.member, PASSWORD)

    assert await staff.users.session(session) is None
    [user] = await staff.users.check_password("MEMBER@example.com", PASSWORD, None)
    assert user.id == staff.member.id


@pytest.mark.parametrize("password", ["short", "x" * 257, ""])
async def test_a_bad_password_is_refused(staff: Staff, password: str) -> None:
    assert await reason_of(staff.users.set_password(staff.member, password)) is Reason.BAD_VALUE


async def test_a_user_without_a_password_cannot_sign_in_with_one(staff: Staff) -> None:
    for password in ("", PASSWORD):
        assert await staff.users.check_password("member@example.com", password, None) == []


async def test_an_unknown_account_causes_one_password_check(
    staff: Staff, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check takes 0.1 s, so its absence would reveal that the account is unknown."""
    await staff.users.set_password(staff.admin, PASSWORD)
    checked: list[str] = []
    is_correct = passwords.is_correct

    def record_check(password: str, stored: str) -> bool:
        checked.append(password)
        return is_correct(password, stored)

    monkeypatch.setattr(passwords, "is_correct", record_check)
    for email in ("admin@example.com", "member@example.com", "nobody@example.com", "no address"):
        await staff.users.check_password(email, "wrong password", None)
        assert len(checked) == 1, email
        checked.clear()


async def test_the_last_admin_cannot_be_disabled_or_demoted(staff: Staff) -> None:
    assert await reason_of(staff.users.disable(staff.admin)) is Reason.LAST_ADMIN
    assert await reason_of(staff.users.set_role(staff.admin, Role.MEMBER)) is Reason.LAST_ADMIN
    promoted = await staff.users.set_role(staff.member, Role.ADMIN)
    await staff.users.disable(staff.admin)

    assert await reason_of(staff.users.disable(promoted)) is Reason.LAST_ADMIN


async def test_two_admins_cannot_be_removed_simultaneously(staff: Staff) -> None:
    for _ in range(10):
        both = [
            await staff.users.set_role(user, Role.ADMIN) for user in (staff.admin, staff.member)
        ]
        await asyncio.gather(
            staff.users.set_role(both[0], Role.MEMBER),
            staff.users.disable(both[1]),
            return_exceptions=True,
        )

        admins = [user for user in await staff.users.all(staff.team_id) if user.is_admin]
        assert len(admins) == 1
        await staff.users.enable(both[1])


@pytest.mark.parametrize(
    "token", ["", "1", "1.x", f"{2**70}.{'a' * 43}", "x." + "a" * 43, f"1.{'a' * 44}", "1.\udcff"]
)
async def test_a_malformed_token_has_no_session_or_link(staff: Staff, token: str) -> None:
    assert await staff.users.session(token) is None
    assert not await staff.users.has_link(token)
    assert await staff.users.sign_in_with_link(token) is None
    await staff.users.sign_out(token)


async def test_user_ids_are_skipped_after_a_restore(staff: Staff) -> None:
    if staff.database.startswith("sqlite"):
        await sql_runner(staff.database)("UPDATE sequence SET last = 0 WHERE name = 'team_user'")
    else:
        await sql_runner(staff.database)("ALTER SEQUENCE team_user_id_seq RESTART")
    again = Users(UserStore(staff.store.engine), staff.clock)

    created = await again.create(staff.team_id, "erin@example.com", Role.MEMBER)

    assert created.id not in (staff.admin.id, staff.member.id)
