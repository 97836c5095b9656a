"""JSON Web Tokens: reads and verifies the JWT that an API secret signs (seed 001, contract §4).

The clock is an argument. PyJWT is not used, because a token is checked for each request; the tests
compare the results with those of PyJWT.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
import secrets

from msgspec import Struct

from reachbook.domain.credential import bad_credential, malformed_token
from reachbook.domain.errors import Reason, Refusal

TOKEN_LIFE = 300
CLOCK_SKEW = 60
_MILLISECONDS = 10**11
# As long as a real signing key (an id, two bars, 64 digits), because HMAC hashes a long key first.
_UNKNOWN_SIGNING_KEY = secrets.token_bytes(96)


class Token(Struct, frozen=True):
    """A JWT that is well formed and not verified yet: see `verify`. Times are in seconds."""

    credential_id: str
    signed: bytes
    signature: bytes
    issued: float
    expires: float | None
    not_before: float | None


def signing_key(secret_id: str, secret_key: str) -> bytes:
    """Returns the HMAC key of a JWT: `SECRET_ID||SECRET_KEY`, with two literal bars (seed 001)."""
    return f"{secret_id}||{secret_key}".encode()


def sign(secret_id: str, secret_key: str, now: float) -> str:
    """Returns a JWT that an API secret signs at a time in seconds, as seed 001 describes."""
    header = _encode({"alg": "HS256", "typ": "JWT"})
    signed = f"{header}.{_encode({'iss': secret_id, 'iat': int(now)})}"
    signature = hmac.digest(signing_key(secret_id, secret_key), signed.encode(), "sha256")
    return f"{signed}.{_base64url(signature)}"


def is_jwt(token: str) -> bool:
    """Returns whether a bearer token has the form of a JWT: three parts, separated by dots."""
    return token.count(".") == 2  # noqa: PLR2004 - header.payload.signature


def read_jwt(token: str) -> Token:
    """Returns the claims of a JWT; raises a refusal if it is malformed.

    The algorithm must be HS256, and times must be numbers. `crit` and duplicate names are refused.
    """
    signed, _, signature = token.rpartition(".")
    encoded_header, _, encoded_claims = signed.partition(".")
    header = _json_object(encoded_header, "header")
    if header.get("alg") != "HS256":
        raise Refusal(
            Reason.WRONG_ALGORITHM, "The JWT must be signed with HS256; its header says otherwise."
        )
    if "crit" in header or header.get("b64", True) is not True:
        raise malformed_token("its header requires extensions (crit, b64) that are not supported")
    if not isinstance(header.get("kid", ""), str):
        raise malformed_token("its kid is not a string")
    if not _is_base64url(signature):
        raise malformed_token("its signature is not base64url")
    claims = _json_object(encoded_claims, "payload")
    issuer = claims.get("iss")
    if not isinstance(issuer, str):
        raise malformed_token("iss must be the API secret's id, a string")
    issued = _seconds(claims, "iat")
    if issued is None:
        raise malformed_token("iat must be the time of issue in Unix seconds")
    expires, not_before = _seconds(claims, "exp"), _seconds(claims, "nbf")
    return Token(issuer, signed.encode(), signature.encode(), issued, expires, not_before)


def verify(token: Token, signing: bytes | None, now: float, *, seen: bool = False) -> float:
    """Verify signature and times; returns the last time at which the token is valid.

    This is `iat` + 300 s, or the time just before `exp`: at `exp` itself a token is expired (RFC
    7519, 4.1.4). All times are in Unix seconds. `signing` is None if there is no such secret; then
    the work and the error are those of a wrong signature. `seen` is true if the token was accepted
    before, so that the clock of its sender cannot be slow.
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
        late, claim = now - ends, f"a token is valid for {TOKEN_LIFE} s from its iat"
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


def _json_object(encoded: str, part: str) -> dict[str, object]:
    if not _is_base64url(encoded):
        raise malformed_token(f"its {part} is not base64url")
    try:
        text = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise malformed_token(f"its {part} is not a JSON object without duplicate names") from None
    if not isinstance(value, dict):
        raise malformed_token(f"its {part} is not a JSON object")
    return value


def _is_base64url(text: str) -> bool:
    """Returns whether a text is base64url without padding and without unused bits that are set."""
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
        raise malformed_token(f"{name} must be a number of Unix seconds")
    return float(value)


def _encode(value: object) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
