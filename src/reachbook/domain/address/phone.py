"""The phone family: numbers as people and programs write them, short codes, opaque ids.

Every type of the family is cleaned in the same way first. A text that then still looks like a
number with other text beside it is refused. Stored as an opaque id, it would belong to another
contact than the number.
"""

from __future__ import annotations

import re

from msgspec import Struct

from reachbook.domain.address import numbering
from reachbook.domain.address.numbering import Number, bad_phone
from reachbook.domain.address.text import character_name, cleaned_phone, stripped, unstorable
from reachbook.domain.errors import Reason, Refusal

PHONE_FAMILY = frozenset({"phone", "sms", "whatsapp", "viber", "rcs"})
MESSENGERS = frozenset({"whatsapp", "viber"})
TEXT_MESSAGES = frozenset({"sms", "rcs"})

MAX_CHARACTERS = 64
MAX_RAW_CHARACTERS = 1000
MAX_OPAQUE_CHARACTERS = 255
LEAST_DIGITS = 7  # of a number with other text beside it

_LINK = re.compile(r"(?:https?://)?(?:www\.)?wa\.me/", re.IGNORECASE)
_SCHEME = re.compile(r"(?:tel|sms|whatsapp):(?!//)", re.IGNORECASE)
_JID = re.compile(r"(?::[0-9]{1,5})?@(?:s\.whatsapp\.net|c\.us)", re.IGNORECASE)

_NUMBER = re.compile(r"[ (]*\+?[0-9 .()/-]*")
_E164_DIGITS = re.compile(r"[1-9][0-9]{8,14}")
_NOT_DIGITS = re.compile(r"[^0-9]")
_SHORT_CODE = re.compile(r"[0-9]{3,8}")
_SENDER_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 &._-]{1,11}")

_SPREADSHEET = re.compile(r"\+?[0-9]+[.,]0+|\+?[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]{1,3}")
_SECOND_NUMBER = re.compile(r"[/,;+](?=.*[0-9])")
_EXTENSION = re.compile(r"\W*(?:ext\w*|x|#)\W*[0-9]{1,7}", re.IGNORECASE)
_DEVICE_OF_OPAQUE_ID = re.compile(r"(?::[0-9]{1,5})?@\S+")
_INNER_NUMBER = re.compile(r"(?<![\w@=/])[0-9][0-9 .()/-]{5,}[0-9]")
_BUSINESS_SCOPED_ID = re.compile(r"[A-Z]{2}\.\w+")  # WhatsApp's user id: country, dot, id
_NOT_IN_NUMBER = re.compile(r"[^0-9 .()/-]")
_NOT_IN_SENDER_NAME = re.compile(r"[^A-Za-z0-9 &._-]")


class Phone(Struct, frozen=True):
    """How an address of the phone family is stored, and its identity.

    `other_reading` and `is_ambiguous` are those of `Number`.
    """

    channel_id: str
    identity: str
    other_reading: str = ""
    is_ambiguous: bool = False


class Typed(Struct, frozen=True):
    """A text of the phone family after cleaning.

    `prefix` and `suffix` were removed. `is_international` is true if they mean a number with its
    country code.
    """

    text: str
    prefix: str = ""
    suffix: str = ""
    is_international: bool = False


def read(kind: str, text: str, region: str | None) -> Phone:
    """Returns the address that a text of a type of the phone family spells.

    Raises `bad_phone`, or `bad_channel_id` for an opaque id that cannot be stored.
    """
    if _E164_DIGITS.fullmatch(text):  # the form of most numbers; the steps below do not change it
        return _phone(numbering.read(text, None if kind in MESSENGERS else region))
    # The patterns below take time in proportion to the length, so it is bounded before them.
    if len(text) > MAX_RAW_CHARACTERS:
        raise bad_phone(f"it is longer than {MAX_CHARACTERS} characters")
    typed = without_affixes(cleaned_phone(text))
    if _NUMBER.fullmatch(typed.text):
        return _number(kind, typed, region)
    return _no_number(kind, typed, region)


def without_affixes(cleaned: str) -> Typed:
    """Returns a cleaned text without `tel:`, `https://wa.me/`, `@s.whatsapp.net` and the like.

    A suffix is removed only from a number: the text before it may be an id that is no number.
    """
    if _NUMBER.fullmatch(cleaned):
        return Typed(cleaned)
    is_link = _LINK.match(cleaned)
    match = is_link or _SCHEME.match(cleaned)
    prefix = match[0] if match else ""
    text = stripped(cleaned[len(prefix) :])
    jid = _JID.search(text)
    if jid and jid.end() == len(text) and _NUMBER.fullmatch(text[: jid.start()]):
        return Typed(stripped(text[: jid.start()]), prefix, jid[0], is_international=True)
    return Typed(text, prefix, is_international=is_link is not None)


