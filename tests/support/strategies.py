"""Named Hypothesis strategies: what people type, what programs send, and what attackers try."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cache

import phonenumbers
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from reachbook.domain.address import parsing
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.channel import ChannelSelector
from reachbook.domain.channel_rules import ChannelInput

# The machine may be slow, busy with other work; no property is wrong for that.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

SECRET_ID = "rbs_1_0123456789abcdef"
SECRET_KEY = "f" * 64
KEY = f"{SECRET_ID}||{SECRET_KEY}".encode()
NOW = 1_700_000_100

HEADER: dict[str, object] = {"alg": "HS256", "typ": "JWT"}
CLAIMS: dict[str, object] = {"iss": SECRET_ID, "iat": NOW - 10}

CALLING_CODES = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

# ── addresses ────────────────────────────────────────────────────────────────────────────────


def digits(least: int = 1, most: int = 14) -> st.SearchStrategy[str]:
    """Makes texts of ASCII digits."""
    return st.text("0123456789", min_size=least, max_size=most)


def international_digits() -> st.SearchStrategy[str]:
    """Makes digits that begin with a country code in use; often, but not always, a number."""
    return st.tuples(st.sampled_from(CALLING_CODES), digits(4, 12)).map(
        lambda two: f"{two[0]}{two[1]}"
    )


@cache
def example_numbers() -> st.SearchStrategy[str]:
    """Makes the E.164 digits of libphonenumber's own examples that can be dialled from abroad."""
    possible = phonenumbers.ValidationResult.IS_POSSIBLE
    found = {
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)[1:]
        for region in REGIONS
        for kind in phonenumbers.PhoneNumberType.values()
        if (number := phonenumbers.example_number_for_type(region, kind)) is not None
        and phonenumbers.is_possible_number_with_reason(number) == possible
    }
    return st.sampled_from(sorted(found))


@st.composite
def valid_numbers(draw: st.DrawFn, region: str) -> phonenumbers.PhoneNumber:
    """Makes valid landline and mobile numbers of a region."""
    landline, mobile = (
        phonenumbers.example_number_for_type(region, kind)
        for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
    )
    example = draw(st.sampled_from([each for each in (landline, mobile) if each]))
    national = phonenumbers.national_significant_number(example)
    kept = draw(st.integers(1, len(national) - 2))
    tail = draw(digits(len(national) - kept, len(national) - kept))
    found = phonenumbers.parse(f"+{example.country_code}{national[:kept]}{tail}")
    assume(phonenumbers.is_valid_number_for_region(found, region))
    return found


@st.composite
def spelled(draw: st.DrawFn, written: str) -> str:
    """Makes a way to write the digits: a leading + or none, separators, spaces around."""
    gaps = st.sampled_from(["", "", "", " ", "-", "(", ")", "\u00a0", "\u2011", "\u200b"])
    body = "".join(digit + draw(gaps) for digit in written)
    before = ["", "+", " +", "  ", "00", "tel:", "\u202a(+", "https://wa.me/"]
    behind = ["", " ", "\u202c", "@c.us", ":3@s.whatsapp.net"]
    return draw(st.sampled_from(before)) + body + draw(st.sampled_from(behind))


def emails() -> st.SearchStrategy[str]:
    """Makes email addresses that everybody accepts, in mixed case, some international."""
    word = st.text("abcXYZ019_+-éÖ", min_size=1, max_size=12)
    local = st.lists(word, min_size=1, max_size=3).map(".".join)
    label = st.text("abcXYZ019äÖ", min_size=1, max_size=10)
    top = st.sampled_from(["com", "ORG", "test", "рф"])
    return st.builds("{}@{}.{}".format, local, label, top)


def hostile_text() -> st.SearchStrategy[str]:
    """Makes any text at all: surrogates, controls, other digits, marks that turn the direction."""
    nasty = st.sampled_from(
        [
            *(
                "\x00",
                "\ud800",
                "\udfff",
                "\u202e",
                "\u200b",
                "\ufeff",
                "\uff0b",
                "\u0661",
                "\u00a0",
            ),
            *("+", "@", "1", ".", "xn--", "\U0001f600", "a\u0308", "\ufb01", "\n", "\x85", "%00"),
        ]
    )
    return st.lists(st.one_of(nasty, st.characters()), max_size=40).map("".join)


