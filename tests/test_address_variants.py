"""What goes wrong elsewhere: one person under two spellings, two people under one.

Each row of the first two tables is a complaint of users of other systems. The rest is where the
national rules meet libphonenumber, and digits that can be read in two ways.
"""

from __future__ import annotations

import phonenumbers
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, ValidationResult

import strategies
from reachbook import address
from reachbook.address import ChannelType
from reachbook.errors import Reason, Refusal

PHONE = ChannelType("phone")


def identity(kind: str, typed: str, info_channel: str = "") -> tuple[str, str, str]:
    """What is unique in a team."""
    of_type = ChannelType(kind)
    return kind, address.scope(of_type, info_channel), address.parse(of_type, typed).identity


@pytest.mark.parametrize(
    ("kind", "one", "other"),
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
        pytest.param("email", "STRASSE@example.com", "straße@example.com", id="casefolded"),
        pytest.param("email", "jo\u0308rg@example.com", "j\u00f6rg@example.com", id="NFC"),
        pytest.param("email", "a@xn--exmple-cua.de", "a@EXÄMPLE.de", id="punycode"),
    ],
)
def test_two_spellings_are_one_identity(kind: str, one: str, other: str) -> None:
    assert identity(kind, one) == identity(kind, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            ("phone", "+55 11 3333-4444"), ("phone", "+55 11 93333-4444"), id="Brazil's landline"
        ),
        pytest.param(("phone", "551153334444"), ("phone", "5511953334444"), id="a landline too"),
        pytest.param(
            ("phone", "+1 415 555 1212"), ("phone", "+41 55 555 12 12"), id="country code"
        ),
        pytest.param(("phone", "15105553344"), ("phone", "15105553345"), id="the last digit"),
        pytest.param(("phone", "15105553344"), ("sms", "15105553344"), id="one type each"),
        pytest.param(("phone", "15105553344"), ("whatsapp", "15105553344"), id="WhatsApp apart"),
        pytest.param(("email", "a+x@gmail.com"), ("email", "a@gmail.com"), id="plus-tags"),
        pytest.param(("email", "a.b@gmail.com"), ("email", "ab@gmail.com"), id="dots"),
        pytest.param(("email", "a@gmail.com"), ("email", "a@googlemail.com"), id="provider"),
        pytest.param(("facebook", "Abc"), ("facebook", "abc"), id="an id's case"),
        pytest.param(("facebook", "abc"), ("facebook", "abc "), id="an id's spaces"),
        pytest.param(("facebook", "\u00e9"), ("facebook", "e\u0301"), id="an id's code points"),
        pytest.param(("whatsapp", "US.1349"), ("whatsapp", "us.1349"), id="a BSUID's case"),
        pytest.param(("whatsapp", "5491123456789@lid"), ("whatsapp", "541123456789@lid"), id="lid"),
    ],
)
def test_two_addresses_are_two_identities(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert identity(*one) != identity(*other)


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
    assert address.parse(PHONE, typed).channel_id == stored


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
def test_a_number_or_an_email_is_the_same_whatever_integration_it_came_through(
    kind: str, typed: str
) -> None:
    assert identity(kind, typed, "page-1") == identity(kind, typed, "page-2")


# ── where the national rules meet libphonenumber ─────────────────────────────────────────────


def by_library(digits: str) -> str:
    """What libphonenumber makes of `+digits`, or the empty text when that is not possible."""
    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return ""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]


@settings(max_examples=1000)
@given(strategies.international_digits() | strategies.example_numbers() | strategies.digits(1, 18))
def test_the_fast_path_gives_the_verdict_of_libphonenumber(digits: str) -> None:
    if address._is_canonical(digits):
        assert by_library(digits) == digits


@settings(max_examples=300)
@given(strategies.example_numbers())
def test_libphonenumbers_own_examples_are_taken_as_they_stand(number: str) -> None:
    assert address.parse(PHONE, number).channel_id == number


@settings(max_examples=500)
@given(strategies.international_digits())
def test_what_libphonenumber_calls_possible_is_taken_and_nothing_else(digits: str) -> None:
    """But for Mexico's old mobiles, and for what keeps changing each time it is read."""
    assume(not (digits.startswith("521") and len(digits) == 13))
    read = by_library(digits)
    stable = bool(read) and by_library(read) == read
    taken = attempt(digits, None)

    assert isinstance(taken, Refusal) != stable
    if isinstance(taken, address.Address):
        assert taken.channel_id == read


