"""Read the text of a search box: the addresses that it may be, of every type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from msgspec import Struct

from reachbook.domain.address import explain, pasted
from reachbook.domain.address.parsing import (
    Address,
    ChannelType,
    looks_like_phone,
    parse,
    readings,
)
from reachbook.domain.address.phone import LEAST_DIGITS
from reachbook.domain.address.text import stripped
from reachbook.domain.errors import Refusal
from reachbook.domain.limits import MAX_CHARACTERS

PHONE = ChannelType("phone")
EMAIL = ChannelType("email")

KNOWN_TYPES = (
    *(PHONE, "sms", "whatsapp", "viber", "rcs", EMAIL),
    *("facebook", "instagram", "telegram", "line", "twitter", "tiktok", "wechat"),
)
"""The channel types that are offered and searched even if no contact of the team has them."""


class Reading(Struct, frozen=True):
    """One address that a text may mean, and how it was read.

    The explanation is empty if the text may be an id or a handle of the type, as any text may be.
    """

    address: Address
    explanation: str = ""


class SearchText(Struct, frozen=True):
    """The readings of a text: numbers and email addresses first, then ids and handles.

    `refusal` is set if the text looks like a number or an email address, but is not valid.
    """

    readings: tuple[Reading, ...]
    refusal: Refusal | None = None


def read(text: str, region: str | None, types: Iterable[str] = ()) -> SearchText:
    """Returns the readings of a text for a team with a default region.

    `types` are the channel types that the team uses, beside the known ones. Digits that two numbers
    have are two readings.
    """
    handles = tuple(_handles(text, types))
    try:
        return SearchText((*_number_or_email(text, region), *handles))
    except Refusal as refusal:
        return SearchText(handles, refusal)


def _number_or_email(text: str, region: str | None) -> tuple[Reading, ...]:
    """Returns the readings of a number or an email address; raises if the text looks like one."""
    # The @ of a handle is at its beginning, and that of a WhatsApp id belongs to a number.
    if "@" in stripped(text)[1:] and not looks_like_phone(text):
        address = pasted.find(EMAIL, text, region)
        return (Reading(address, _explanation(text, address, region)),)
    try:
        address = pasted.find(PHONE, text, region)
    except Refusal:
        if sum(map(str.isdecimal, text)) < LEAST_DIGITS:
            return ()
        raise
    explanation = _explanation(text, address, region)
    possible = readings(address) if address.is_ambiguous else (address,)
    return tuple(Reading(each, explanation) for each in possible)


def owned(text: str, reading: Reading, region: str | None, identity: str) -> Reading:
    """Returns the reading of a text, whose address has two, that the owner of an identity has."""
    address = reading.address
    if not address.other_reading:
        return reading
    explanation = explain.read_as(text, address, region, identity)
    return Reading(explain.reading_of(address, identity), explanation)


def _explanation(text: str, address: Address, region: str | None) -> str:
    try:
        parse(address.channel_type, text, region)
    except Refusal:
        return "found in the text around it"
    return explain.read_as(text, address, region)


def _handles(text: str, types: Iterable[str]) -> Iterator[Reading]:
    typed = stripped(text)
    if len(typed) > MAX_CHARACTERS:
        return
    for kind in dict.fromkeys((*KNOWN_TYPES, *types)):
        if kind in (PHONE, EMAIL):
            continue
        with suppress(Refusal):
            yield Reading(parse(ChannelType(kind), typed))
