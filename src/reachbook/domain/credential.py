"""API secrets and API keys: their ids, and the bearer token of a request (contract §4).

`jwt.py` verifies the token that an API secret signs, `sealing.py` encrypts secret keys.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from enum import StrEnum
from typing import NewType

from msgspec import Struct

from reachbook.domain.errors import Reason, Refusal

TeamId = NewType("TeamId", int)
"""A team's id that came from a verified credential, or from the person at the terminal."""

MAX_TOKEN_CHARACTERS = 4096
LIVE_SECRETS = 2

_ID = re.compile(r"rb[sk]_([0-9]{1,18})_[0-9a-f]{16}")
_API_KEY = re.compile(r"(rbk_[0-9]{1,18}_[0-9a-f]{16})_[0-9a-f]{40}")
UNKNOWN_HASH = secrets.token_bytes(32)
"""Compared with the hash of an API key whose id is unknown."""


class Representation(StrEnum):
    """The form of ids for a caller: the strings of seed 000, or the integers of 001 and 002."""

    STRING_IDS = "string_ids"
    INTEGER_IDS = "integer_ids"


class Credential(Struct, frozen=True):
    """A stored API secret (`rbs_...`) or API key (`rbk_...`), with its team's default region.

    `proof` is the sealed secret key, or the hash of the API key. `created`, `last_used` and
    `revoked` are microseconds since the epoch.
    """

    team_id: TeamId
    id: str
    proof: bytes
    label: str
    representation: Representation
    read_only: bool
    created: int
    last_used: int | None
    revoked: int | None
    default_region: str | None


class Caller(Struct, frozen=True):
    """The credential of a request, which has been verified."""

    team_id: TeamId
    credential_id: str
    representation: Representation
    read_only: bool
    default_region: str | None


# ── making credentials ───────────────────────────────────────────────────────────────────────


def new_secret_id(team_id: int) -> str:
    """Returns an id for an API secret; it contains the team's id, to look up the secret."""
    return f"rbs_{team_id}_{secrets.token_hex(8)}"


def new_key_id(team_id: int) -> str:
    """Returns an id for an API key; it contains the team's id, to look up the key."""
    return f"rbk_{team_id}_{secrets.token_hex(8)}"


def new_secret_key() -> str:
    """Returns a secret key of 256 bits."""
    return secrets.token_hex(32)


def new_api_key(key_id: str) -> str:
    """Returns an API key: its id and 160 random bits. Only a hash of it is stored."""
    return f"{key_id}_{secrets.token_hex(20)}"


def hash_api_key(api_key: str) -> bytes:
    """Returns the hash of an API key. A slow hash is not needed, because the key is random."""
    return hashlib.sha256(api_key.encode()).digest()


def team_hint(credential_id: str) -> int | None:
    """Returns the team in the id of a credential, or None; only the stored row proves the team."""
    match = _ID.fullmatch(credential_id)
    return int(match[1]) if match else None


# ── reading a credential ─────────────────────────────────────────────────────────────────────


def bearer(authorization: str | None) -> str:
    """Returns the token of an `Authorization: Bearer` header; raises a refusal if it has none."""
    if not authorization:
        raise Refusal(
            Reason.MISSING_CREDENTIAL,
            "Send Authorization: Bearer with a signed JWT or an API key.",
        )
    scheme, _, token = authorization.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii() or " " in token:
        raise malformed_token("the header is not Authorization: Bearer and one token")
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise malformed_token(f"the token is longer than {MAX_TOKEN_CHARACTERS} characters")
    return token


def key_id(api_key: str) -> str | None:
    """Returns the id in an API key, or None if the text is not an API key."""
    match = _API_KEY.fullmatch(api_key)
    return match[1] if match else None


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


def bad_credential() -> Refusal:
    """Returns the refusal of a wrong id, a wrong signature and a revoked credential."""
    return Refusal(
        Reason.BAD_CREDENTIAL,
        "No live credential matches this token: the id is unknown or revoked, or it was signed "
        "with another key.",
    )


def malformed_token(why: str) -> Refusal:
    """Returns the refusal of a bearer token that cannot be read."""
    return Refusal(Reason.MALFORMED_TOKEN, f"The bearer token cannot be read: {why}.")
