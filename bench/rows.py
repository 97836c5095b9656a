"""The rows that databases are filled with: contacts with a phone, an email and an event each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from uuid import UUID

from reachbook.domain import names

CHANNELS_EACH = 2
CREATED = 1_700_000_000_000_000
EVENT = '{"channels":[],"first":"Person"}'

Row = tuple[object, ...]

COLUMNS = {
    "contact": (
        *("team_id", "id", "uuid", "rev", "updated", "created", "first", "last", "display_name"),
        *("avatar", "is_opted_out", "custom", "tags"),
    ),
    "contact_name": ("team_id", "word", "contact_id"),
    "contact_channel": (
        *("team_id", "id", "contact_id", "channel_type", "channel_id", "scope", "identity"),
        *("channel_handle", "info_channel", "created", "updated"),
    ),
    "event": (
        *("team_id", "id", "contact_id", "contact_rev", "kind", "actor", "request_id", "at"),
    ),
    "event_body": ("team_id", "event_id", "after"),
}
"""The tables that a new contact has rows in, in an order that their keys allow."""


def uuid(number: int) -> str:
    """Returns the UUID of a contact by its number; numbers near each other have distant UUIDs."""
    return str(UUID(hashlib.md5(str(number).encode()).hexdigest()))


def phone(number: int) -> str:
    """Returns the phone of a contact by its number."""
    return f"1555{number:07d}"


def email(number: int) -> str:
    """Returns the email of a contact by its number."""
    return f"person{number:07d}@example.com"


def rows(table: str, team_id: int, numbers: range) -> Iterator[Row]:
    """Returns the rows of a table for contacts of a team, by the numbers of the contacts."""
    make = {
        "contact": _contact,
        "contact_name": _words,
        "contact_channel": _channels,
        "event": _event,
        "event_body": _event_body,
    }[table]
    for number in numbers:
        yield from make(team_id, number)


def _names(n: int) -> tuple[str, str]:
    return "Person", f"number {n}"


def _contact(team_id: int, n: int) -> list[Row]:
    at = CREATED + n
    return [(team_id, n, uuid(n), 1, at, at, *_names(n), "", "", False, "{}", "[]")]


def _words(team_id: int, n: int) -> list[Row]:
    return [(team_id, word, n) for word in names.words(*_names(n))]


def _channels(team_id: int, n: int) -> list[Row]:
    at = CREATED + n
    end = ("", "", at, at)
    first = n * CHANNELS_EACH
    return [
        (team_id, first, n, "phone", phone(n), "", phone(n), *end),
        (team_id, first + 1, n, "email", email(n), "", email(n), *end),
    ]


def _event(team_id: int, n: int) -> list[Row]:
    return [(team_id, n, n, 1, "contact_created", "bench", "bench", CREATED + n)]


def _event_body(team_id: int, n: int) -> list[Row]:
    return [(team_id, n, EVENT)]
