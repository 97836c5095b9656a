"""Spellings that must have the same identity, and spellings that must not.

Each row of the first two tables is a complaint of users of other systems. Numbers with two
readings are tested in `test_numbering`.
"""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reachbook.domain.address import numbering, parsing
from reachbook.domain.address.parsing import ChannelType

PHONE = ChannelType("phone")


def identity(kind: str, typed: str, info_channel: str = "") -> tuple[str, str, str]:
    """Returns the key that is unique in a team."""
    of_type = ChannelType(kind)
    return kind, parsing.scope(of_type, info_channel), parsing.parse(of_type, typed).identity


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        pytest.param("phone", "+52 1 55 1234 5678", "+52 55 1234 5678", id="Mexico 521"),
        pytest.param("whatsapp", "5215512345678", "525512345678", id="Mexico 521 on WhatsApp"),
        pytest.param("phone", "+54 9 11 2345-6789", "+54 11 2345-6789", id="Argentina 549"),
        pytest.param("phone", "+54 9 11 2345-6789", "+54 11 15 2345-6789", id="Argentina 15"),
        pytest.param("whatsapp", "5491123456789", "541123456789", id="Argentina on WhatsApp"),
        pytest.param("phone", "+55 11 98765-4321", "+55 11 8765-4321", id="Brazil's ninth digit"),
        pytest.param("phone", "5511961234567", "551161234567", id="Brazil, mobiles from 6"),
        pytest.param("whatsapp", "5511987654321", "551187654321", id="Brazil on WhatsApp"),
        pytest.param("phone", "+91 98765 43210", "919876543210", id="with and without the plus"),
        pytest.param("phone", "+44 (0)20 7946 0000", "+44 20 7946 0000", id="a trunk zero"),
        pytest.param("email", "Alice@Example.com", "alice@example.COM", id="email case"),
        pytest.param("email", "JÖRG@example.com", "jörg@example.com", id="case beyond ASCII"),
        pytest.param("email", "alice@FA\u1e9e.de", "alice@fa\u00df.de", id="capital sharp s"),
        pytest.param("email", "a@xn--fa-hia.de", "a@fa\u00df.de", id="punycode of a sharp s"),
        pytest.param("telegram", "@alice_doe", "Alice_Doe", id="a username's @ and case"),
        pytest.param("x", "alice", "@ALICE", id="a username on X"),
        pytest.param("sms", "SUPPORT", "support", id="a sender name's case"),
        pytest.param("phone", "+52 01 55 1234 5678", "525512345678", id="Mexico's trunk code"),
        pytest.param("phone", "22997123456", "2290197123456", id="Benin"),
        pytest.param("phone", "22507123456", "2250707123456", id="Ivory Coast"),
        pytest.param("facebook", " abc\u00a0", "abc", id="an id's outer white space"),
        pytest.param("email", "jo\u0308rg@example.com", "j\u00f6rg@example.com", id="NFC"),
        pytest.param("email", "a@xn--exmple-cua.de", "a@EXÄMPLE.de", id="punycode"),
    ],
)
def test_two_spellings_have_the_same_identity(kind: str, first: str, second: str) -> None:
    assert identity(kind, first) == identity(kind, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            ("phone", "+55 11 3333-4444"), ("phone", "+55 11 93333-4444"), id="Brazil's landline"
        ),
        pytest.param(
            ("phone", "551153334444"),
            ("phone", "5511953334444"),
            id="a Brazilian landline without plus",
        ),
        pytest.param(
            ("phone", "+1 415 555 1212"), ("phone", "+41 55 555 12 12"), id="country code"
        ),
        pytest.param(("phone", "15105553344"), ("phone", "15105553345"), id="the last digit"),
        pytest.param(("phone", "15105553344"), ("sms", "15105553344"), id="phone and SMS"),
        pytest.param(
            ("phone", "15105553344"), ("whatsapp", "15105553344"), id="phone and WhatsApp"
        ),
        pytest.param(("email", "a+x@gmail.com"), ("email", "a@gmail.com"), id="plus-tags"),
        pytest.param(("email", "a.b@gmail.com"), ("email", "ab@gmail.com"), id="dots"),
        pytest.param(("email", "a@gmail.com"), ("email", "a@googlemail.com"), id="provider"),
        pytest.param(("facebook", "Abc"), ("facebook", "abc"), id="an id's case"),
        pytest.param(("facebook", "a bc"), ("facebook", "abc"), id="an id's inner spaces"),
        pytest.param(("facebook", "@abc"), ("facebook", "abc"), id="an id's @"),
        pytest.param(("telegram", "@@abc"), ("telegram", "abc"), id="a second @"),
        pytest.param(("email", "a@fa\u00df.de"), ("email", "a@fass.de"), id="sharp s in a domain"),
        pytest.param(("email", "fa\u00df@a.de"), ("email", "fass@a.de"), id="sharp s"),
        pytest.param(("email", "\u03c3\u03c2@a.gr"), ("email", "\u03c3\u03c3@a.gr"), id="sigma"),
        pytest.param(
            ("email", "a@\u03c3\u03c2.gr"), ("email", "a@\u03c3\u03c3.gr"), id="sigma in a domain"
        ),
        pytest.param(("email", "ma\u017f@a.de"), ("email", "mas@a.de"), id="long s"),
        pytest.param(
            ("email", "a.b.@docomo.ne.jp"), ("email", "a.b@docomo.ne.jp"), id="a carrier's dots"
        ),
        pytest.param(("facebook", "\u00e9"), ("facebook", "e\u0301"), id="an id's code points"),
        pytest.param(("whatsapp", "US.1349"), ("whatsapp", "us.1349"), id="a BSUID's case"),
        pytest.param(("whatsapp", "5491123456789@lid"), ("whatsapp", "541123456789@lid"), id="lid"),
    ],
)
def test_two_addresses_have_different_identities(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    assert identity(*first) != identity(*second)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("+52 1 55 1234 5678", "525512345678"),
        ("5215512345678", "525512345678"),
        ("+54 9 11 2345-6789", "5491123456789"),
        ("+54 11 2345-6789", "541123456789"),
        ("+55 11 98765-4321", "5511987654321"),
        ("+55 11 8765-4321", "551187654321"),
        ("+55 11 3333-4444", "551133334444"),
    ],
)
def test_only_the_old_mexican_form_is_rewritten(typed: str, stored: str) -> None:
    assert parsing.parse(PHONE, typed).channel_id == stored


