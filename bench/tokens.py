"""JSON Web Tokens as an integration signs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import msgspec


class Team(msgspec.Struct, frozen=True):
    """A team, its API secret, and the numbers of its contacts."""

    team_id: int
    secret_id: str
    secret_key: str
    first_contact: int
    contacts: int


def sign(team: Team, number: int = 0) -> str:
    """Returns a token of a team; tokens with different numbers differ."""
    claims = {"iss": team.secret_id, "iat": int(time.time()), "jti": str(number)}
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in (_HEADER, claims))
    key = f"{team.secret_id}||{team.secret_key}".encode()
    return f"{signed}.{_base64url(hmac.digest(key, signed.encode(), hashlib.sha256))}"


_HEADER = {"alg": "HS256", "typ": "JWT"}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