def channel_types() -> st.SearchStrategy[ChannelType]:
    """Makes channel types: those with rules of their own, and one of any other integration."""
    names = ["phone", "email", "sms", "whatsapp", "viber", "rcs", "facebook", "line", "telegram"]
    return st.sampled_from([ChannelType(name) for name in names])


# ── what is asked of a contact's channels ────────────────────────────────────────────────────

FEW_ADDRESSES = [
    ("phone", "15105553344"),
    ("phone", "5511987654321"),
    ("phone", "551187654321"),
    ("email", "alice@example.com"),
    ("email", "Alice@Example.com"),
    ("facebook", "1789004512"),
    ("facebook", "1789004513"),
]


def wanted() -> st.SearchStrategy[ChannelInput]:
    """Makes bodies of POST and PUT from a few addresses, so that they often meet."""
    handles: list[str | UnsetType] = [UNSET, "", "@alice"]
    pages: list[str | UnsetType] = [UNSET, "", "page-1", "page-2"]
    known = [parsing.parse(ChannelType(kind), text) for kind, text in FEW_ADDRESSES]
    return st.builds(
        ChannelInput, st.sampled_from(known), st.sampled_from(handles), st.sampled_from(pages)
    )


def named() -> st.SearchStrategy[ChannelSelector]:
    """Makes what GET, PUT and DELETE mean: a type, or exactly one address of it."""
    known = [parsing.parse(ChannelType(kind), text) for kind, text in FEW_ADDRESSES]
    exact = [ChannelSelector(one.channel_type, one) for one in known]
    kinds = [ChannelSelector(ChannelType(kind)) for kind in ("phone", "email", "facebook")]
    return st.sampled_from([*kinds, *exact])


# ── tokens ───────────────────────────────────────────────────────────────────────────────────


