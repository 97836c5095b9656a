"""PyJWT as the oracle: we take nothing that it refuses, and each of our own noes is named here."""

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

# PyJWT reads the clock by itself, so no time comes nearer to an edge than this many seconds.
MARGIN = 5
EDGES = (-10 * TOKEN_LIFE, -TOKEN_LIFE, -CLOCK_SKEW, 0, CLOCK_SKEW, TOKEN_LIFE, 10 * TOKEN_LIFE)

# PyJWT also judges claims that the contract does not speak of.
OPTIONS: Any = {"verify_aud": False, "verify_sub": False, "verify_jti": False}


def we_take(token: str) -> bool:
    try:
        claimed = ours.read_jwt(credential.bearer(f"Bearer {token}"))
        signing = KEY if claimed.credential_id == SECRET_ID else None
        ours.verify(claimed, signing, time.time())
    except Refusal:
        return False
    return True


def pyjwt_takes(token: str) -> bool:
    try:
        jwt.decode(token, KEY, algorithms=["HS256"], leeway=CLOCK_SKEW, options=OPTIONS)
    except jwt.PyJWTError:
        return False
    return True


@dataclass
class Draft:
    """A token in the making: a good one, until it is twisted."""

    header: dict[str, object] = field(default_factory=lambda: dict(HEADER))
    claims: dict[str, object] = field(
        default_factory=lambda: {"iss": SECRET_ID, "iat": int(time.time())}
    )
    key: bytes = KEY
    written: list[Callable[[bytes], bytes]] = field(default_factory=list)
    spelled: list[Callable[[str], str]] = field(default_factory=list)

    def token(self) -> str:
        text = json.dumps(self.claims).encode()
        for write in self.written:
            text = write(text)
        parts = [base64url(json.dumps(self.header).encode()), base64url(text)]
        for spell in self.spelled:
            parts = [spell(part) for part in parts]
        return sign_parts(parts[0], parts[1], self.key)


Twist = Callable[[Draft], object]


def header(**values: object) -> Twist:
    return lambda draft: draft.header.update(values)


def claim(**values: object) -> Twist:
    return lambda draft: draft.claims.update(values)


def at(name: str, seconds: float) -> Twist:
    """A claim of time, so many seconds from now."""
    return lambda draft: draft.claims.update({name: int(time.time()) + seconds})


def text_at(name: str, seconds: int) -> Twist:
    return lambda draft: draft.claims.update({name: str(int(time.time()) + seconds)})


def lacks(name: str) -> Twist:
    return lambda draft: draft.claims.pop(name, None)


def written(how: Callable[[bytes], bytes]) -> Twist:
    return lambda draft: draft.written.append(how)


def spelled(how: Callable[[str], str]) -> Twist:
    return lambda draft: draft.spelled.append(how)


def instead(text: bytes) -> Twist:
    return written(lambda _text: text)


def followed_by(junk: str) -> Twist:
    return spelled(lambda part: part + junk)


def key(value: bytes) -> Twist:
    return lambda draft: setattr(draft, "key", value)


def _padded(part: str) -> str:
    return part.rstrip("=") + "=" * (-len(part.rstrip("=")) % 4)


NOT_TIMES: tuple[object, ...] = (None, "soon", [], {}, float("nan"), float("inf"))

# Where we are stricter on purpose: PyJWT takes each of these, and we do not.
STRICTER: dict[str, Twist] = {
    "base64url has no padding": spelled(_padded),
    "JSON has no byte order mark": written(lambda text: b"\xef\xbb\xbf" + text),
    "JSON is not UTF-16": written(lambda text: text.decode("latin-1").encode("utf-16")),
    "a name stands once": written(lambda text: text.replace(b"{", b'{"x": 1, "x": 2, ', 1)),
    "NaN is not JSON": claim(x=float("nan")),
    "Infinity is not JSON": claim(x=float("inf")),
    "the issuer is the secret that signs": claim(iss="rbs_1_" + "0" * 16),
    "an issuer is a text": claim(iss=5),
    "an issuer is not null": claim(iss=None),
    "there is an issuer": lacks("iss"),
    "there is a time of issue": lacks("iat"),
    "a token lives 300 s without exp": at("iat", -TOKEN_LIFE - MARGIN),
    "a token lives 300 s with exp": lambda draft: (
        at("iat", -2 * TOKEN_LIFE)(draft),
        at("exp", TOKEN_LIFE)(draft),
    ),
    "skew does not prolong exp": at("exp", -MARGIN),
    "a time of issue is no text": text_at("iat", -MARGIN),
    "an expiry is no text": text_at("exp", TOKEN_LIFE),
    "a beginning is no text": text_at("nbf", -MARGIN),
    "a time of issue is no bool": claim(iat=True),
    "a beginning is no bool": claim(nbf=False),
    "a time is within 30 million years": claim(exp=10**16),
    "a token is at most 4096 characters": claim(x="x" * 4096),
}

