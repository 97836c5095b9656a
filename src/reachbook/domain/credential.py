"""API secrets and API keys, and the check of a bearer token (seeds 001 and 002, contract §4).

Pure: the clock is an argument, and whoever looks a credential up does it elsewhere. The JWT check
is our own and strict, because it runs on every request; the tests hold PyJWT beside it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import math
import re
import secrets
from enum import StrEnum
from typing import NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from reachbook.domain.errors import Reason, Refusal

TeamId = NewType("TeamId", int)
"""A team's id that came from a verified credential, or from the person at the terminal."""

TOKEN_LIFE = 300
CLOCK_SKEW = 60
MAX_TOKEN_CHARACTERS = 4096
MASTER_KEY_BYTES = 32
LIVE_SECRETS = 2

_NONCE_BYTES = 12
_MILLISECONDS = 10**11
_ID = re.compile(r"rb[sk]_([0-9]{1,18})_[0-9a-f]{16}")
_API_KEY = re.compile(r"(rbk_[0-9]{1,18}_[0-9a-f]{16})_[0-9a-f]{40}")
# As long as a real signing key (an id, two bars, 64 digits): HMAC hashes a long key first.
_UNKNOWN_SIGNING_KEY = secrets.token_bytes(96)
UNKNOWN_HASH = secrets.token_bytes(32)
"""Compared with the hash of an API key whose id is unknown."""


class Representation(StrEnum):
    """How ids are spelled for a caller: seed 000's strings, or the integers of 001 and 002."""

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
    """Who is asking: only a verified token makes one."""

    team_id: TeamId
    credential_id: str
    representation: Representation
    read_only: bool
    default_region: str | None


class Token(Struct, frozen=True):
    """A JWT that is well formed; whether it is true is for `verify` to say. Times in seconds."""

    credential_id: str
    signed: bytes
    signature: bytes
    issued: float
    expires: float | None
    not_before: float | None


# ── making credentials ───────────────────────────────────────────────────────────────────────


def new_secret_id(team_id: int) -> str:
    """An API secret's id; it carries the team as a hint where to look."""
    return f"rbs_{team_id}_{secrets.token_hex(8)}"


def new_key_id(team_id: int) -> str:
    """An API key's id, likewise."""
    return f"rbk_{team_id}_{secrets.token_hex(8)}"


def new_secret_key() -> str:
    """A secret key of 256 bits, shown once."""
    return secrets.token_hex(32)


def new_api_key(key_id: str) -> str:
    """The whole API key, shown once: the key's id and 160 bits that only its hash remembers."""
    return f"{key_id}_{secrets.token_hex(20)}"


def hash_api_key(api_key: str) -> bytes:
    """Returns the hash of an API key. Its entropy makes a slow hash needless."""
    return hashlib.sha256(api_key.encode()).digest()


def seal(master_key: bytes, secret_id: str, secret_key: str) -> bytes:
    """The secret key under AES-256-GCM, bound to its id: HMAC needs the plain key back."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(master_key).encrypt(nonce, secret_key.encode(), secret_id.encode())


def unseal(master_key: bytes, secret_id: str, sealed: bytes) -> str | None:
    """The plain secret key, or None when this master key did not seal it."""
    nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(master_key).decrypt(nonce, text, secret_id.encode()).decode()
    except (InvalidTag, ValueError):
        return None


def unseal_any(keys: tuple[bytes, ...], secret_id: str, sealed: bytes) -> str | None:
    """Returns the plain secret key, or None if no master key opens it.

    Every master key is tried, so that the time does not tell which of them sealed it.
    """
    opened = [unseal(key, secret_id, sealed) for key in keys]
    return next((plain for plain in opened if plain is not None), None)


def seal_team_key(master_key: bytes, team_id: int, team_key: str | None = None) -> bytes:
    """Returns a team's suppression key, sealed. Makes a new key if `team_key` is None."""
    return seal(master_key, f"suppression_key_{team_id}", team_key or new_secret_key())


def unseal_team_key(keys: tuple[bytes, ...], team_id: int, sealed: bytes) -> bytes | None:
    """Returns a team's suppression key, or None if no master key opens it."""
    opened = unseal_any(keys, f"suppression_key_{team_id}", sealed)
    return None if opened is None else opened.encode()


def new_decoy(master_key: bytes) -> tuple[str, bytes]:
    """Returns an id and a sealed key of no team, to unseal if an unknown secret is asked for."""
    secret_id = new_secret_id(0)
    return secret_id, seal(master_key, secret_id, new_secret_key())


def team_hint(credential_id: str) -> int | None:
    """The team that an id says it belongs to; the stored row is the authority."""
    match = _ID.fullmatch(credential_id)
    return int(match[1]) if match else None


def signing_key(secret_id: str, secret_key: str) -> bytes:
    """The HMAC key of a JWT: `SECRET_ID||SECRET_KEY`, two literal bars (seed 001)."""
    return f"{secret_id}||{secret_key}".encode()


# ── reading a credential ─────────────────────────────────────────────────────────────────────


def bearer(authorization: str | None) -> str:
    """The token of an `Authorization: Bearer` header."""
    if not authorization:
        raise Refusal(
            Reason.MISSING_CREDENTIAL,
            "Send Authorization: Bearer with a signed JWT or an API key.",
        )
    scheme, _, token = authorization.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token or not token.isascii() or " " in token:
        raise _malformed("the header is not Authorization: Bearer and one token")
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise _malformed(f"the token is longer than {MAX_TOKEN_CHARACTERS} characters")
    return token


