"""Phone numbers as digits: E.164, renumbered countries, and how a region reads a national number.

Libphonenumber knows the numbering plans. The rules for countries that were renumbered, or that
write their mobiles in two ways, are ours: the library has none of them (contract section 3).
"""

from __future__ import annotations

import re
from functools import cache

import phonenumbers
from msgspec import Struct
from phonenumbers import (
    CountryCodeSource,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberFormat,
    ValidationResult,
)

# The public PhoneNumberMatcher uses this function, and takes five times as long itself. A test
# compares the two, and fails for a release of the library in which they differ.
from phonenumbers.phonenumbermatcher import _is_national_prefix_present_if_required

from reachbook.domain.errors import Reason, Refusal

_LONG = 13  # digits of an Argentine or Brazilian mobile in the longer of its two spellings
_ARGENTINA_MOBILE = re.compile(r"549(\d{10})")
_BRAZIL_MOBILE = re.compile(r"55(\d{2})9([6-9]\d{7})")

RENUMBERED = {"Mexico": "52", "Benin": "229", "Ivory Coast": "225"}

_MEXICO_TRUNK_CODE = re.compile(r"52(?:1|01|044|045)(\d{10})")
_OLD_BENIN = re.compile(r"229(\d{8})")
_OLD_IVORY_COAST = re.compile(r"225(\d{8})")

# Ivory Coast put two digits for the operator in front of every number on 31 January 2021 (ARTCI;
# ITU Operational Bulletin). Mobiles: the second of the old digits tells the operator. Landlines,
# whose old numbers begin with 2 or 3: the third does, 0 for MTN and 8 for Moov, else Orange.
# Numbers that begin with 1, 80 or 90 are special services, which were not renumbered.
_IVORY_COAST_MOBILES = {**dict.fromkeys("0123", "01"), **dict.fromkeys("456", "05")}
_IVORY_COAST_MOBILES |= dict.fromkeys("789", "07")
_IVORY_COAST_LANDLINES = {"0": "25", "8": "21"}
_IVORY_COAST_SPECIAL = ("00", "1", "80", "90")


class Number(Struct, frozen=True):
    """The E.164 digits that a text was read as.

    `other` holds the digits of the other reading if the text can be read in two ways. If
    `is_ambiguous`, both are valid numbers and nothing tells which is meant: `digits` is then the
    international reading.
    """

    digits: str
    other: str = ""
    is_ambiguous: bool = False


def read(digits: str, region: str | None) -> Number:
    """Returns the number of digits that were typed without a leading + or 00.

    Without a region the digits are E.164. With a region they are also read as a national number.
    That reading counts only if it is typed as that country writes its numbers, or if the
    international reading is not valid. So E.164 digits keep their meaning in every team.

    Raises `bad_phone` if neither reading is possible.
    """
    if region is None or not _may_be_national(digits, region):
        return Number(e164(digits))
    try:
        international = e164(digits)
    except Refusal:
        national = national_reading(digits, region)
        if not national:
            raise
        return Number(national)
    if is_valid(international):
        national = _national_as_written(digits, region)
        if not national or identity(national) == identity(international):
            return Number(international)
        return Number(international, national, is_ambiguous=True)
    national = national_reading(digits, region)
    if not national or identity(national) == identity(international):
        return Number(international)
    return Number(national, international)


def e164(digits: str) -> str:
    """Returns the E.164 digits of an international number.

    The number must be possible, but need not be valid. Raises `bad_phone` if it is not possible.
    """
    digits = renumbered(digits)
    if _is_canonical(digits):
        return digits
    canonical = _read_by_library(digits)
    # A result that the library reads differently would change its identity at the next PUT.
    if canonical != digits and _read_by_library(canonical) != canonical:
        raise bad_phone("the digits after the country code begin like a number dialled at home")
    return canonical


def renumbered(digits: str) -> str:
    """Returns international digits as their country writes them now.

    Mexico: without a trunk code and without the 1 of old mobiles. Benin and Ivory Coast: with the
    two digits that the plans of 2024 and 2021 put in front. All other digits are returned as
    they are.
    """
    if digits.startswith("52"):
        match = _MEXICO_TRUNK_CODE.fullmatch(digits)
        return f"52{match[1]}" if match else digits
    if digits.startswith("22") and len(digits) == len("229") + 8:
        if match := _OLD_BENIN.fullmatch(digits):
            return f"22901{match[1]}"
        if match := _OLD_IVORY_COAST.fullmatch(digits):
            return f"225{_ivory_coast_prefix(match[1])}{match[1]}"
    return digits


def identity(canonical: str) -> str:
    """Returns the identity of E.164 digits: one per subscriber.

    Argentina writes a mobile with and without the 9 after 54, Brazil with and without the ninth
    digit. A Brazilian landline, whose eight digits begin 2 to 5, is never a mobile.
    """
    if canonical.startswith("549"):
        return _ARGENTINA_MOBILE.sub(r"54\1", canonical) if len(canonical) == _LONG else canonical
    if canonical.startswith("55") and len(canonical) == _LONG:
        return _BRAZIL_MOBILE.sub(r"55\1\2", canonical)
    return canonical


def is_possible(digits: str, region: str | None = None) -> bool:
    """Returns whether digits are a possible international number, or a valid one of the region."""
    try:
        read(digits, region)
    except Refusal:
        return False
    return True


