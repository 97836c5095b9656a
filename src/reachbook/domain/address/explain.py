"""Explains how an address was read, and which rule makes two spellings one identity."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reachbook.domain.address import numbering
from reachbook.domain.address.email import MAILTO
from reachbook.domain.address.handle import USERNAMES
from reachbook.domain.address.parsing import Address, is_number, readings
from reachbook.domain.address.phone import (
    PHONE_FAMILY,
    TEXT_MESSAGES,
    Typed,
    national_digits,
    without_affixes,
)
from reachbook.domain.address.text import JOINERS, cleaned_phone, stripped, without_invisible

INTERNATIONAL = "an international phone number in E.164"

_NOT_DIGITS = re.compile(r"[^0-9]")


def read_as(
    typed: str, address: Address, region: str | None = None, owned: str | None = None
) -> str:
    """Returns how a text became an address: which reading was chosen and why, and every rewrite.

    `region` is the team's default region, with which the text was parsed. `owned` is the identity
    of the channel that was found, if any.
    """
    if address.channel_type == "email":
        steps = _email(typed, address)
    elif address.channel_type in PHONE_FAMILY:
        steps = _phone(typed, address, region, owned)
    else:
        steps = _id_of_integration(typed, address)
    return "; ".join(steps)


def joined(address: Address, other: str) -> str:
    """Returns which rule makes two different spellings one identity."""
    if address.channel_type == "email":
        return "email addresses are compared without regard to case"
    if address.channel_type in USERNAMES:
        return "usernames are compared without regard to case and to a leading @"
    if other.startswith("54") and other.isdecimal():
        return "Argentina: a mobile is one identity with and without the 9 after 54"
    if other.isdecimal():
        return "Brazil: a mobile is one identity with and without its ninth digit"
    return "sender names are compared without regard to case"


def reading_of(address: Address, identity: str) -> Address:
    """Returns the reading of an address that has an identity, else the address itself."""
    if address.identity == identity:
        return address
    return next((each for each in readings(address) if each.identity == identity), address)


def _id_of_integration(typed: str, address: Address) -> Iterator[str]:
    yield "an id of the integration, exactly as given"
    if typed != address.channel_id:
        yield "white space around it was taken off"


def _email(typed: str, address: Address) -> Iterator[str]:
    yield "an email address: the domain in lower case, the rest as written"
    cleaned = stripped(without_invisible(typed, keep=JOINERS))
    joiners_taken = any(typed.count(each) > address.channel_id.count(each) for each in JOINERS)
    if cleaned != typed or joiners_taken:
        yield "white space or invisible characters were taken off"
    if cleaned[: len(MAILTO)].lower() == MAILTO:
        yield f"{MAILTO} was taken off"
    if "xn--" in cleaned.lower() and not address.channel_id.isascii():
        yield "the domain is written in Unicode"


def _phone(typed: str, address: Address, region: str | None, owned: str | None) -> Iterator[str]:
    cleaned = cleaned_phone(typed)
    bare = without_affixes(cleaned)
    chosen = address if owned is None else reading_of(address, owned)
    if is_number(chosen):
        yield _reading(bare, address, region, owned)
    elif chosen.channel_id.isdecimal():
        yield "a short code"
    elif chosen.channel_type in TEXT_MESSAGES:
        yield "a sender name, as given"
    else:
        yield "an id of the provider, as given"
    if cleaned != stripped(typed):
        yield "invisible characters were taken off; other digits, dashes and spaces became ASCII"
    for affix in (bare.prefix, bare.suffix):
        if affix:
            yield f"{affix} was taken off"
    if is_number(chosen):
        yield from _digits(bare, chosen)


def _reading(bare: Typed, address: Address, region: str | None, owned: str | None) -> str:
    """Returns which reading of a number was chosen, and why."""
    if address.other_reading:
        return _one_of_two(address, region, owned)
    digits = national_digits(address.channel_type, bare)
    if region is None or not digits:
        return INTERNATIONAL
    if not numbering.is_possible(digits):
        kind = (
            "a national number of" if numbering.is_of(address.channel_id, region) else "dialled in"
        )
        return f"{kind} {region}: as international digits it is not possible"
    if numbering.national_reading(digits, region) in ("", address.channel_id):
        return INTERNATIONAL
    return f"{INTERNATIONAL}: a national number of {region} would have its trunk prefix"


def _one_of_two(address: Address, region: str | None, owned: str | None) -> str:
    first, second = (f"+{each.channel_id}" for each in readings(address))
    chosen = address if owned is None else reading_of(address, owned)
    if owned is not None and (address.is_ambiguous or chosen is not address):
        return f"{first} or {second}: a contact has +{chosen.channel_id}"
    if address.is_ambiguous:
        return f"ambiguous: {first} and {second} are both valid numbers"
    return f"a national number of {region}: {first} is possible, but it is no valid number"


def _digits(bare: Typed, chosen: Address) -> Iterator[str]:
    """Yields the rewrites of the digits themselves."""
    digits = _NOT_DIGITS.sub("", bare.text)
    if digits.startswith("00"):
        yield "the leading 00 was read as +"
        digits = digits[2:]
    number = chosen.channel_id
    if digits == number:
        return
    for country, code in numbering.RENUMBERED.items():
        national = digits.removeprefix(code)
        if number == numbering.renumbered(code + national) != code + national:
            yield f"{country}: rewritten to the digits that are used now"
            return
    if number.endswith(digits):
        yield "the country code was put in front"
    elif numbering.is_possible(digits) and numbering.e164(digits) == number:
        yield "the trunk prefix was left out"
    elif digits.endswith(number):
        yield "the international prefix was left out"
    else:
        yield "the trunk prefix was replaced by the country code"