def is_jwt(token: str) -> bool:
    """Whether a bearer token is a JWT: three parts with dots between."""
    return token.count(".") == 2  # noqa: PLR2004 - header.payload.signature


def key_id(api_key: str) -> str | None:
    """The id that an API key begins with, or None when it is not one of ours."""
    match = _API_KEY.fullmatch(api_key)
    return match[1] if match else None


def read_jwt(token: str) -> Token:
    """The claims of a JWT, strictly: HS256, no `crit`, no duplicate names, numbers for times."""
    signed, _, signature = token.rpartition(".")
    encoded_header, _, encoded_claims = signed.partition(".")
    header = _json_object(encoded_header, "header")
    if header.get("alg") != "HS256":
        raise Refusal(
            Reason.WRONG_ALGORITHM, "The JWT must be signed with HS256; its header says otherwise."
        )
    if "crit" in header or header.get("b64", True) is not True:
        raise _malformed("its header asks for extensions (crit, b64) that we do not have")
    if not isinstance(header.get("kid", ""), str):
        raise _malformed("its kid is not a string")
    if not _is_base64url(signature):
        raise _malformed("its signature is not base64url")
    claims = _json_object(encoded_claims, "payload")
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        raise _malformed("iss must be the API secret's id, a string")
    issued = _seconds(claims, "iat")
    if issued is None:
        raise _malformed("iat must be the time of issue in Unix seconds")
    expires, not_before = _seconds(claims, "exp"), _seconds(claims, "nbf")
    return Token(issuer, signed.encode(), signature.encode(), issued, expires, not_before)


# ── judging it ───────────────────────────────────────────────────────────────────────────────


def verify(token: Token, signing: bytes | None, now: float, *, seen: bool = False) -> float:
    """Check signature and times; `now` in Unix seconds. Returns the last moment it is good at.

    That is `iat` + 300 s, or the moment before `exp` (RFC 7519, 4.1.4: "on or after" is too late).
    Without a signing key (no such secret) the same work is done and the same words are said.
    `seen` is true if the token was accepted before, so that its sender's clock cannot be slow.
    """
    digest = hmac.digest(signing or _UNKNOWN_SIGNING_KEY, token.signed, "sha256")
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=")
    if not hmac.compare_digest(expected, token.signature) or signing is None:
        raise bad_credential()
    if token.issued > _MILLISECONDS:
        raise Refusal(
            Reason.NOT_YET_VALID,
            "iat looks like milliseconds; write the time of issue in Unix seconds.",
        )
    _check_not_ahead("iat", token.issued, now)
    _check_not_ahead("nbf", token.not_before or 0, now)
    expires_at = token.issued + TOKEN_LIFE
    if token.expires is not None:
        expires_at = min(expires_at, math.nextafter(token.expires, -math.inf))
    if now > expires_at:
        raise check_expiry(token, now, seen=seen)
    return expires_at


def _check_not_ahead(claim: str, time: float, now: float) -> None:
    ahead = time - now
    if ahead <= CLOCK_SKEW:
        return
    advice = "Check the clock of the machine that signs."
    if claim == "nbf":
        advice = "Send the JWT later, or set nbf earlier or leave it out."
    raise Refusal(
        Reason.NOT_YET_VALID,
        f"The {claim} of the JWT is {math.ceil(ahead)} s ahead of this server's clock; up to "
        f"{CLOCK_SKEW} s are allowed. {advice}",
    )


def check_expiry(token: Token, now: float, *, seen: bool) -> Refusal:
    """Returns the refusal of an expired token.

    A token that is new to this server may have been signed just now by a machine with a slow
    clock. Then a new token would be refused too, so the advice is to correct that clock.
    """
    age = now - token.issued
    ends = token.issued + TOKEN_LIFE
    clock = (
        f"If it was signed just now, the clock of the machine that signs it is {round(age)} s slow "
        "and must be corrected; otherwise sign a new one."
    )
    if token.expires is None or token.expires >= ends:
        late, claim = now - ends, f"a token lives {TOKEN_LIFE} s from its iat"
        advice = "Sign a new one." if seen else clock
    elif token.expires <= token.issued:
        late, claim = now - token.expires, "its exp is not later than its iat"
        advice = "Set exp to the Unix time in seconds at which the token ends, or leave it out."
    else:
        late, claim = now - token.expires, "its exp has passed"
        advice = "Sign a new one." if seen or age <= CLOCK_SKEW else clock
    return Refusal(
        Reason.EXPIRED, f"The JWT expired {max(1, round(late))} s ago: {claim}. {advice}"
    )


def bad_credential() -> Refusal:
    """The one refusal for a wrong id, a wrong signature and a revoked credential."""
    return Refusal(
        Reason.BAD_CREDENTIAL,
        "No live credential matches this token: the id is unknown or revoked, or it was signed "
        "with another key.",
    )


def _json_object(encoded: str, part: str) -> dict[str, object]:
    if not _is_base64url(encoded):
        raise _malformed(f"its {part} is not base64url")
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _malformed(f"its {part} is not a JSON object without duplicate names") from None
    if not isinstance(value, dict):
        raise _malformed(f"its {part} is not a JSON object")
    return value


def _is_base64url(text: str) -> bool:
    """Base64url without padding, and with no stray bits at the end: one spelling per value."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return False
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError
    return value


def _no_constant(_name: str) -> object:
    raise ValueError


def _seconds(claims: dict[str, object], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 10**15:
        raise _malformed(f"{name} must be a number of Unix seconds")
    return float(value)


def _malformed(why: str) -> Refusal:
    return Refusal(Reason.MALFORMED_TOKEN, f"The bearer token cannot be read: {why}.")
