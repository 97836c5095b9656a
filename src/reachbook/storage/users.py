"""The stored users of the web console, their sign-in links and their sessions."""

from __future__ import annotations

from msgspec import Struct

from reachbook.domain.user import SESSION_IDLE_MICROS, SESSION_MICROS, Role, User
from reachbook.storage import sql
from reachbook.storage.engine import Engine, Row, UniqueViolationError, contended
from reachbook.storage.identities import Script
from reachbook.storage.ids import IdBlocks
from reachbook.storage.retry import Attempts
from reachbook.storage.rows import RowDecoder
from reachbook.storage.store import Team

MAX_TEAMS_OF_EMAIL = 8
"""The number of teams in which one email address can sign in with a password."""

USER = sql.columns("team_user")
_user_of = RowDecoder(User, USER).decode


class Session(Struct, frozen=True):
    """A live session: its user and the team of the user.

    `last_seen` is in microseconds since the epoch.
    """

    user: User
    team: Team
    last_seen: int


class UserStore:
    """Reads and writes of users. Tokens are given and stored as their digests."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ids = IdBlocks(engine.reserve_ids)

    async def all(self, team_id: int) -> list[User]:
        """Returns a team's users, oldest first."""
        return [_user_of(row) for row in await self._engine.read("users", team_id)]

    async def get(self, team_id: int, user_id: int) -> User | None:
        """Returns a user by id."""
        return _first(await self._engine.read("user", team_id, user_id))

    async def by_email(self, team_id: int, email: str) -> User | None:
        """Returns the user of a team with an email address."""
        return _first(await self._engine.read("user_by_email", team_id, email))

    async def of_any_team(self, email: str) -> list[User]:
        """Returns the users with an email address, of at most `MAX_TEAMS_OF_EMAIL` teams."""
        rows = await self._engine.read("users_by_email", email, MAX_TEAMS_OF_EMAIL)
        return [_user_of(row) for row in rows]

    async def insert(self, team_id: int, email: str, role: Role, now: int) -> User | None:
        """Store a new user; returns None if the team has a user with that email address."""
        async for _ in Attempts():
            [user_id] = await self._ids.take("team_user")
            try:
                await self._engine.write("insert_user", team_id, user_id, email, role, now)
            except UniqueViolationError:
                if await self.by_email(team_id, email):
                    return None
                # The id is in use, as after a restore.
                self._ids.discard()
                await self._engine.skip_used_ids(team_id)
            else:
                return User(team_id, user_id, email, role, "", now, None)
        raise contended()

    async def set_role(self, user: User, role: Role) -> bool:
        """Give a user another role; returns False if no admin who can sign in would be left."""
        return await self._change(user, "set_role", role, keeps_admin=role is Role.ADMIN)

    async def set_disabled(self, user: User, disabled: int | None) -> bool:
        """Disable a user as of a time, or enable the user; returns as `set_role` does."""
        return await self._change(user, "set_disabled", disabled, keeps_admin=disabled is None)

    async def _change(
        self, user: User, statement: str, value: object, *, keeps_admin: bool
    ) -> bool:
        def script() -> Script[bool]:
            # The team is locked, because two admins may remove each other at the same time.
            yield "lock_team", (user.team_id,)
            users = [_user_of(row) for row in (yield "users", (user.team_id,))]
            if not keeps_admin and {each.id for each in users if each.is_admin} == {user.id}:
                return False
            yield statement, (user.team_id, user.id, value)
            return True

        return await self._engine.run(script)

    async def set_password(self, user: User, hashed: str) -> None:
        """Store the hash of a user's password."""
        await self._engine.write("set_password", user.team_id, user.id, hashed)

    async def insert_link(self, user: User, digest: bytes, expires: int) -> None:
        """Store a sign-in link."""
        await self._engine.write("insert_link", user.team_id, digest, user.id, expires)

    async def has_link(self, team_id: int, digest: bytes, now: int) -> bool:
        """Returns whether a sign-in link can be used."""
        return bool(await self._engine.read("link", team_id, digest, now))

    async def use_link(self, team_id: int, digest: bytes, now: int) -> User | None:
        """Use up a sign-in link; returns its user, or None if it cannot be used any more."""
        rows = await self._engine.write("use_link", team_id, digest, now)
        return await self.get(team_id, rows[0][0]) if rows else None

    async def insert_session(self, user: User, digest: bytes, now: int) -> None:
        """Store a new session."""
        await self._engine.write("insert_session", user.team_id, digest, user.id, now)

    async def session(self, team_id: int, digest: bytes, now: int) -> Session | None:
        """Returns a session, unless it has ended. The user may be disabled."""
        began, used = now - SESSION_MICROS, now - SESSION_IDLE_MICROS
        rows = await self._engine.read("session", team_id, digest, began, used)
        if not rows:
            return None
        *user, name, region, created, last_seen = rows[0]
        return Session(_user_of(user), Team(team_id, name, region, created), last_seen)

    async def use_session(self, team_id: int, digest: bytes, now: int) -> None:
        """Store when a session was last used."""
        await self._engine.write("use_session", team_id, digest, now)

    async def delete_session(self, team_id: int, digest: bytes) -> None:
        """End a session."""
        await self._engine.write("delete_session", team_id, digest)

    async def delete_sessions(self, user: User) -> None:
        """End every session and every sign-in link of a user."""
        await self._engine.write("delete_sessions", user.team_id, user.id)
        await self._engine.write("delete_links", user.team_id, user.id)

    async def purge(self, team_id: int, now: int) -> None:
        """Delete the sessions and links of a team that have ended."""
        began, used = now - SESSION_MICROS, now - SESSION_IDLE_MICROS
        await self._engine.write("purge_sessions", team_id, began, used)
        await self._engine.write("purge_links", team_id, now)


def _first(rows: list[Row]) -> User | None:
    return _user_of(rows[0]) if rows else None
