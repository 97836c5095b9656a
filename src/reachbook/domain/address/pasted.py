"""Find an address in a text that was pasted with words around it.

Only people paste such texts, so the API does not read them: a program that sends a text around an
address has made a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import parseaddr

import phonenumbers

from reachbook.domain.address import email as address_email
from reachbook.domain.address.email import bad_email
from reachbook.domain.address.numbering import bad_phone
from reachbook.domain.address.parsing import Address, ChannelType, parse
from reachbook.domain.address.phone import LEAST_DIGITS, MAX_RAW_CHARACTERS, PHONE_FAMILY
from reachbook.domain.errors import Reason, Refusal

MAX_QUOTED = 3
NO_REGION = "ZZ"  # the name for it in phonenumbers: only numbers with a leading + are found

_EMAIL = re.compile(r"[^\s<>()\[\]\",;:]+@[^\s<>()\[\]\",;:]+")


def find(kind: ChannelType, text: str, region: str | None) -> Address:
    """Returns the address of a type that a text is, or the only one that it holds.

    Raises the refusal of the text as an address if the text holds none. If it holds several, the
    refusal names them.
    """
    try:
        return parse(kind, text, region)
    except Refusal as refusal:
        if len(text) > MAX_RAW_CHARACTERS or not _may_hold_address(kind, text, refusal):
            raise
        found = _emails(text) if kind == "email" else _numbers(kind, text, region)
        if not found:
            raise _with_advice(refusal, kind, text, region) from None
    if len(found) > 1:
        raise _several(kind, list(found))
    [address] = found.values()
    return address


def _may_hold_address(kind: ChannelType, text: str, refusal: Refusal) -> bool:
    if refusal.reason is Reason.BAD_EMAIL:
        return "@" in text
    # A text without a letter has no words around a number. It may be a number that a spreadsheet
    # has changed, such as one with a decimal fraction.
    return kind in PHONE_FAMILY and any(map(str.isalpha, text))


def _numbers(kind: ChannelType, text: str, region: str | None) -> dict[str, Address]:
    """Returns the numbers of a text by their E.164 form."""
    matches = phonenumbers.PhoneNumberMatcher(text, region or NO_REGION)
    found: dict[str, Address] = {}
    for match in matches:
        # As it was typed: digits that can be read in two ways must stay ambiguous.
        address = parse(kind, match.raw_string, region)
        found.setdefault(f"+{address.channel_id}", address)
    return found


def _emails(text: str) -> dict[str, Address]:
    # "Alice <alice@example.com>", as mail programs copy it; the name may hold an @ as well.
    named = parseaddr(text)[1] if "<" in text else ""
    candidates: Iterable[str] = [named] if "@" in named and text.count("<") == 1 else _words(text)
    found: dict[str, Address] = {}
    for candidate in candidates:
        try:
            written, identity = address_email.read(candidate)
        except Refusal:
            continue
        found.setdefault(identity, Address(ChannelType("email"), written, identity))
    return found


def _words(text: str) -> list[str]:
    return [word.strip(".!?'") for word in _EMAIL.findall(text)]


def _several(kind: ChannelType, found: list[str]) -> Refusal:
    quoted = ", ".join(found[:MAX_QUOTED])
    more = "" if len(found) <= MAX_QUOTED else " and more"
    if kind == "email":
        return bad_email(f"the text holds several addresses, {quoted}{more}; use one of them")
    return bad_phone(f"the text holds several numbers, {quoted}{more}; use one of them")


def _with_advice(refusal: Refusal, kind: ChannelType, text: str, region: str | None) -> Refusal:
    """Returns the refusal of a text, or one that explains why no national number was looked for."""
    digits = sum(map(str.isdecimal, text))
    if kind == "email" or region is not None or digits < LEAST_DIGITS:
        return refusal
    return bad_phone(
        "the text holds no number with a + and its country code, and the team has no default "
        "region to read another one in"
    )