@pytest.mark.parametrize("kind", ["facebook", "line", "instagram", "sms-gateway"])
def test_an_id_is_unique_within_the_page_that_issued_it(kind: str) -> None:
    assert identity(kind, "1789004512", "page-1") != identity(kind, "1789004512", "page-2")


@pytest.mark.parametrize(
    ("kind", "typed"),
    [
        *((kind, "15105553344") for kind in ["phone", "sms", "whatsapp", "viber", "rcs"]),
        ("email", "alice@example.com"),
    ],
)
def test_numbers_and_emails_have_the_same_identity_on_every_page(kind: str, typed: str) -> None:
    assert identity(kind, typed, "page-1") == identity(kind, typed, "page-2")


def is_canonical(digits: str) -> bool:
    """Returns True if digits are a canonical E.164 number."""
    return numbering.is_possible(digits) and numbering.e164(digits) == digits


@given(st.from_regex(r"[1-9][0-9][6-9][0-9]{7}", fullmatch=True))
def test_a_brazilian_mobile_has_the_same_identity_without_its_ninth_digit(local: str) -> None:
    short, long = f"55{local}", f"55{local[:2]}9{local[2:]}"
    assume(is_canonical(short) and is_canonical(long))

    assert identity("phone", short) == identity("phone", long)


@given(st.from_regex(r"[1-9][0-9][2-5][0-9]{7}", fullmatch=True))
def test_a_brazilian_landline_has_another_identity_than_a_mobile(local: str) -> None:
    short, long = f"55{local}", f"55{local[:2]}9{local[2:]}"
    assume(is_canonical(short) and is_canonical(long))

    assert identity("phone", short) != identity("phone", long)
