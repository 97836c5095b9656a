"""JWTs: the claims, the times and the signature; `test_jwt_oracle` compares with PyJWT."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from reachbook.domain import credential, jwt
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.domain.jwt import CLOCK_SKEW, TOKEN_LIFE
from tests.support import strategies
from tests.support.strategies import CLAIMS, HEADER, KEY, NOW, SECRET_ID, sign, sign_raw

VECTOR_ID = "00000000-0000-4000-8000-000000000001"
VECTOR_KEY = "example-secret-key"
VECTOR_HEAD = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
    ".eyJpc3MiOiIwMDAwMDAwMC0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJpYXQiOjE3MDAwMDAwMD"
)
VECTOR = f"{VECTOR_HEAD}B9.u2pqw3wy5fk7yhegONa7hEvI6PaMOFjazrkcQeGtBMw"
VECTOR_WITH_EXP = (
    f"{VECTOR_HEAD}AsImV4cCI6MTcwMDAwMDMwMH0.v809h7lZQkjg20YTw2nHIJcFvAWxWW35eS24IU7esiM"
)


def expiry_of(token: str, now: float = NOW) -> float:
    """Returns the time at which the token expires; only `SECRET_ID` is a known secret."""
    claimed = jwt.read_jwt(credential.bearer(f"Bearer {token}"))
    return jwt.verify(claimed, KEY if claimed.credential_id == SECRET_ID else None, now)


def refusal(token: str, now: float = NOW) -> Refusal:
    with pytest.raises(Refusal) as caught:
        expiry_of(token, now)
    return caught.value


def test_a_valid_token_is_accepted() -> None:
    claimed = jwt.read_jwt(sign())

    assert claimed.credential_id == SECRET_ID
    assert jwt.verify(claimed, KEY, NOW) == NOW - 10 + TOKEN_LIFE


@pytest.mark.parametrize("token", [VECTOR, VECTOR_WITH_EXP])
def test_tokens_of_other_clients_are_accepted(token: str) -> None:
    claimed = jwt.read_jwt(token)

    assert claimed.credential_id == VECTOR_ID
    signing = jwt.signing_key(VECTOR_ID, VECTOR_KEY)
    expires_at = jwt.verify(claimed, signing, 1_700_000_010)
    assert expires_at == pytest.approx(1_700_000_300, abs=0.001)


@settings(max_examples=2000)
@given(strategies.bad_tokens())
def test_a_malformed_token_is_always_a_refusal(token: str) -> None:
    assert refusal(token).reason.kind is Kind.UNAUTHORIZED


# ── the times ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("claims", "expires_at"),
    [
        ({"iat": NOW - TOKEN_LIFE}, NOW),
        ({"iat": NOW - 299.5}, NOW + 0.5),
        ({"iat": NOW}, NOW + TOKEN_LIFE),
        ({"iat": NOW + CLOCK_SKEW}, NOW + CLOCK_SKEW + TOKEN_LIFE),
        ({"iat": float(NOW)}, NOW + TOKEN_LIFE),
        ({"iat": NOW, "exp": NOW + TOKEN_LIFE}, NOW + TOKEN_LIFE),
        ({"iat": NOW, "exp": NOW + 1}, NOW + 1),
        ({"iat": NOW, "exp": NOW + 0.5}, NOW + 0.5),
        ({"iat": NOW, "exp": NOW + 86_400}, NOW + TOKEN_LIFE),
        ({"iat": NOW, "nbf": NOW}, NOW + TOKEN_LIFE),
        ({"iat": NOW, "nbf": NOW + CLOCK_SKEW}, NOW + TOKEN_LIFE),
        ({"iat": NOW, "nbf": 0}, NOW + TOKEN_LIFE),
        ({"iat": NOW, "sub": 5, "aud": ["us"], "jti": None, "x": {"y": [1]}}, NOW + TOKEN_LIFE),
    ],
)
def test_a_token_within_its_validity_is_accepted(
    claims: dict[str, object], expires_at: float
) -> None:
    assert expiry_of(sign(claims={**CLAIMS, **claims})) == pytest.approx(expires_at, abs=0.001)


@pytest.mark.parametrize(
    ("claims", "reason", "message"),
    [
        ({"iat": NOW - TOKEN_LIFE - 1}, Reason.EXPIRED, "expired 1 s ago"),
        ({"iat": NOW - TOKEN_LIFE - 0.5}, Reason.EXPIRED, "expired 1 s ago"),
        ({"iat": NOW - 3900}, Reason.EXPIRED, "expired 3600 s ago"),
        ({"iat": -5}, Reason.EXPIRED, "a token is valid for 300 s"),
        ({"exp": NOW - 1}, Reason.EXPIRED, "expired 1 s ago"),
        ({"exp": NOW}, Reason.EXPIRED, "expired"),
        ({"exp": 0}, Reason.EXPIRED, "expired"),
        ({"iat": NOW + CLOCK_SKEW + 1}, Reason.NOT_YET_VALID, "61 s ahead"),
        ({"nbf": NOW + CLOCK_SKEW + 1}, Reason.NOT_YET_VALID, "61 s ahead"),
        ({"iat": NOW * 1000}, Reason.NOT_YET_VALID, "milliseconds"),
        ({"iat": True}, Reason.MALFORMED_TOKEN, "iat must be"),
        ({"iat": str(NOW)}, Reason.MALFORMED_TOKEN, "iat must be"),
        ({"iat": None}, Reason.MALFORMED_TOKEN, "iat must be"),
        ({"iat": 10**400}, Reason.MALFORMED_TOKEN, "iat must be"),
        ({"exp": "soon"}, Reason.MALFORMED_TOKEN, "exp must be"),
        ({"exp": None}, Reason.MALFORMED_TOKEN, "exp must be"),
        ({"nbf": False}, Reason.MALFORMED_TOKEN, "nbf must be"),
        ({"iss": 5}, Reason.MALFORMED_TOKEN, "iss must be"),
        ({"iat": float("nan")}, Reason.MALFORMED_TOKEN, "payload is not"),
    ],
)
def test_the_error_message_names_the_wrong_claim(
    claims: dict[str, object], reason: Reason, message: str
) -> None:
    """An `exp` is the first second at which a token is no longer good (RFC 7519, 4.1.4)."""
    error = refusal(sign(claims={**CLAIMS, **claims}))

    assert (error.reason, message in error.message) == (reason, True), error.message


SLOW = "the clock of the machine that signs it is {} s slow"
REMEDY = "Sign a new one."


@pytest.mark.parametrize(
    ("claims", "seen", "message", "absent"),
    [
        ({"iat": NOW - 400}, False, ["its iat", SLOW.format(400)], [REMEDY, "exp "]),
        ({"iat": NOW - 400}, True, ["its iat", REMEDY], ["clock", "exp "]),
        ({"iat": NOW - 400, "exp": NOW - 100}, True, ["its iat", REMEDY], ["exp "]),
        (
            {"iat": NOW - 10, "exp": NOW - 1},
            False,
            ["1 s ago", "its exp", REMEDY],
            ["iat", "clock"],
        ),
        (
            {"iat": NOW - 100, "exp": NOW - 40},
            False,
            ["40 s", "exp", SLOW.format(100)],
            [REMEDY],
        ),
        ({"iat": NOW - 100, "exp": NOW - 40}, True, ["40 s", "exp", REMEDY], ["clock"]),
        (
            {"iat": NOW - 10, "exp": 300},
            False,
            ["not later than its iat", "Set exp"],
            [REMEDY],
        ),
        ({"iat": NOW, "nbf": NOW + 61}, False, ["The nbf", "61 s ahead"], ["iat", "clock of"]),
        ({"iat": NOW + 61}, False, ["The iat", "61 s ahead", "clock of"], ["nbf"]),
    ],
)
def test_the_error_message_names_the_claim_and_the_remedy(
    claims: dict[str, object], seen: bool, message: list[str], absent: list[str]
) -> None:
    """Signing a new token does not help a client whose clock is slow."""
    token = jwt.read_jwt(sign(claims={**CLAIMS, **claims}))

    with pytest.raises(Refusal) as caught:
        jwt.verify(token, KEY, NOW, seen=seen)

    text = caught.value.message
    assert [part for part in message if part not in text] == [], text
    assert [part for part in absent if part in text] == [], text


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        *(({**HEADER, "alg": alg}, Reason.WRONG_ALGORITHM) for alg in ["none", "HS512", "RS256"]),
        ({"typ": "JWT"}, Reason.WRONG_ALGORITHM),
        ({**HEADER, "crit": ["exp"]}, Reason.MALFORMED_TOKEN),
    ],
)
def test_a_header_with_another_algorithm_is_refused(
    header: dict[str, object], reason: Reason
) -> None:
    assert refusal(sign(header)).reason is reason


def test_an_unsigned_token_is_refused() -> None:
    unsigned = sign({"alg": "none"}).rpartition(".")[0]

    assert refusal(f"{unsigned}.").reason is Reason.WRONG_ALGORITHM


@pytest.mark.parametrize("junk", ["!", "=", "AA", "\n"])
def test_characters_after_the_signature_are_refused(junk: str) -> None:
    assert refusal(sign() + junk).reason is Reason.MALFORMED_TOKEN


def test_a_duplicate_claim_is_refused() -> None:
    twice = f'{{"iss": "{SECRET_ID}", "iat": 0, "iat": {NOW}}}'.encode()

    assert refusal(sign_raw(b'{"alg": "HS256"}', twice)).reason is Reason.MALFORMED_TOKEN


def test_an_unknown_id_and_a_wrong_signature_have_the_same_error() -> None:
    unknown = refusal(sign(claims={**CLAIMS, "iss": "rbs_1_" + "0" * 16}))
    unsigned = refusal(sign(key=b"another key"))

    assert unknown.reason is unsigned.reason is Reason.BAD_CREDENTIAL
    assert unknown.message == unsigned.message


def test_the_signature_is_checked_before_the_times() -> None:
    error = refusal(sign(claims={**CLAIMS, "iat": 0}, key=b"another key"))

    assert error.reason is Reason.BAD_CREDENTIAL


@pytest.mark.parametrize(
    ("token", "expected"),
    [("a.b.c", True), ("..", True), ("a.b", False), ("a.b.c.d", False), ("a", False)],
)
def test_a_token_of_three_parts_is_a_jwt(token: str, expected: bool) -> None:
    assert jwt.is_jwt(token) is expected