@given(st.from_regex(r"[1-9][0-9][6-9][0-9]{7}", fullmatch=True))
def test_a_brazilian_mobile_is_one_identity_with_and_without_its_ninth_digit(local: str) -> None:
    short, long = f"55{local}", f"55{local[:2]}9{local[2:]}"
    assume(by_library(short) == short and by_library(long) == long)

    assert identity("phone", short) == identity("phone", long)


@given(st.from_regex(r"[1-9][0-9][2-5][0-9]{7}", fullmatch=True))
def test_a_brazilian_landline_is_never_a_mobile(local: str) -> None:
    short, long = f"55{local}", f"55{local[:2]}9{local[2:]}"
    assume(by_library(short) == short and by_library(long) == long)

    assert identity("phone", short) != identity("phone", long)


# ── digits that can be read in two ways ──────────────────────────────────────────────────────


def adding(typed: str, region: str | None, kind: str = "phone") -> address.Address:
    """The address as a team with that default region may add it."""
    found = address.parse(ChannelType(kind), typed, region)
    address.certain(found)
    return found


def attempt(typed: str, region: str | None) -> address.Address | Refusal:
    try:
        return adding(typed, region)
    except Refusal as no:
        return no


@pytest.mark.parametrize("kind", ["phone", "sms", "whatsapp", "viber", "rcs"])
@pytest.mark.parametrize(
    ("typed", "region", "readings"),
    [
        ("5105553344", "US", ["+5105553344", "+15105553344"]),
        ("(510) 555-3344", "US", ["+5105553344", "+15105553344"]),
        ("4155551212", "US", ["+4155551212", "+14155551212"]),
        ("2079460018", "GB", ["+2079460018", "+442079460018"]),
        ("11987654321", "BR", ["+11987654321", "+5511987654321"]),
        ("5512345678", "MX", ["+5512345678", "+525512345678"]),
        ("612345678", "NL", ["+612345678", "+31612345678"]),
    ],
)
def test_digits_of_a_national_number_are_ambiguous(
    kind: str, typed: str, region: str, readings: list[str]
) -> None:
    with pytest.raises(Refusal) as caught:
        adding(typed, region, kind)

    no = caught.value
    assert no.reason is Reason.AMBIGUOUS
    assert no.facts == {"readings": readings}
    assert all(reading in no.message for reading in readings)
    assert list(no.fields) == ["channel_id"]


@pytest.mark.parametrize("region", [None, "GB", "US"])
def test_a_leading_00_is_told_apart_from_doubt(region: str | None) -> None:
    no = attempt("00442079460018", region)

    assert isinstance(no, Refusal)
    assert no.reason is Reason.BAD_PHONE
    assert "without the leading 00" in no.message


@pytest.mark.parametrize(
    ("typed", "region"),
    [
        ("+5105553344", "US"),
        ("15105553344", "US"),
        ("14155551212", "US"),
        ("442079460018", "US"),
        ("5511987654321", "BR"),
        ("551187654321", "BR"),
        ("5491123456789", "AR"),
        ("541123456789", "AR"),
        ("5215512345678", "MX"),
        ("525512345678", "MX"),
        ("15550100123", "US"),
        ("6592234567", "US"),
        ("5105553344", None),
    ],
)
def test_an_international_number_is_never_ambiguous(typed: str, region: str | None) -> None:
    """Nor one that a neighbour could dial as his own: 6592234567 is valid in Singapore first."""
    assert adding(typed, region) == address.parse(PHONE, typed)


@settings(max_examples=300)
@given(strategies.international_digits() | strategies.example_numbers())
def test_a_leading_plus_leaves_no_doubt(digits: str) -> None:
    looked_up = attempt("+" + digits, None)

    for region in ("US", "BR", "GB", "CH"):
        added = attempt("+" + digits, region)
        if isinstance(looked_up, Refusal):
            assert isinstance(added, Refusal)
            assert added.reason is looked_up.reason
        else:
            assert added == looked_up


@settings(max_examples=300)
@given(strategies.international_digits(), st.sampled_from(["US", "BR", "MX", "AR", "GB", "NL"]))
def test_a_default_region_adds_one_refusal_and_completes_nothing(digits: str, region: str) -> None:
    """What a look-up takes, a team with a region takes as the same address or calls ambiguous."""
    looked_up, added = attempt(digits, None), attempt(digits, region)

    if isinstance(added, address.Address):
        assert added == looked_up
    elif isinstance(looked_up, Refusal):
        assert added.reason in (Reason.BAD_PHONE, Reason.AMBIGUOUS)
    else:
        assert added.reason is Reason.AMBIGUOUS
        assert not phonenumbers.is_valid_number(phonenumbers.parse("+" + looked_up.channel_id))
