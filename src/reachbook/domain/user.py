"""The people of a team who use the web console, and the tokens of their sessions."""

from __future__ import annotations

import hashlib
import re
import secrets
from enum import StrEnum

from msgspec import Struct

from reachbook.domain.address import email
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.timestamps import SECOND

LINK_MICROS = 10 * 60 * SECOND
"""How long a sign-in link works, in microseconds."""

SESSION_IDLE_MICROS = 12 * 60 * 60 * SECOND
SESSION_MICROS = 7 * 24 * 60 * 60 * SECOND
"""How long a session lasts without a request, and at most, in microseconds."""

ACTOR_PREFIX = "user:"

_LOCALHOST = re.compile(r"[a-z0-9._+-]{1,64}@localhost")
_TOKEN = re.compile(r"([0-9]{1,18})\.[A-Za-z0-9_-]{43}")


class Role(StrEnum):
    """What a user may change: contacts, or credentials, users and settings as well."""

    MEMBER = "member"
    ADMIN = "admin"


class User(Struct, frozen=True):
    """A user of a team. `created` and `disabled` are microseconds since the epoch.

    `email` is in lower case, and unique in the team. `password` is a hash as argon2 writes it,
    empty if the user has no password.
    """

    team_id: int
    id: int
    email: str
    role: Role
    password: str
    created: int
    disabled: int | None

    @property
    def is_admin(self) -> bool:
        """Whether the user is an admin who can sign in."""
        return self.role is Role.ADMIN and self.disabled is None

    @property
    def actor(self) -> str:
        """The user as the actor of an event."""
        return f"{ACTOR_PREFIX}{self.id}"


def parse_email(text: str) -> str:
    """Returns the email address of a user as it is stored; raises `bad_email` if it is none.

    Unlike a contact's, it may be at `localhost`, as that of the first user is.
    """
    lowered = text.strip().lower()
    if _LOCALHOST.fullmatch(lowered):
        return lowered
    try:
        return email.read(text)[1]
    except Refusal as refusal:
        message = refusal.message.replace("This channel_id", "This")
        raise Refusal(Reason.BAD_EMAIL, message, fields={"email": "not an email address"}) from None


def new_token(team_id: int) -> str:
    """Returns the token of a session or a sign-in link: 256 bits, and the team as a hint."""
    return f"{team_id}.{secrets.token_urlsafe(32)}"


def team_of_token(token: str) -> int | None:
    """Returns the team that a token names, or None if it is not a token."""
    match = _TOKEN.fullmatch(token)
    return int(match[1]) if match else None


def digest_of_token(token: str) -> bytes:
    """Returns the digest of a token, which is stored instead of the token."""
    return hashlib.sha256(token.encode()).digest()
