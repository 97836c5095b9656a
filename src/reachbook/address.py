"""What was typed → the canonical address and its identity.

An `Address` exists only canonical: `parse` makes one or refuses with a sentence and an example.
Two spellings of one number are one identity; the database keeps one owner per identity.
Libphonenumber and email-validator judge the syntax; the rules for national variants, ambiguous
digits and what is refused before a library sees it are ours (contract section 3).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import NewType

import email_validator
import phonenumbers
from msgspec import Struct
from phonenumbers import PhoneMetadata, PhoneNumberFormat, ValidationResult

from reachbook.errors import Reason, Refusal

# The library refuses `.test`, `.local` and the like for sign-up forms. A book of addresses keeps
# what the team writes; emptying the list is the switch that the library documents.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

ChannelType = NewType("ChannelType", str)

PHONE_FAMILY = frozenset({"phone", "sms", "whatsapp", "viber", "rcs"})
ALSO_OPAQUE = frozenset({"whatsapp", "viber"})
UNSCOPED = PHONE_FAMILY | {"email"}
RESERVED_TYPE = "id"

MAX_CHARACTERS = 255
MAX_PHONE_CHARACTERS = 64
MAX_EMAIL_OCTETS = 254
MAX_EMAIL_LOCAL_OCTETS = 64

_CHANNEL_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_PHONE_CHARACTERS = re.compile(r"\+?[0-9 .()/-]*")
_NOT_DIGITS = re.compile(r"[^0-9]")
_UNSTORABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_LONG = 13  # digits of a mobile that is written in the longer of its two ways
_MEXICO_OLD_MOBILE = re.compile(r"521(\d{10})")
_ARGENTINA_MOBILE = re.compile(r"549(\d{10})")
_BRAZIL_MOBILE = re.compile(r"55(\d{2})9([6-9]\d{7})")


class Address(Struct, frozen=True):
    """A canonical address: what is stored and returned, and what makes it the same as another.

    `other_reading` holds the E.164 digits of the national reading when the digits, typed without
    `+`, are no valid international number but a valid one in the team's region. Such an address
    may be looked up, and kept where it is; it may not be added.
    """

    channel_type: ChannelType
    channel_id: str
    identity: str
    other_reading: str = ""


def channel_type(text: str) -> ChannelType:
    """A channel type as the path or body gives it, or `bad_channel_type`."""
    if _CHANNEL_TYPE.fullmatch(text) is None or text == RESERVED_TYPE:
        raise Refusal(
            Reason.BAD_CHANNEL_TYPE,
            "A channel_type is 1 to 32 of a-z, 0-9, _ and -, begins with a letter, and is not "
            f"{RESERVED_TYPE!r}, which is reserved; for example phone, email or facebook.",
            fields={"channel_type": "not a channel type"},
        )
    return ChannelType(text)


def parse(kind: ChannelType, text: str, region: str | None = None) -> Address:
    """The address that `text` spells, or a refusal that shows an example of what would be taken.

    `region` is the team's default region (ISO 3166-1 alpha-2). It never completes a number; it
    only tells when digits without `+` are ambiguous. Look-ups leave it out.
    """
    if kind == "email":
        return _email(kind, text)
    if kind in PHONE_FAMILY:
        trimmed = text.strip(" ")
        if text and _PHONE_CHARACTERS.fullmatch(trimmed):
            return _phone(kind, trimmed, region)
        if kind not in ALSO_OPAQUE:
            raise _bad_phone("it holds something other than digits, spaces and . - ( ) /")
    return _opaque(kind, text)


def scope(kind: ChannelType, info_channel: str) -> str:
    """Where an identity is unique: within its page or integration for ids that those issue."""
    return "" if kind in UNSCOPED else info_channel


def certain(address: Address) -> None:
    """Refuse to add an address that could be somebody else's number."""
    if address.other_reading:
        raise _ambiguous(address.channel_id, address.other_reading)


def storable(field: str, text: str) -> str:
    """A short text as given, unless the two stores would treat it differently or it is too long."""
    if len(text) > MAX_CHARACTERS:
        raise Refusal(
            Reason.BAD_VALUE,
            f"{field} is {len(text)} characters long; {MAX_CHARACTERS} is the most we keep.",
            fields={field: "too long"},
        )
    if _UNSTORABLE.search(text):
        raise Refusal(
            Reason.BAD_VALUE,
            f"{field} holds a control character or half of a surrogate pair; leave it out.",
            fields={field: "holds a control character"},
        )
    return text


def _opaque(kind: ChannelType, text: str) -> Address:
    if not 1 <= len(text) <= MAX_CHARACTERS:
        problem = f"is {len(text)} characters long, and 1 to {MAX_CHARACTERS} are taken"
    elif _UNSTORABLE.search(text):
        problem = "holds a control character or half of a surrogate pair"
    else:
        return Address(kind, text, text)
    raise Refusal(
        Reason.BAD_CHANNEL_ID,
        f"The channel_id for {kind} {problem}; an id looks like 1789004512.",
        fields={"channel_id": problem},
    )


