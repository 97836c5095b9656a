"""Comparison with PyJWT: no token that it refuses is accepted; stricter checks are listed here."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reachbook.domain import credential
from reachbook.domain import jwt as ours
from reachbook.domain.errors import Refusal
from reachbook.domain.jwt import CLOCK_SKEW, TOKEN_LIFE
from tests.support.strategies import HEADER, KEY, SECRET_ID, base64url, sign, sign_parts

# PyJWT reads the clock itself, so each time is at least this many seconds away from a limit.
MARGIN = 5
LIMITS = (-10 * TOKEN_LIFE, -TOKEN_LIFE, -CLOCK_SKEW, 0, CLOCK_SKEW, TOKEN_LIFE, 10 * TOKEN_LIFE)

# PyJWT also checks claims that the contract does not mention.
OPTIONS: Any = {"verify_aud": False, "verify_sub": False, "verify_jti": False}


def is_accepted(token: str) -> bool:
    try:
        claimed = ours.read_jwt(credential.bearer(f"Bearer {token}"))
        signing = KEY if claimed.credential_id == SECRET_ID else None
        ours.verify(claimed, signing, time.time())
    except Refusal:
        return False
    return True


def is_accepted_by_pyjwt(token: str) -> bool:
    try:
        jwt.decode(token, KEY, algorithms=["HS256"], leeway=CLOCK_SKEW, options=OPTIONS)
    except jwt.PyJWTError:
        return False
    return True


@dataclass
class Draft:
    """A valid token, before changes are applied to it."""

    header: dict[str, object] = field(default_factory=lambda: dict(HEADER))
    claims: dict[str, object] = field(
        default_factory=lambda: {"iss": SECRET_ID, "iat": int(time.time())}
    )
    key: bytes = KEY
    json_changes: list[Callable[[bytes], bytes]] = field(default_factory=list)
    part_changes: list[Callable[[str], str]] = field(default_factory=list)

    def token(self) -> str:
        text = json.dumps(self.claims).encode()
        for write in self.json_changes:
            text = write(text)
        parts = [base64url(json.dumps(self.header).encode()), base64url(text)]
        for spell in self.part_changes:
            parts = [spell(part) for part in parts]
        return sign_parts(parts[0], parts[1], self.key)


Change = Callable[[Draft], object]


def header(**values: object) -> Change:
    return lambda draft: draft.header.update(values)


def claim(**values: object) -> Change:
    return lambda draft: draft.claims.update(values)


def time_claim(name: str, seconds: float) -> Change:
    """Sets a claim to the time that is `seconds` from now."""
    return lambda draft: draft.claims.update({name: int(time.time()) + seconds})


def text_time_claim(name: str, seconds: int) -> Change:
    return lambda draft: draft.claims.update({name: str(int(time.time()) + seconds)})


def without_claim(name: str) -> Change:
    return lambda draft: draft.claims.pop(name, None)


def change_json(change: Callable[[bytes], bytes]) -> Change:
    return lambda draft: draft.json_changes.append(change)


def change_parts(change: Callable[[str], str]) -> Change:
    return lambda draft: draft.part_changes.append(change)


def with_payload(text: bytes) -> Change:
    return change_json(lambda _text: text)


def with_suffix(junk: str) -> Change:
    return change_parts(lambda part: part + junk)


def key(value: bytes) -> Change:
    return lambda draft: setattr(draft, "key", value)


def _with_padding(part: str) -> str:
    return part.rstrip("=") + "=" * (-len(part.rstrip("=")) % 4)


NOT_TIMES: tuple[object, ...] = (None, "soon", [], {}, float("nan"), float("inf"))

# Checks that are stricter than PyJWT's on purpose: PyJWT accepts each of these tokens.
STRICTER: dict[str, Change] = {
    "base64url has no padding": change_parts(_with_padding),
    "JSON has no byte order mark": change_json(lambda text: b"\xef\xbb\xbf" + text),
    "JSON is not UTF-16": change_json(lambda text: text.decode("latin-1").encode("utf-16")),
    "a name occurs once": change_json(lambda text: text.replace(b"{", b'{"x": 1, "x": 2, ', 1)),
    "NaN is not JSON": claim(x=float("nan")),
    "Infinity is not JSON": claim(x=float("inf")),
    "the issuer is the secret that signs": claim(iss="rbs_1_" + "0" * 16),
    "an issuer is a text": claim(iss=5),
    "an issuer is not null": claim(iss=None),
    "an issuer is required": without_claim("iss"),
    "a time of issue is required": without_claim("iat"),
    "a token is valid for 300 s without exp": time_claim("iat", -TOKEN_LIFE - MARGIN),
    "a token is valid for 300 s with exp": lambda draft: (
        time_claim("iat", -2 * TOKEN_LIFE)(draft),
        time_claim("exp", TOKEN_LIFE)(draft),
    ),
    "skew does not prolong exp": time_claim("exp", -MARGIN),
    "a time of issue is not a text": text_time_claim("iat", -MARGIN),
    "an expiry is not a text": text_time_claim("exp", TOKEN_LIFE),
    "nbf is not a text": text_time_claim("nbf", -MARGIN),
    "a time of issue is not a bool": claim(iat=True),
    "nbf is not a bool": claim(nbf=False),
    "a time is within 30 million years": claim(exp=10**16),
    "a token is at most 4096 characters": claim(x="x" * 4096),
}

# Checks that must agree with PyJWT: both accept the token, or both refuse it.
AGREED: dict[str, Change] = {
    "a plain token": lambda _draft: None,
    "other claims": claim(sub=5, aud=["a"], jti=None, x={"y": [1, None, True, "é", 10**30]}),
    "an infinite number": change_json(lambda text: text.replace(b"{", b'{"far": 1e999, ', 1)),
    "spaces in the JSON": change_json(lambda text: b" \n\t" + text.replace(b":", b" : ") + b"\r\n"),
    "no typ": lambda draft: draft.header.pop("typ", None),
    "a typ of its own": header(typ="at+jwt"),
    "a key id": header(kid="1"),
    "another key": key(KEY + b"x"),
    **{f"alg {alg!r}": header(alg=alg) for alg in ("none", "HS512", "hs256", None, 5, ["HS256"])},
    **{f"crit {names!r}": header(crit=names) for names in ([], ["x"], "x", None)},
    **{f"text {text!r}": with_payload(text) for text in (b"", b"1", b"[]", b'"x"')},
    **{f"exp {value!r}": claim(exp=value) for value in NOT_TIMES},
    **{f"iat {value!r}": claim(iat=value) for value in NOT_TIMES},
    **{f"junk {junk!r}": with_suffix(junk) for junk in ("!", "+", "A==")},
}

# Times before and after each limit; PyJWT has no limit of 300 s, and adds its leeway to exp.
TIMES: dict[str, Change] = {
    f"{name} {limit + offset:+}": time_claim(name, limit + offset)
    for name in ("iat", "exp", "nbf")
    for limit in LIMITS
    for offset in (-MARGIN, MARGIN, MARGIN + 0.25)
}
OLD = {
    f"iat {limit + offset:+}" for limit in LIMITS[:2] for offset in (-MARGIN, MARGIN, MARGIN + 0.25)
}
OLD -= {f"iat {-TOKEN_LIFE + offset:+}" for offset in (MARGIN, MARGIN + 0.25)}
LATE = {f"exp {seconds:+}" for seconds in (-CLOCK_SKEW + MARGIN, -CLOCK_SKEW + MARGIN + 0.25)}
STRICTER_NAMES = set(STRICTER) | OLD | LATE | {f"exp {-MARGIN:+}"}
CHANGES = {**STRICTER, **AGREED, **TIMES}


def lists_of_changes() -> st.SearchStrategy[list[str]]:
    """Generates lists of up to three changes; a change may undo or hide another."""
    return st.lists(st.sampled_from(list(CHANGES)), max_size=3, unique=True)


def make_token(names: list[str]) -> str:
    draft = Draft()
    for name in names:
        CHANGES[name](draft)
    return draft.token()


def test_a_valid_token_is_accepted_by_both() -> None:
    token = jwt.encode({"iss": SECRET_ID, "iat": int(time.time())}, KEY, algorithm="HS256")

    assert is_accepted(token)
    assert is_accepted_by_pyjwt(sign(claims=Draft().claims))


@pytest.mark.parametrize("name", STRICTER)
def test_stricter_checks_refuse_tokens_that_pyjwt_accepts(name: str) -> None:
    token = make_token([name])

    assert is_accepted_by_pyjwt(token)
    assert not is_accepted(token)


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in STRICTER_NAMES])
def test_other_checks_agree_with_pyjwt(name: str) -> None:
    token = make_token([name])

    assert is_accepted(token) == is_accepted_by_pyjwt(token)


@settings(max_examples=1000)
@given(lists_of_changes())
def test_no_token_is_accepted_that_pyjwt_refuses(names: list[str]) -> None:
    token = make_token(names)

    assert is_accepted_by_pyjwt(token) or not is_accepted(token)


@settings(max_examples=1000)
@given(lists_of_changes())
def test_tokens_of_pyjwt_are_accepted_except_for_the_stricter_checks(names: list[str]) -> None:
    token = make_token(names)

    assert (
        is_accepted(token) or not is_accepted_by_pyjwt(token) or STRICTER_NAMES.intersection(names)
    )


@pytest.mark.parametrize("values", [{"kid": 5}, {"kid": None}, {"b64": False}])
def test_a_header_that_pyjwt_refuses_is_refused(values: dict[str, object]) -> None:
    """A `kid` is a text (RFC 7515, 4.1.4), and `b64` changes what is signed (RFC 7797)."""
    token = sign({**HEADER, **values}, Draft().claims)

    assert not is_accepted_by_pyjwt(token)
    assert not is_accepted(token)