# Where we and PyJWT must agree: both take the token, or both refuse it.
AGREED: dict[str, Twist] = {
    "a plain token": lambda _draft: None,
    "other claims": claim(sub=5, aud=["a"], jti=None, x={"y": [1, None, True, "é", 10**30]}),
    "an infinite number": written(lambda text: text.replace(b"{", b'{"far": 1e999, ', 1)),
    "spaces in the JSON": written(lambda text: b" \n\t" + text.replace(b":", b" : ") + b"\r\n"),
    "no typ": lambda draft: draft.header.pop("typ", None),
    "a typ of its own": header(typ="at+jwt"),
    "a key id": header(kid="1"),
    "another key": key(KEY + b"x"),
    **{f"alg {alg!r}": header(alg=alg) for alg in ("none", "HS512", "hs256", None, 5, ["HS256"])},
    **{f"crit {names!r}": header(crit=names) for names in ([], ["x"], "x", None)},
    **{f"text {text!r}": instead(text) for text in (b"", b"1", b"[]", b'"x"')},
    **{f"exp {value!r}": claim(exp=value) for value in NOT_TIMES},
    **{f"iat {value!r}": claim(iat=value) for value in NOT_TIMES},
    **{f"junk {junk!r}": followed_by(junk) for junk in ("!", "+", "A==")},
}

# Times on both sides of every edge; PyJWT knows no life of 300 s, and lets its leeway prolong exp.
TIMES: dict[str, Twist] = {
    f"{name} {edge + side:+}": at(name, edge + side)
    for name in ("iat", "exp", "nbf")
    for edge in EDGES
    for side in (-MARGIN, MARGIN, MARGIN + 0.25)
}
OLD = {f"iat {edge + side:+}" for edge in EDGES[:2] for side in (-MARGIN, MARGIN, MARGIN + 0.25)}
OLD -= {f"iat {-TOKEN_LIFE + side:+}" for side in (MARGIN, MARGIN + 0.25)}
LATE = {f"exp {seconds:+}" for seconds in (-CLOCK_SKEW + MARGIN, -CLOCK_SKEW + MARGIN + 0.25)}
OURS = set(STRICTER) | OLD | LATE | {f"exp {-MARGIN:+}"}
TWISTS = {**STRICTER, **AGREED, **TIMES}


def drafts() -> st.SearchStrategy[list[str]]:
    """Makes lists of up to three twists, so that one may undo or hide another."""
    return st.lists(st.sampled_from(list(TWISTS)), max_size=3, unique=True)


def twisted(names: list[str]) -> str:
    draft = Draft()
    for name in names:
        TWISTS[name](draft)
    return draft.token()


def test_it_works() -> None:
    token = jwt.encode({"iss": SECRET_ID, "iat": int(time.time())}, KEY, algorithm="HS256")

    assert we_take(token)
    assert pyjwt_takes(sign(claims=Draft().claims))


@pytest.mark.parametrize("name", STRICTER)
def test_we_are_stricter_on_purpose(name: str) -> None:
    token = twisted([name])

    assert pyjwt_takes(token)
    assert not we_take(token)


@pytest.mark.parametrize("name", [name for name in TWISTS if name not in OURS])
def test_else_we_agree(name: str) -> None:
    token = twisted([name])

    assert we_take(token) == pyjwt_takes(token)


@settings(max_examples=1000)
@given(drafts())
def test_we_take_nothing_that_pyjwt_refuses(names: list[str]) -> None:
    token = twisted(names)

    assert pyjwt_takes(token) or not we_take(token)


@settings(max_examples=1000)
@given(drafts())
def test_what_pyjwt_takes_we_take_but_for_the_named_cases(names: list[str]) -> None:
    token = twisted(names)

    assert we_take(token) or not pyjwt_takes(token) or OURS.intersection(names)


@pytest.mark.parametrize("values", [{"kid": 5}, {"kid": None}, {"b64": False}])
def test_a_header_that_pyjwt_refuses_is_refused(values: dict[str, object]) -> None:
    """A `kid` is a text (RFC 7515, 4.1.4), and `b64` changes what is signed (RFC 7797)."""
    token = sign({**HEADER, **values}, Draft().claims)

    assert not pyjwt_takes(token)
    assert not we_take(token)