def has_affixes(text: str) -> bool:
    """Returns whether a text is a number with `tel:`, `@s.whatsapp.net` or the like around it."""
    if len(text) > MAX_RAW_CHARACTERS:
        return False
    typed = without_affixes(cleaned_phone(text))
    return bool(typed.prefix or typed.suffix) and _NUMBER.fullmatch(typed.text) is not None


def is_number(kind: str, identity: str) -> bool:
    """Returns whether an address is a phone number, which other types of the family may have."""
    return kind in PHONE_FAMILY and identity.isdecimal() and numbering.is_possible(identity)


def national_digits(kind: str, typed: Typed) -> str:
    """Returns the digits of a text that its team's region may read as a national number, or ""."""
    digits = _NOT_DIGITS.sub("", typed.text)
    if typed.is_international or "+" in typed.text or digits.startswith("00"):
        return ""
    if kind in MESSENGERS and typed.text == digits:
        return ""
    return digits


# ── numbers ──────────────────────────────────────────────────────────────────────────────────


def _number(kind: str, typed: Typed, region: str | None) -> Phone:
    text = typed.text
    digits = _NOT_DIGITS.sub("", text)
    if text != digits:
        _reject_malformed(text, digits, region)
    elif kind in TEXT_MESSAGES and _is_short_code(typed, region):
        return Phone(digits, digits)
    if not digits:
        raise bad_phone("it has no digits" if text else "it is empty")
    # A text with a country code has one reading in every team.
    if region is not None and not national_digits(kind, typed):
        region = None
    if digits.startswith("00") and "+" not in text:
        digits = digits[2:]
    try:
        return _phone(numbering.read(digits, region))
    # A slash separates digits in Germany, and two numbers elsewhere: "030/1234" is one number.
    except Refusal:
        if "/" in text and _is_possible(text.partition("/")[0], region):
            raise _two_numbers() from None
        raise


def _phone(found: Number) -> Phone:
    return Phone(found.digits, numbering.identity(found.digits), found.other, found.is_ambiguous)


def _reject_malformed(text: str, digits: str, region: str | None) -> None:
    """Raises if a text of digits and separators is too long, a decimal fraction or two numbers."""
    if len(text) > MAX_CHARACTERS:
        raise bad_phone(f"it is longer than {MAX_CHARACTERS} characters")
    _reject_spreadsheet(text)
    if "/" in text and digits:
        _reject_two_numbers(text, region)


def _is_short_code(typed: Typed, region: str | None) -> bool:
    """Returns whether digits alone are a short code: 3 to 8 digits that are no possible number.

    With a region they are a number only if they are typed as that country writes its numbers. In
    Germany, which needs the trunk prefix, 5 digits that would be valid after it are a short code.
    """
    digits = typed.text
    if _SHORT_CODE.fullmatch(digits) is None or digits.startswith("00"):
        return False
    if typed.is_international or numbering.is_possible(digits):
        return False
    return region is None or not numbering.is_typed_nationally(digits, region)


# ── not a number ─────────────────────────────────────────────────────────────────────────────


def _no_number(kind: str, typed: Typed, region: str | None) -> Phone:
    text = typed.text
    forbidden = unstorable(text)
    # A text with a letter is likely to be an id of the provider, so the error is about such an id.
    if forbidden and kind in MESSENGERS and _has_letter(text):
        raise _bad_opaque(kind, f"it holds {forbidden}")
    if forbidden:
        raise bad_phone(f"it holds {forbidden}")
    _reject_spreadsheet(text)
    _reject_two_numbers(text, region)
    _reject_extension(text, region)
    if kind in TEXT_MESSAGES and _SENDER_NAME.fullmatch(text):
        return Phone(text, text.lower())
    if kind in MESSENGERS and (_has_letter(text) or "@" in text):
        return _opaque(kind, typed, region)
    raise bad_phone(_stray_character(kind, text))