# ── email ────────────────────────────────────────────────────────────────────────────────────


def _email(kind: ChannelType, text: str) -> Address:
    if len(text) > MAX_EMAIL_OCTETS:
        raise _bad_email(f"it is longer than {MAX_EMAIL_OCTETS} octets")
    if _UNSTORABLE.search(text):
        raise _bad_email("it holds a control character or half of a surrogate pair")
    try:
        checked = email_validator.validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=True,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            globally_deliverable=True,
        )
    except email_validator.EmailNotValidError as error:
        raise _bad_email(str(error).rstrip(".")) from None
    written = checked.normalized
    if max(len(text.encode()), len(written.encode())) > MAX_EMAIL_OCTETS:
        raise _bad_email(f"it is longer than {MAX_EMAIL_OCTETS} octets")
    if len(checked.local_part.encode()) > MAX_EMAIL_LOCAL_OCTETS:
        raise _bad_email(f"the part before the @ is longer than {MAX_EMAIL_LOCAL_OCTETS} octets")
    return Address(kind, written, unicodedata.normalize("NFC", written.casefold()))


def _bad_email(why: str) -> Refusal:
    return Refusal(
        Reason.BAD_EMAIL,
        f"This channel_id is not an email address: {why}. One looks like alice@example.com.",
        fields={"channel_id": "not an email address"},
    )


# ── phone ────────────────────────────────────────────────────────────────────────────────────


def _phone(kind: ChannelType, text: str, region: str | None) -> Address:
    if len(text) > MAX_PHONE_CHARACTERS:
        raise _bad_phone(f"it is longer than {MAX_PHONE_CHARACTERS} characters")
    digits = _NOT_DIGITS.sub("", text)
    if digits.startswith("00"):
        raise _bad_phone("write the country code without the leading 00")
    if region is None or text.startswith("+"):
        canonical = _e164(digits)
        return Address(kind, canonical, _phone_identity(canonical))
    other = _national_reading(digits, region)
    try:
        canonical = _e164(digits)
    except Refusal:
        if other:
            raise _ambiguous(digits, other) from None
        raise
    if other in ("", canonical) or _is_valid(canonical):
        other = ""
    return Address(kind, canonical, _phone_identity(canonical), other)


def _e164(digits: str) -> str:
    """The E.164 digits of an international number, which must be possible; it need not be valid."""
    digits = _MEXICO_OLD_MOBILE.sub(r"52\1", digits) if len(digits) == _LONG else digits
    if _is_canonical(digits):
        return digits
    canonical = _read_by_library(digits)
    if canonical != digits and _read_by_library(canonical) != canonical:
        raise _bad_phone("the digits after the country code begin like a number dialled at home")
    return canonical


def _read_by_library(digits: str) -> str:
    """What libphonenumber makes of `+digits`; it drops a trunk 0, as in +44 (0)20 7946 0000."""
    try:
        number = phonenumbers.parse("+" + digits)
    except phonenumbers.NumberParseException:
        raise _bad_phone("it does not begin with a country code that is in use") from None
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE:
        raise _bad_phone(f"no number of country code +{number.country_code} has that many digits")
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]


def _is_canonical(digits: str) -> bool:
    """Whether libphonenumber would call the digits possible and leave every one in its place.

    The same verdict as parsing and formatting, at a fraction of the price: the national part has
    a possible length and does not begin with what the country strips when one dials at home.
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


def _phone_identity(canonical: str) -> str:
    """One identity per subscriber, where a country writes its mobiles in two ways."""
    if canonical.startswith("549"):
        return _ARGENTINA_MOBILE.sub(r"54\1", canonical) if len(canonical) == _LONG else canonical
    if canonical.startswith("55") and len(canonical) == _LONG:
        return _BRAZIL_MOBILE.sub(r"55\1\2", canonical)
    return canonical


def _is_valid(digits: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse("+" + digits))


def _national_reading(digits: str, region: str) -> str:
    """The E.164 digits of a number dialled at home in `region`, or the empty text if not valid."""
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_valid_number(number):
        return ""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)[1:]


def _ambiguous(abroad: str, at_home: str) -> Refusal:
    return Refusal(
        Reason.AMBIGUOUS,
        f"These digits can be read as +{abroad} or as +{at_home}; write the number with its "
        f"country code and a leading +, for example +{at_home}.",
        fields={"channel_id": "ambiguous without a leading +"},
        facts={"readings": [f"+{abroad}", f"+{at_home}"]},
    )


def _bad_phone(why: str) -> Refusal:
    return Refusal(
        Reason.BAD_PHONE,
        f"This channel_id is not an international phone number: {why}. "
        "One looks like 15105553344 or +1 510-555-3344.",
        fields={"channel_id": "not an international phone number"},
    )
