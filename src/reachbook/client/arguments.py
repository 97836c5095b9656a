"""Checks of arguments before a request is sent; each raises `ValueError` that names the argument.

A refused value is shown only if it cannot be a secret: the message may end in a log.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sized
from datetime import datetime
from uuid import UUID

from reachbook.domain.on_conflict import OnConflict

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CHANNEL_TYPE = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_CHANNEL_NUMBER = re.compile(r"(?:ch_)?[0-9]{1,18}")
_CREDENTIAL = re.compile(r"rb[sk]_|[0-9a-f]{64}\Z|[^.]+\.[^.]+\.[^.]+\Z")
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]+"')
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
_MAX_SHOWN = 64


def contact_id(value: str | UUID, argument: str = "contact_id") -> str:
    """Returns the UUID of a contact, as text."""
    text = str(value)
    if _UUID.fullmatch(text):
        return text
    raise _wrong(argument, "the UUID of a contact, like a1b2c3d4-e5f6-7890-abcd-ef1234567890", text)


def channel_type(value: str, argument: str = "channel_type") -> str:
    """Returns the type of a channel."""
    # The vendor reserves the type `id` for UUIDs in bulk requests.
    if _CHANNEL_TYPE.fullmatch(value) and value != "id":
        return value
    raise _wrong(argument, "a type of a channel, like phone or email", value)


def address(value: str, argument: str = "channel_id") -> str:
    """Returns an address that is not empty; the server checks its form."""
    if value.strip():
        return value
    raise _wrong(argument, "an address, like +1 510 555 3344", value)


def channel_number(value: str, argument: str = "channel_number") -> str:
    """Returns the id of a channel: `ch_001`, or its digits."""
    if _CHANNEL_NUMBER.fullmatch(value):
        return value
    raise _wrong(argument, "the id of a channel, like ch_001", value)


def on_conflict(value: OnConflict) -> OnConflict:
    """Returns what to do with an address that another contact owns; its text is accepted, too."""
    try:
        return OnConflict(value)
    except ValueError:
        raise _wrong("on_conflict", "refuse or move", value) from None


def between(argument: str, value: int, least: int, most: int) -> int:
    """Returns a number that is within its bounds."""
    if least <= value <= most:
        return value
    raise ValueError(f"{argument} must be from {least} to {most}; got {value}.")


def at_most(argument: str, values: Sized, most: int) -> None:
    """Refuse more values than a request may carry."""
    if len(values) > most:
        raise ValueError(f"{argument} must have at most {most} entries; got {len(values)}.")


def timestamp(argument: str, value: datetime) -> str:
    """Returns a time as RFC 3339; it must have an offset."""
    if value.tzinfo is None:
        raise ValueError(
            f"{argument} must be a datetime with a time zone, like datetime.now(UTC); got one "
            "without."
        )
    return value.isoformat()


def not_empty(argument: str, value: str, example: str) -> str:
    """Returns a text that is not empty."""
    if value:
        return value
    raise _wrong(argument, example, value)


def idempotency_key(value: str) -> str:
    """Returns an Idempotency-Key."""
    if _IDEMPOTENCY_KEY.fullmatch(value) and not value.startswith(("rbk_", "rbs_")):
        return value
    accepted = "1 to 255 visible ASCII characters without white space, like order-4711"
    raise _wrong("idempotency_key", accepted, value)


def etag(value: str) -> str:
    """Returns the ETag of one revision."""
    if _ETAG.fullmatch(value):
        return value
    raise _wrong("if_match", "the ETag of a response, with its double quotes", value)


def finite(argument: str, value: object) -> None:
    """Refuse numbers that are not in JSON; an encoder would send null in their place."""
    if isinstance(value, dict):
        for key, each in value.items():
            finite(f"{argument}.{key}", each)
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            finite(f"{argument}[{index}]", each)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{argument} must be a finite number; got {value}.")


def secret_id(value: str) -> str:
    """Returns the id of an API secret; an API key or a secret key in its place is refused."""
    _token("secret_id", value)
    if value.startswith("rbk_"):
        raise ValueError("secret_id must be the id of an API secret; got an API key: use ApiKey.")
    if re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError("secret_id must be the id of an API secret; got a secret key.")
    return value


def secret_key(value: str) -> str:
    """Returns the key of an API secret; the id of one in its place is refused."""
    _token("secret_key", value)
    if value.startswith(("rbs_", "rbk_")):
        raise ValueError("secret_key must be the key of an API secret; got the id of a credential.")
    return value


def api_key(value: str) -> str:
    """Returns an API key; the id of an API secret in its place is refused."""
    _token("api_key", value)
    if value.startswith("rbs_"):
        raise ValueError("api_key must be an API key; got the id of an API secret: use ApiSecret.")
    return value


def base_url(value: str) -> str:
    """Returns the URL of a server."""
    if re.fullmatch(r"https?://[^/\s?#][^\s?#]*", value):
        return value
    raise _wrong("base_url", "the URL of a server, like http://127.0.0.1:8080", value)


def _token(argument: str, value: str) -> None:
    # White space or a line break comes from a file or a variable, and httpx would quote the header.
    if not _VISIBLE_ASCII.fullmatch(value):
        raise ValueError(f"{argument} must be visible ASCII characters without white space.")


def _wrong(argument: str, accepted: str, value: str) -> ValueError:
    if not value:
        shown = "an empty text"
    elif _CREDENTIAL.match(value):
        shown = "a credential"
    else:
        shown = repr(value if len(value) <= _MAX_SHOWN else f"{value[: _MAX_SHOWN - 3]}...")
    return ValueError(f"{argument} must be {accepted}; got {shown}.")