def _opaque(kind: str, typed: Typed, region: str | None) -> Phone:
    """Returns the id that a provider gave; raises if it is a number with other text beside it."""
    text = typed.text
    if not text.strip("@"):
        raise bad_phone("it is empty")
    if typed.is_international or "://" in text:
        raise bad_phone("a link must hold the number and nothing else")
    if _is_number_with_words(text, region):
        raise bad_phone("it looks like a number with words beside it; send the number alone")
    if len(text) > MAX_OPAQUE_CHARACTERS:
        raise _bad_opaque(kind, f"it is {len(text)} characters long")
    return Phone(text, text)


def _is_number_with_words(text: str, region: str | None) -> bool:
    """Returns whether a text is a possible number with words before or behind it.

    Providers' ids have no blanks. They may begin with digits, as Viber's do, or have digits in
    front of an @, as `82880134910105@lid` does.
    """
    if _BUSINESS_SCOPED_ID.fullmatch(text):
        return False
    number = _leading_number(text)
    if not _is_possible(number, region):
        alone = text.strip("@")
        return any(_is_possible(match[0], region) for match in _INNER_NUMBER.finditer(text)) or (
            _NUMBER.fullmatch(alone) is not None and _is_possible(alone, region)
        )
    rest = text[len(number) :]
    if _JID.search(rest) or " " in rest or number[-1] in " (./-":
        return True
    if _DEVICE_OF_OPAQUE_ID.fullmatch(rest):
        return False
    return _is_word(rest) or not (rest[0].isalnum() or rest[0] in "@=_")


def _leading_number(text: str) -> str:
    match = _NUMBER.match(text)
    return match[0] if match else ""


def _has_letter(text: str) -> bool:
    return any(map(str.isalpha, text))


def _is_word(text: str) -> bool:
    return len(text) > 1 and text.isalpha()


def _is_possible(text: str, region: str | None) -> bool:
    digits = _NOT_DIGITS.sub("", text).removeprefix("00")
    return len(digits) >= LEAST_DIGITS and numbering.is_possible(digits, region)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


def _reject_spreadsheet(text: str) -> None:
    """Raises if a spreadsheet turned a number into a decimal fraction, or into a power of ten.

    The first would be another subscriber's number, and the second has lost digits.
    """
    if _SPREADSHEET.fullmatch(text):
        raise bad_phone(
            "it looks like a number that a spreadsheet changed; format the column as text"
        )


def _reject_two_numbers(text: str, region: str | None) -> None:
    """Raises if the text before a `/`, `,`, `;` or second `+` is a number.

    A number may hold a `/` itself, so the number before it must be valid.
    """
    for separator in _SECOND_NUMBER.finditer(text):
        first = text[: separator.start()]
        if _NUMBER.fullmatch(first) is None or _EXTENSION.fullmatch(text[separator.start() :]):
            return
        is_number = _is_valid if separator[0] == "/" else _is_possible
        if is_number(first, region):
            raise _two_numbers()


def _two_numbers() -> Refusal:
    return bad_phone("it looks like two numbers; send each on its own")


def _reject_extension(text: str, region: str | None) -> None:
    number = _leading_number(text)
    if _is_possible(number, region) and _EXTENSION.fullmatch(text[len(number) :]):
        raise bad_phone("it has an extension; send the number alone")


def _is_valid(text: str, region: str | None) -> bool:
    digits = _NOT_DIGITS.sub("", text)
    is_international = "+" in text or digits.startswith("00")
    try:
        found = numbering.read(digits.removeprefix("00"), None if is_international else region)
    except Refusal:
        return False
    return numbering.is_valid(found.digits)


def _stray_character(kind: str, text: str) -> str:
    """Returns a clause with the first character that is not accepted, and the accepted ones."""
    if kind not in TEXT_MESSAGES:
        accepted = "digits, blanks and . - ( ) / are accepted, after a leading + or 00"
        refused = _NOT_IN_NUMBER.findall(text)
    else:
        accepted = (
            "a number, a short code of 3 to 8 digits and a sender name are accepted; a sender name "
            "has 1 to 11 of A-Z, a-z, 0-9, blank, &, -, _ and ., and at least one letter"
        )
        refused = _NOT_IN_SENDER_NAME.findall(text)
        if not refused:
            return accepted
    shown = next((char for char in refused if not char.isascii()), refused[0])
    return f"it holds {character_name(shown)}; {accepted}"


def _bad_opaque(kind: str, why: str) -> Refusal:
    return Refusal(
        Reason.BAD_CHANNEL_ID,
        f"This channel_id for {kind} is not an id of a provider: {why}. Send 1 to "
        f"{MAX_OPAQUE_CHARACTERS} characters, for example 1789004512.",
        fields={"channel_id": why},
    )
