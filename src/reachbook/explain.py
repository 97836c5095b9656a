"""Telling a person how an address was read, and which rule makes two spellings one identity."""

from __future__ import annotations

import re

from reachbook.address import PHONE_FAMILY, Address

_NOT_DIGITS = re.compile(r"[^0-9]")
_MEXICO_OLD_MOBILE = re.compile(r"521\d{10}")


def read_as(typed: str, address: Address) -> str:
    """How a typed text became the canonical address, in one sentence."""
    if address.channel_type == "email":
        return "an email address: the domain in lower case, the rest as written"
    if address.channel_type in PHONE_FAMILY and address.channel_id.isdecimal():
        digits = _NOT_DIGITS.sub("", typed)
        if _MEXICO_OLD_MOBILE.fullmatch(digits):
            return "a Mexican mobile in its old form: 521 was rewritten to 52"
        if digits != address.channel_id:
            return "an international phone number, without the trunk prefix dialled at home"
        return "an international phone number in E.164"
    return "an id of the integration, exactly as given"


def joined(address: Address, other: str) -> str:
    """Which rule makes two different spellings one identity."""
    if address.channel_type == "email":
        return "email addresses are compared without regard to case"
    if other.startswith("54"):
        return "Argentina: a mobile is one identity with and without the 9 after 54"
    return "Brazil: a mobile is one identity with and without its ninth digit"
