"""Phone numbers as digits: comparison with libphonenumber, and parsing in a region."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from phonenumbers import (
    CountryCodeSource,
    Leniency,
    PhoneNumber,
    PhoneNumberFormat,
    PhoneNumberMatcher,
    ValidationResult,
)

from reachbook.domain.address import numbering, parsing
from reachbook.domain.address.numbering import Number
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.errors import Reason, Refusal
from tests.support import strategies

KINDS = ["phone", "sms", "whatsapp", "viber", "rcs"]
# Countries without a trunk prefix, or that do not need it: their numbers look like E.164 digits.
UNPREFIXED = ["US", "IT", "CN", "BR", "MX", "ES", "SG", "DK", "CI", "BJ", "RU"]


def canonical_by_library(digits: str) -> str:
    """Returns `+digits` as libphonenumber formats it, or "" if it is not possible."""
    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        return ""
    return e164(number)


def e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]


def national(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)


def parse(kind: str, typed: str, region: str | None) -> parsing.Address:
    return parsing.parse(ChannelType(kind), typed, region)


def parse_new(typed: str, region: str | None) -> parsing.Address | Refusal:
    """Returns the address of a phone that a team with this default region adds, or the refusal."""
    try:
        found = parse("phone", typed, region)
        parsing.require_unambiguous(found)
    except Refusal as refusal:
        return refusal
    return found


# ── E.164 ────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=1000)
@given(strategies.international_digits() | strategies.example_numbers() | strategies.digits(1, 18))
def test_the_fast_path_agrees_with_libphonenumber(digits: str) -> None:
    if numbering._is_canonical(digits):
        assert canonical_by_library(digits) == digits


@settings(max_examples=300)
@given(strategies.example_numbers())
def test_examples_of_libphonenumber_are_accepted_unchanged(number: str) -> None:
    assume(numbering.renumbered(number) == number)

    assert numbering.e164(number) == number


@settings(max_examples=500)
@given(strategies.international_digits())
def test_a_number_is_accepted_if_libphonenumber_calls_it_possible(digits: str) -> None:
    """The reverse holds too, except for renumbered countries and digits that change again."""
    assume(numbering.renumbered(digits) == digits)
    read = canonical_by_library(digits)
    stable = bool(read) and canonical_by_library(read) == read

    assert numbering.is_possible(digits) == stable
    if stable:
        assert numbering.e164(digits) == read


@given(st.from_regex(r"(?:229|225|52(?:1|01|044|045)?)[0-9]{8,10}", fullmatch=True))
def test_renumbering_twice_changes_nothing(digits: str) -> None:
    once = numbering.renumbered(digits)

    assert numbering.renumbered(once) == once


# ── numbers with two readings ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("typed", "region", "readings"),
    [
        ("(646) 555-0123", "US", ["+6465550123", "+16465550123"]),
        ("(51) 98765-4321", "BR", ["+51987654321", "+5551987654321"]),
        ("8 (495) 123-45-67", "RU", ["+84951234567", "+74951234567"]),
        ("136 1234 5678", "CN", ["+13612345678", "+8613612345678"]),
        ("659 223 4567", "US", ["+6592234567", "+16592234567"]),
    ],
)
def test_the_error_for_two_valid_readings_has_both(
    kind: str, typed: str, region: str, readings: list[str]
) -> None:
    found = parse(kind, typed, region)

    with pytest.raises(Refusal) as caught:
        parsing.require_unambiguous(found)

    refusal = caught.value
    assert refusal.reason is Reason.AMBIGUOUS
    assert refusal.facts == {"readings": readings}
    assert all(reading in refusal.message for reading in readings)
    assert list(refusal.fields) == ["channel_id"]


@pytest.mark.parametrize(
    ("digits", "region", "read"),
    [
        ("5105553344", "US", Number("15105553344", "5105553344")),
        ("4155551212", "US", Number("14155551212")),
        ("2025550123", "US", Number("12025550123", "2025550123")),
        ("15550100123", "DE", Number("4915550100123", "15550100123")),
        ("02079460018", "GB", Number("442079460018")),
        ("5511987654321", "BR", Number("5511987654321")),
        ("551187654321", "BR", Number("551187654321")),
        ("541123456789", "AR", Number("541123456789")),
        ("5215512345678", "MX", Number("525512345678")),
        ("15550100123", "US", Number("15550100123")),
        ("15105553344", "DE", Number("15105553344")),
        ("6465550123", None, Number("6465550123")),
    ],
)
def test_a_reading_is_chosen_and_the_other_returned_for_lookups(
    digits: str, region: str | None, read: Number
) -> None:
    assert numbering.read(digits, region) == read


@settings(max_examples=300)
@given(st.sampled_from(strategies.REGIONS), st.data())
def test_a_national_number_is_never_parsed_as_a_number_of_another_country(
    region: str, data: st.DataObject
) -> None:
    """Tests more numbers of regions without a trunk prefix: they look like E.164 digits."""
    region = data.draw(st.sampled_from([region, *UNPREFIXED]))
    number = data.draw(strategies.valid_numbers(region))
    typed = national(number)
    if data.draw(st.booleans()):
        typed = re.sub(r"\D", "", typed)

    found = parse_new(typed, region)

    if isinstance(found, Refusal):
        assert found.reason is Reason.AMBIGUOUS
        assert f"+{e164(number)}" in found.message
    else:
        assert found.identity == numbering.identity(e164(number))


@settings(max_examples=300)
@given(st.sampled_from(strategies.REGIONS).flatmap(strategies.valid_numbers))
def test_a_german_team_can_add_all_e164_digits(number: PhoneNumber) -> None:
    """German numbers have a trunk prefix, so E.164 digits of any country keep their meaning."""
    found = parse_new(e164(number), "DE")

    assert isinstance(found, parsing.Address)
    assert found.identity == numbering.identity(e164(number))


@settings(max_examples=300)
@given(st.sampled_from(strategies.REGIONS), st.data())
def test_a_team_can_add_e164_digits_of_its_country(region: str, data: st.DataObject) -> None:
    number = data.draw(strategies.valid_numbers(region))

    found = parse_new(e164(number), region)

    assert isinstance(found, parsing.Address)
    assert found.identity == numbering.identity(e164(number))


@settings(max_examples=300)
@given(strategies.international_digits() | strategies.example_numbers(), st.data())
def test_a_number_with_a_plus_is_not_ambiguous(digits: str, data: st.DataObject) -> None:
    plus = data.draw(st.sampled_from(["+", "00", "(+"]))
    region = data.draw(st.sampled_from(strategies.REGIONS))
    without_region, with_region = parse_new(plus + digits, None), parse_new(plus + digits, region)

    if isinstance(without_region, Refusal):
        assert isinstance(with_region, Refusal)
        assert with_region.reason is without_region.reason
    else:
        assert with_region == without_region


@settings(max_examples=200)
@given(st.sampled_from([*strategies.REGIONS, *UNPREFIXED * 10]), st.data())
def test_is_typed_nationally_agrees_with_the_phone_number_matcher(
    region: str, data: st.DataObject
) -> None:
    number = data.draw(strategies.valid_numbers(region))
    forms = [
        re.sub(r"\D", "", national(number)),
        phonenumbers.national_significant_number(number),
        data.draw(strategies.digits(4, 14)),
    ]
    digits = data.draw(st.sampled_from(forms))
    try:
        read = phonenumbers.parse(digits, region, keep_raw_input=True)
    except phonenumbers.NumberParseException:
        read = PhoneNumber()
    assume(read.country_code_source == CountryCodeSource.FROM_DEFAULT_COUNTRY)
    matches = PhoneNumberMatcher(digits, region, leniency=Leniency.VALID)

    assert numbering.is_typed_nationally(digits, region) == any(
        match.raw_string == digits for match in matches
    )


@settings(max_examples=200)
@given(st.sampled_from([*strategies.REGIONS, *UNPREFIXED * 10]), st.data())
def test_the_shortcut_does_not_skip_national_numbers(region: str, data: st.DataObject) -> None:
    number = data.draw(strategies.valid_numbers(region))
    digits = data.draw(
        st.sampled_from([re.sub(r"\D", "", national(number)), e164(number)])
        | strategies.international_digits()
    )
    assume(not numbering._may_be_national(digits, region))

    assert numbering.national_reading(digits, region) in ("", canonical_by_library(digits))
