"""Credentials and tokens (contract section 4): what lets a caller in, and nothing else.

PyJWT stands beside our check in `test_credential_oracle`.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from reachbook.domain import credential
from reachbook.domain.credential import CLOCK_SKEW, TOKEN_LIFE
from reachbook.domain.errors import Kind, Reason, Refusal
from tests.support import strategies
from tests.support.strategies import CLAIMS, HEADER, KEY, NOW, SECRET_ID, SECRET_KEY, sign, sign_raw

MASTER_KEY = b"m" * 32
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


def admit(token: str, now: float = NOW) -> float:
    """The second the token dies, when it is in the hands of a server that knows one secret."""
    claimed = credential.read_jwt(credential.bearer(f"Bearer {token}"))
    return credential.verify(claimed, KEY if claimed.credential_id == SECRET_ID else None, now)


def refusal(token: str, now: float = NOW) -> Refusal:
    with pytest.raises(Refusal) as caught:
        admit(token, now)
    return caught.value


def test_it_works() -> None:
    claimed = credential.read_jwt(sign())

    assert claimed.credential_id == SECRET_ID
    assert credential.verify(claimed, KEY, NOW) == NOW - 10 + TOKEN_LIFE


@pytest.mark.parametrize("token", [VECTOR, VECTOR_WITH_EXP])
def test_the_known_tokens_of_other_clients_are_taken(token: str) -> None:
    claimed = credential.read_jwt(token)

    assert claimed.credential_id == VECTOR_ID
    signing = credential.signing_key(VECTOR_ID, VECTOR_KEY)
    expires_at = credential.verify(claimed, signing, 1_700_000_010)
    assert expires_at == pytest.approx(1_700_000_300, abs=0.001)


@settings(max_examples=2000)
@given(strategies.bad_tokens())
def test_a_bad_token_is_refused_and_never_an_error(token: str) -> None:
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
def test_a_token_inside_its_time_is_taken(claims: dict[str, object], expires_at: float) -> None:
    assert admit(sign(claims={**CLAIMS, **claims})) == pytest.approx(expires_at, abs=0.001)


@pytest.mark.parametrize(
    ("claims", "reason", "message"),
    [
        ({"iat": NOW - TOKEN_LIFE - 1}, Reason.EXPIRED, "expired 1 s ago"),
        ({"iat": NOW - TOKEN_LIFE - 0.5}, Reason.EXPIRED, "expired 1 s ago"),
        ({"iat": NOW - 3900}, Reason.EXPIRED, "expired 3600 s ago"),
        ({"iat": -5}, Reason.EXPIRED, "a token lives 300 s"),
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
def test_a_refusal_says_what_is_wrong_with_the_claims(
    claims: dict[str, object], reason: Reason, message: str
) -> None:
    """An `exp` is the first second at which a token is no longer good (RFC 7519, 4.1.4)."""
    no = refusal(sign(claims={**CLAIMS, **claims}))

    assert (no.reason, message in no.message) == (reason, True), no.message


SLOW = "the clock of the machine that signs it is {} s slow"
ANEW = "Sign a new one."


@pytest.mark.parametrize(
    ("claims", "seen", "message", "unsaid"),
    [
        ({"iat": NOW - 400}, False, ["its iat", SLOW.format(400)], [ANEW, "exp "]),
        ({"iat": NOW - 400}, True, ["its iat", ANEW], ["clock", "exp "]),
        ({"iat": NOW - 400, "exp": NOW - 100}, True, ["its iat", ANEW], ["exp "]),
        ({"iat": NOW - 10, "exp": NOW - 1}, False, ["1 s ago", "its exp", ANEW], ["iat", "clock"]),
        ({"iat": NOW - 100, "exp": NOW - 40}, False, ["40 s", "exp", SLOW.format(100)], [ANEW]),
        ({"iat": NOW - 100, "exp": NOW - 40}, True, ["40 s", "exp", ANEW], ["clock"]),
        ({"iat": NOW - 10, "exp": 300}, False, ["not later than its iat", "Set exp"], [ANEW]),
        ({"iat": NOW, "nbf": NOW + 61}, False, ["The nbf", "61 s ahead"], ["iat", "clock of"]),
        ({"iat": NOW + 61}, False, ["The iat", "61 s ahead", "clock of"], ["nbf"]),
    ],
)
def test_a_refusal_names_the_claim_and_what_helps(
    claims: dict[str, object], seen: bool, message: list[str], unsaid: list[str]
) -> None:
    """Signing a new token does not help a client whose clock is slow."""
    token = credential.read_jwt(sign(claims={**CLAIMS, **claims}))

    with pytest.raises(Refusal) as caught:
        credential.verify(token, KEY, NOW, seen=seen)

    said = caught.value.message
    assert [one for one in message if one not in said] == [], said
    assert [one for one in unsaid if one in said] == [], said


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        *(({**HEADER, "alg": alg}, Reason.WRONG_ALGORITHM) for alg in ["none", "HS512", "RS256"]),
        ({"typ": "JWT"}, Reason.WRONG_ALGORITHM),
        ({**HEADER, "crit": ["exp"]}, Reason.MALFORMED_TOKEN),
    ],
)
def test_a_header_that_asks_for_more_than_hs256_is_refused(
    header: dict[str, object], reason: Reason
) -> None:
    assert refusal(sign(header)).reason is reason


def test_an_unsigned_token_is_refused() -> None:
    unsigned = sign({"alg": "none"}).rpartition(".")[0]

    assert refusal(f"{unsigned}.").reason is Reason.WRONG_ALGORITHM


@pytest.mark.parametrize("junk", ["!", "=", "AA", "\n"])
def test_a_signature_has_one_spelling(junk: str) -> None:
    assert refusal(sign() + junk).reason is Reason.MALFORMED_TOKEN


def test_of_a_claim_that_is_named_twice_neither_counts() -> None:
    twice = f'{{"iss": "{SECRET_ID}", "iat": 0, "iat": {NOW}}}'.encode()

    assert refusal(sign_raw(b'{"alg": "HS256"}', twice)).reason is Reason.MALFORMED_TOKEN


def test_an_unknown_id_and_a_wrong_signature_read_the_same() -> None:
    unknown = refusal(sign(claims={**CLAIMS, "iss": "rbs_1_" + "0" * 16}))
    unsigned = refusal(sign(key=b"another key"))

    assert unknown.reason is unsigned.reason is Reason.BAD_CREDENTIAL
    assert unknown.message == unsigned.message


def test_times_are_told_only_to_who_signed_them() -> None:
    no = refusal(sign(claims={**CLAIMS, "iat": 0}, key=b"another key"))

    assert no.reason is Reason.BAD_CREDENTIAL


# ── the header of the request ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("header", ["Bearer abc", "bearer abc", "BEARER abc", "Bearer   abc "])
def test_the_scheme_is_bearer_in_any_case(header: str) -> None:
    assert credential.bearer(header) == "abc"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, Reason.MISSING_CREDENTIAL),
        ("", Reason.MISSING_CREDENTIAL),
        ("abc", Reason.MALFORMED_TOKEN),
        ("Bearer", Reason.MALFORMED_TOKEN),
        ("Bearer ", Reason.MALFORMED_TOKEN),
        ("Basic abc", Reason.MALFORMED_TOKEN),
        ("Bearer a b", Reason.MALFORMED_TOKEN),
        ("Bearer: abc", Reason.MALFORMED_TOKEN),
        ("Bearer é", Reason.MALFORMED_TOKEN),
        ("Bearer " + "a" * 4097, Reason.MALFORMED_TOKEN),
    ],
)
def test_a_header_without_one_token_is_refused(header: str | None, reason: Reason) -> None:
    with pytest.raises(Refusal) as caught:
        credential.bearer(header)

    assert caught.value.reason is reason
    assert reason.kind is Kind.UNAUTHORIZED


@pytest.mark.parametrize(
    ("token", "jwt"),
    [("a.b.c", True), ("..", True), ("a.b", False), ("a.b.c.d", False), ("a", False)],
)
def test_three_parts_make_a_jwt(token: str, jwt: bool) -> None:
    assert credential.is_jwt(token) is jwt


# ── API keys, ids, and what is kept of a secret ──────────────────────────────────────────────


def test_a_new_api_key_tells_its_id_and_its_team() -> None:
    key_id = credential.new_key_id(7)
    api_key = credential.new_api_key(key_id)

    assert credential.key_id(api_key) == key_id
    assert credential.team_hint(key_id) == 7
    assert api_key.startswith(key_id)


def test_no_two_credentials_are_the_same() -> None:
    keys = {credential.new_secret_key() for _ in range(1000)}
    api_keys = {credential.new_api_key("rbk_1_" + "0" * 16) for _ in range(1000)}

    assert len(keys) == len(api_keys) == 1000


def test_the_hash_of_an_api_key_does_not_hold_it() -> None:
    api_key = credential.new_api_key(credential.new_key_id(1))

    assert api_key.encode() not in credential.hash_api_key(api_key)
    assert credential.hash_api_key(api_key) != credential.hash_api_key(api_key[:-1] + "x")


@pytest.mark.parametrize(
    "api_key",
    [
        *("", "rbk_1", "rbk_1_" + "0" * 16, "rbs_1_" + "0" * 16 + "_" + "0" * 40),
        *("rbk_1_" + "0" * 16 + "_" + "0" * 39, "rbk_1_" + "0" * 16 + "_" + "0" * 41),
        *("rbk_1_" + "0" * 16 + "_" + "G" * 40, "rbk_x_" + "0" * 16 + "_" + "0" * 40),
        "rbk_" + "1" * 19 + "_" + "0" * 16 + "_" + "0" * 40,
        "rbk_1_" + "0" * 16 + "_" + "0" * 40 + "\n",
    ],
)
def test_what_is_not_shaped_like_an_api_key_names_none(api_key: str) -> None:
    assert credential.key_id(api_key) is None


@pytest.mark.parametrize(
    "ident",
    [
        *("", "rbs_1", "rbs__0123456789abcdef", "rbs_\u0661_0123456789abcdef", VECTOR_ID),
        *("rbx_1_0123456789abcdef", "rbs_1_0123456789ABCDEF", "rbs_1_0123456789abcdef\n"),
        *("rbs_-1_0123456789abcdef", "rbs_" + "1" * 19 + "_0123456789abcdef"),
    ],
)
def test_an_id_that_is_not_ours_hints_at_no_team(ident: str) -> None:
    assert credential.team_hint(ident) is None


def test_a_sealed_key_comes_back() -> None:
    sealed = credential.seal(MASTER_KEY, SECRET_ID, SECRET_KEY)

    assert credential.unseal(MASTER_KEY, SECRET_ID, sealed) == SECRET_KEY
    assert SECRET_KEY.encode() not in sealed


def test_no_two_seals_are_the_same() -> None:
    one, other = (credential.seal(MASTER_KEY, SECRET_ID, SECRET_KEY) for _ in range(2))

    assert one != other


def test_a_sealed_key_opens_only_with_its_master_key_and_for_its_id() -> None:
    sealed = credential.seal(MASTER_KEY, SECRET_ID, SECRET_KEY)

    assert credential.unseal(b"x" * 32, SECRET_ID, sealed) is None
    assert credential.unseal(MASTER_KEY, "rbs_2_0123456789abcdef", sealed) is None


@pytest.mark.parametrize("at", [0, 11, 12, 40, -1])
def test_a_sealed_key_that_was_touched_does_not_open(at: int) -> None:
    sealed = bytearray(credential.seal(MASTER_KEY, SECRET_ID, SECRET_KEY))
    sealed[at] ^= 1

    assert credential.unseal(MASTER_KEY, SECRET_ID, bytes(sealed)) is None


@pytest.mark.parametrize("size", [0, 5, 12, 20, 28])
def test_a_sealed_key_that_was_cut_does_not_open(size: int) -> None:
    sealed = credential.seal(MASTER_KEY, SECRET_ID, SECRET_KEY)

    assert credential.unseal(MASTER_KEY, SECRET_ID, sealed[:size]) is None