def base64url(raw: bytes) -> str:
    """The text of a JWT's part."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def sign_parts(header: str, claims: str, key: bytes = KEY) -> str:
    """A JWT of two parts as they stand, however odd, under a signature that is right for `key`."""
    body = f"{header}.{claims}"
    return f"{body}.{base64url(hmac.digest(key, body.encode(), hashlib.sha256))}"


def sign_raw(header: bytes, claims: bytes, key: bytes = KEY) -> str:
    """A JWT of two texts, JSON or not."""
    return sign_parts(base64url(header), base64url(claims), key)


def sign(header: object = HEADER, claims: object = CLAIMS, key: bytes = KEY) -> str:
    """A JWT of two JSON values."""
    return sign_raw(json.dumps(header).encode(), json.dumps(claims).encode(), key)


GOOD_TOKEN = sign()

NOT_TIMES: list[object] = [
    *(True, False, None, "", str(NOW), "1e9", [NOW], {"at": NOW}),
    *(float("nan"), float("inf"), float("-inf"), 10**16, -(10**16), 10**400),
]


def objects_of(inner: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    """Makes small JSON objects of such values."""
    return st.dictionaries(st.text(max_size=5), inner, max_size=3)


def json_values() -> st.SearchStrategy[object]:
    """Makes JSON values of any shape."""
    leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | objects_of(inner),
        max_leaves=5,
    )


@st.composite
def torn_tokens(draw: st.DrawFn) -> str:
    """Makes a good token with a character changed, put in, taken out, or the end cut off."""
    where = draw(st.integers(0, len(GOOD_TOKEN) - 1))
    head, character, tail = GOOD_TOKEN[:where], GOOD_TOKEN[where], GOOD_TOKEN[where + 1 :]
    other = draw(
        st.sampled_from(BASE64URL + ".=+/ \t\u00e9\u0661").filter(lambda c: c != character)
    )
    return draw(
        st.sampled_from(
            [head + other + tail, head + other + character + tail, head + tail, head]
        ).filter(lambda torn: torn.strip(" ") != GOOD_TOKEN)
    )


def wrong_headers() -> st.SearchStrategy[str]:
    """Makes well signed tokens whose header is not `alg: HS256` and nothing critical."""
    algorithms = ["none", "None", "NONE", "HS512", "HS384", "RS256", "ES256", "hs256", "HS256 ", ""]
    named_otherwise = st.sampled_from([*algorithms, None, 256, True, ["HS256"], {"HS256": 1}])
    critical: st.SearchStrategy[object] = st.sampled_from([[], ["exp"], ["b64"], None, "exp", {}])
    bare = st.sampled_from([{}, {"typ": "JWT"}, [], "HS256", 1, None, ["alg", "HS256"]])
    return st.one_of(
        named_otherwise.map(lambda alg: {"typ": "JWT", "alg": alg}),
        critical.map(lambda names: {**HEADER, "crit": names}),
        bare,
    ).map(sign)


def wrong_claims() -> st.SearchStrategy[str]:
    """Makes well signed tokens whose claims are of a wrong type, missing, or out of their time."""
    not_times = st.sampled_from(NOT_TIMES)
    not_issuers: st.SearchStrategy[object] = st.sampled_from(
        [None, True, 1, 1.5, [SECRET_ID], {}, "", "rbs_2_" + "0" * 16]
    )
    old, ahead = st.integers(-(10**12), NOW - 301), st.integers(NOW + 61, 10**11)
    milliseconds = st.integers(NOW * 1000 - 300_000, NOW * 1000 + 300_000)
    wrong = st.one_of(
        st.tuples(st.sampled_from(["iat", "exp", "nbf"]), not_times),
        st.tuples(st.just("iss"), not_issuers),
        st.tuples(st.just("iat"), st.one_of(old, ahead, milliseconds)),
        st.tuples(st.just("nbf"), ahead),
        st.tuples(st.just("exp"), st.integers(-(10**12), NOW - 1)),
    ).map(lambda claim: {**CLAIMS, claim[0]: claim[1]})
    lacking = st.sampled_from(["iss", "iat"]).map(
        lambda name: {key: value for key, value in CLAIMS.items() if key != name}
    )
    not_claims = json_values().filter(
        lambda value: not isinstance(value, dict) or "iat" not in value
    )
    return st.one_of(wrong, lacking, not_claims).map(lambda claims: sign(claims=claims))


def wrong_texts() -> st.SearchStrategy[str]:
    """Makes well signed tokens whose parts are not plain UTF-8 JSON in plain base64url."""
    header, claims = json.dumps(HEADER), json.dumps(CLAIMS)
    twice = claims.replace("{", f'{{"iss": "{SECRET_ID}", ')
    texts = st.sampled_from(
        [
            *(claims.encode("utf-16"), claims.encode("utf-32"), b"\xef\xbb\xbf" + claims.encode()),
            *(twice.encode(), b"\xff" + claims.encode(), claims.encode() + b"}"),
            *(claims[:-1].encode(), b"", b"{}", b"[" * 1500, b'{"a":' * 1500),
            claims.encode().replace(b'"', b"'"),
        ]
    )
    spoiled = st.sampled_from(["=", "==", "+", "/", " ", "\n", "!", "\u00e9", "%3D"])
    part = base64url(claims.encode())
    return st.one_of(
        texts.map(lambda text: sign_raw(header.encode(), text)),
        texts.map(lambda text: sign_raw(text, claims.encode())),
        st.tuples(spoiled, st.integers(0, len(part))).map(
            lambda two: sign_parts(
                base64url(header.encode()), part[: two[1]] + two[0] + part[two[1] :]
            )
        ),
    )


def wrong_keys() -> st.SearchStrategy[str]:
    """Makes tokens that are right in all but the signing key."""
    near = [SECRET_KEY, SECRET_ID, f"{SECRET_ID}|{SECRET_KEY}", f"{SECRET_KEY}||{SECRET_ID}", ""]
    keys = st.one_of(st.sampled_from([text.encode() for text in near]), st.binary(max_size=64))
    return keys.filter(lambda key: key != KEY).map(lambda key: sign(key=key))


def bad_tokens() -> st.SearchStrategy[str]:
    """Makes bearer tokens that nobody may be let in with."""
    return st.one_of(torn_tokens(), wrong_headers(), wrong_claims(), wrong_texts(), wrong_keys())
