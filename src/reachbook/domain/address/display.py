"""Addresses as people write them."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberFormat

from reachbook.domain.address.phone import is_number


@lru_cache(maxsize=4096)
def readable(kind: str, channel_id: str) -> str:
    """Returns a phone number with its spaces, as +1 510-555-3344; other addresses as they are."""
    if not is_number(kind, channel_id):
        return channel_id
    number = phonenumbers.parse(f"+{channel_id}")
    return phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