def is_valid(canonical: str) -> bool:
    """Returns whether E.164 digits are a valid number of their country."""
    return phonenumbers.is_valid_number(phonenumbers.parse(f"+{canonical}"))


def national_reading(digits: str, region: str) -> str:
    """Returns the E.164 digits of a number dialled in `region`, or "" if it is not valid there."""
    for text in (digits, _renumbered_in(digits, region)):
        number = _parsed(text, region)
        if number is not None and phonenumbers.is_valid_number(number):
            return _digits_of(number)
    return ""


def is_of(canonical: str, region: str) -> bool:
    """Returns whether E.164 digits have the country code of a region."""
    return canonical.startswith(_region_plan(region)[0])


def regions() -> list[tuple[str, int]]:
    """Returns the regions that a team can have, with their country codes, in order."""
    return [
        (region, phonenumbers.country_code_for_region(region))
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    ]


def is_typed_nationally(digits: str, region: str) -> bool:
    """Returns whether digits are a valid number, typed as the region writes its numbers."""
    return _national_as_written(digits, region) != ""


def bad_phone(why: str) -> Refusal:
    """Returns the refusal of a text that is not a phone number."""
    return Refusal(
        Reason.BAD_PHONE,
        f"This channel_id is not an international phone number: {why}. "
        "Send one like 15105553344 or +1 510-555-3344.",
        fields={"channel_id": "not an international phone number"},
    )


def _ivory_coast_prefix(old: str) -> str:
    """Returns the prefix of eight old digits, "" if they were not renumbered."""
    if old.startswith(_IVORY_COAST_SPECIAL):
        return ""
    if old[0] in "23":
        return _IVORY_COAST_LANDLINES.get(old[2], "27")
    return _IVORY_COAST_MOBILES[old[1]]


def _national_as_written(digits: str, region: str) -> str:
    """Returns the E.164 digits of a number that is typed as `region` writes its numbers, or "".

    The number must be valid, and have its trunk prefix unless the country has none or marks it as
    optional. Digits that begin with the country code or with the region's international prefix
    are not a national number.
    """
    number = _parsed(digits, region, keep_raw_input=True)
    if number is None or number.country_code_source != CountryCodeSource.FROM_DEFAULT_COUNTRY:
        return ""
    if not phonenumbers.is_valid_number(number):
        return ""
    return _digits_of(number) if _is_national_prefix_present_if_required(number) else ""


def _may_be_national(digits: str, region: str) -> bool:
    """Returns False only if digits have no national reading that differs from the international.

    Most digits that are sent are E.164, and do not fit their region's plan. This test avoids
    the validation of two numbers, which costs fifty times as much.
    """
    code, lengths, trunk, abroad = _region_plan(region)
    if len(digits) in lengths or abroad.match(digits):
        return True
    prefix = trunk.match(digits) if trunk else None
    # In North America the trunk prefix is the country code: both readings are one number.
    if prefix and prefix[0] not in ("", code):
        return True
    return renumbered(code + digits) != code + digits


@cache
def _region_plan(
    region: str,
) -> tuple[str, frozenset[int], re.Pattern[str] | None, re.Pattern[str]]:
    """Returns a region's country code, national lengths, trunk and international prefix."""
    plan = PhoneMetadata.metadata_for_region(region)
    if plan is None or plan.general_desc is None:
        raise LookupError(f"libphonenumber does not know the region {region!r}")
    trunk = plan.national_prefix_for_parsing
    return (
        str(plan.country_code),
        frozenset(plan.general_desc.possible_length),
        re.compile(trunk) if trunk else None,
        re.compile(plan.international_prefix or "00"),
    )


def _renumbered_in(digits: str, region: str) -> str:
    """Returns the digits of a national number as they are since its country was renumbered."""
    code = str(phonenumbers.country_code_for_region(region))
    today = renumbered(code + digits)
    return digits if today == code + digits else f"+{today}"


def _parsed(text: str, region: str, *, keep_raw_input: bool = False) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(text, region, keep_raw_input=keep_raw_input)
    except phonenumbers.NumberParseException:
        return None


def _digits_of(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]


def _read_by_library(digits: str) -> str:
    """Returns the E.164 digits of `+digits` by libphonenumber.

    The library drops a trunk 0, as in +44 (0)20 7946 0000.
    """
    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            raise bad_phone("it does not begin with a country code that is in use") from None
        raise bad_phone(f"no number has {len(digits)} digits") from None
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        raise bad_phone(f"no number of country code +{number.country_code} has that many digits")
    return _digits_of(number)


def _is_canonical(digits: str) -> bool:
    """Returns whether libphonenumber finds the digits possible, and would not change them.

    The result is that of parsing and formatting, in a fraction of the time: the national part must
    have a possible length, and must not begin with a prefix that the country's plan removes.
    """
    for size in (1, 2, 3):
        plan = _numbering_plan(digits[:size])
        if plan:
            lengths, stripped = plan
            national = digits[size:]
            return len(national) in lengths and not (stripped and stripped.match(national))
    return False


@cache
def _numbering_plan(code: str) -> tuple[frozenset[int], re.Pattern[str] | None] | None:
    if code.startswith("0") or not code:
        return None
    region = phonenumbers.region_code_for_country_code(int(code))
    plan = PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    if plan is None or plan.general_desc is None:
        return None
    prefix = plan.national_prefix_for_parsing
    return frozenset(plan.general_desc.possible_length), re.compile(prefix) if prefix else None
