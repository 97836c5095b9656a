"""The users of the web console: who they are, how they sign in, and their sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from reachbook.domain import passwords
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.user import (
    LINK_MICROS,
    Role,
    User,
    digest_of_token,
    new_token,
    parse_email,
    team_of_token,
)
from reachbook.storage.users import Session, UserStore

SEEN_EVERY = 60_000_000  # in microseconds; a write for each request would cost too much
__all__ = ["Session", "Users"]

MAX_HASHES_AT_ONCE = 2
"""Hashes that are computed at a time: each takes 64 MiB."""


class Users:
    """Use cases of users. `clock` gives microseconds since the epoch."""

    def __init__(self, store: UserStore, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._hashing = asyncio.Semaphore(MAX_HASHES_AT_ONCE)

    # ── users ────────────────────────────────────────────────────────────────────────────────

    async def create(self, team_id: int, email: str, role: Role) -> User:
        """Returns a new user of a team, who has no password and signs in with a link."""
        address = parse_email(email)
        user = await self._store.insert(team_id, address, role, self._clock())
        if user is None:
            raise Refusal(
                Reason.USER_EXISTS,
                f"Team {team_id} has a user {address} already.",
                fields={"email": "already in use"},
            )
        return user

    async def all(self, team_id: int) -> list[User]:
        """Returns a team's users, oldest first."""
        return await self._store.all(team_id)

    async def get(self, team_id: int, user_id: int) -> User:
        """Returns a user of a team by id."""
        user = await self._store.get(team_id, user_id)
        if user is None:
            raise Refusal(Reason.NO_USER, f"Team {team_id} has no user {user_id}.")
        return user

    async def find(self, email: str, team_id: int | None = None) -> User:
        """Returns the user with an email address; without a team, the only one of any team."""
        address = parse_email(email)
        if team_id is None:
            found = await self._store.of_any_team(address)
        else:
            user = await self._store.by_email(team_id, address)
            found = [user] if user else []
        if len(found) == 1:
            return found[0]
        if found:
            teams = ", ".join(str(user.team_id) for user in found)
            raise Refusal(
                Reason.NO_USER,
                f"{address} is a user of several teams, so say which with --team: {teams}.",
            )
        where = "" if team_id is None else f" of team {team_id}"
        raise Refusal(
            Reason.NO_USER,
            f"There is no user {address}{where}; reachbook user list shows the users.",
        )

    async def set_role(self, user: User, role: Role) -> User:
        """Give a user another role.

        Raises `last_admin` if the team would be left without an admin who can sign in.
        """
        if not await self._store.set_role(user, role):
            raise _last_admin(user)
        return replace(user, role=role)

    async def disable(self, user: User) -> User:
        """End a user's sessions and links, and let the user sign in no more.

        Raises `last_admin` as `set_role` does.
        """
        if user.disabled is not None:
            return user
        disabled = replace(user, disabled=self._clock())
        if not await self._store.set_disabled(user, disabled.disabled):
            raise _last_admin(user)
        await self._store.delete_sessions(user)
        return disabled

    async def enable(self, user: User) -> User:
        """Let a disabled user sign in again."""
        await self._store.set_disabled(user, None)
        return replace(user, disabled=None)

    # ── signing in ───────────────────────────────────────────────────────────────────────────

    async def new_link(self, user: User) -> str:
        """Returns the token of a sign-in link, which works once and for ten minutes."""
        if user.disabled is not None:
            raise Refusal(Reason.NO_USER, f"{user.email} is disabled; enable the user first.")
        token = new_token(user.team_id)
        expires = self._clock() + LINK_MICROS
        await self._store.insert_link(user, digest_of_token(token), expires)
        return token

    async def has_link(self, token: str) -> bool:
        """Returns whether the token of a link can be used; does not use it."""
        team_id = team_of_token(token)
        if team_id is None:
            return False
        return await self._store.has_link(team_id, digest_of_token(token), self._clock())

    async def sign_in_with_link(self, token: str) -> str | None:
        """Use up a link; returns the token of a new session, or None if it cannot be used."""
        team_id = team_of_token(token)
        if team_id is None:
            return None
        user = await self._store.use_link(team_id, digest_of_token(token), self._clock())
        if user is None or user.disabled is not None:
            return None
        return await self.begin_session(user)

    async def check_password(self, email: str, password: str, team_id: int | None) -> list[User]:
        """Returns the users, of one team or any, who have an email address and a password.

        An unknown or disabled user costs as much time as a wrong password.
        """
        candidates = [
            user
            for user in await self.who_may_sign_in(email)
            if user.password and team_id in (None, user.team_id)
        ]
        if not candidates:
            await self._is_correct(password, "")
        return [user for user in candidates if await self._is_correct(password, user.password)]

    async def who_may_sign_in(self, email: str) -> list[User]:
        """Returns the enabled users of any team who have an email address."""
        try:
            address = parse_email(email)
        except Refusal:
            return []
        found = await self._store.of_any_team(address)
        return [user for user in found if user.disabled is None]

    async def set_password(self, user: User, password: str) -> None:
        """Give a user a password, and end the user's sessions and links."""
        async with self._hashing:
            hashed = await asyncio.to_thread(passwords.hashed, password)
        await self._store.set_password(user, hashed)
        await self._store.delete_sessions(user)

    async def _is_correct(self, password: str, stored: str) -> bool:
        async with self._hashing:
            return await asyncio.to_thread(passwords.is_correct, password, stored)

    # ── sessions ─────────────────────────────────────────────────────────────────────────────

    async def begin_session(self, user: User) -> str:
        """Returns the token of a new session."""
        token = new_token(user.team_id)
        await self._store.insert_session(user, digest_of_token(token), self._clock())
        return token

    async def session(self, token: str) -> Session | None:
        """Returns the session of a token, unless it has ended or its user is disabled.

        The store is read each time, so a disabled user is signed out at once.
        """
        team_id = team_of_token(token)
        if team_id is None:
            return None
        digest, now = digest_of_token(token), self._clock()
        session = await self._store.session(team_id, digest, now)
        if session is None or session.user.disabled is not None:
            return None
        if now - session.last_seen > SEEN_EVERY:
            await self._store.use_session(team_id, digest, now)
        return session

    async def sign_out(self, token: str) -> None:
        """End a session."""
        team_id = team_of_token(token)
        if team_id is not None:
            await self._store.delete_session(team_id, digest_of_token(token))

    async def sign_out_everywhere(self, user: User) -> None:
        """End every session and every sign-in link of a user."""
        await self._store.delete_sessions(user)

    async def purge(self, team_id: int) -> None:
        """Delete the sessions and links of a team that have ended."""
        await self._store.purge(team_id, self._clock())


def _last_admin(user: User) -> Refusal:
    return Refusal(
        Reason.LAST_ADMIN,
        f"{user.email} is the only admin of the team who can sign in; make another user an admin "
        "first.",
    )
