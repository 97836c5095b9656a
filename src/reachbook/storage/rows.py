"""Decodes rows of a database to values of the domain, by the names of columns and fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from reachbook.domain.channel import ChannelList, ContactChannel, ContactT
from reachbook.domain.consent import Consent, HeldReason, SuppressionReason
from reachbook.domain.contact import Contact
from reachbook.domain.credential import Credential, Representation, TeamId
from reachbook.domain.suppression import Suppression
from reachbook.domain.user import Role
from reachbook.storage import sql
from reachbook.storage.engine import Row

StructT = TypeVar("StructT", bound=Struct)


# A look-up in a dict takes a tenth of the time of a call of the enumeration, for every channel.
_CONSENT = {consent.value: consent for consent in Consent}
_HELD_REASON = {None: None} | {reason.value: reason for reason in HeldReason}


def _headers(text: str) -> list[tuple[str, str]]:
    return msgspec.json.decode(text, type=list[tuple[str, str]])


def _tags(text: str) -> tuple[int, ...]:
    return msgspec.json.decode(text, type=tuple[int, ...])


# The conversions of columns whose values have another type in Python, by name. SQLite has no
# booleans, both engines store JSON as text, and asyncpg returns a bytea as a view of its buffer.
CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "consent": _CONSENT.__getitem__,
    "body": bytes,
    "custom": msgspec.json.decode,
    "headers": _headers,
    "held_reason": _HELD_REASON.__getitem__,
    "is_opted_out": bool,
    "proof": bytes,
    "read_only": bool,
    "reason": SuppressionReason,
    "representation": Representation,
    "request_hash": bytes,
    "role": Role,
    "tags": _tags,
    "team_id": TeamId,
}


class RowDecoder(Generic[StructT]):
    """Makes a struct of the columns of a row that have the names of its fields.

    `columns` are those of the whole row, and `begin` is where those of the struct begin: two tables
    of a join may have columns of the same name. `given` are fields that are not in the row, in
    their order.
    """

    def __init__(
        self,
        kind: type[StructT],
        columns: Sequence[str],
        begin: int = 0,
        given: Sequence[str] = (),
    ) -> None:
        self._kind = kind
        fields = kind.__struct_fields__
        self._given = [fields.index(name) for name in given]
        in_row = [name for name in fields if name not in given]
        self._read = itemgetter(*[columns.index(name, begin) for name in in_row])
        self._conversions = [
            (place, CONVERSIONS[name]) for place, name in enumerate(in_row) if name in CONVERSIONS
        ]

    def decode(self, row: Row, *given: object) -> StructT:
        """Returns the struct in a row; `given` are the values of the fields of that name."""
        values = list(self._read(row))
        for place, convert in self._conversions:
            values[place] = convert(values[place])
        if given:
            for place, value in zip(self._given, given, strict=True):
                values.insert(place, value)
        return self._kind(*values)


CONTACT_HEAD, CHANNEL = sql.columns("contact_head"), sql.columns("channel")
CONTACT = sql.columns("contact_head", "contact_dates", "contact_fields")
OWNER = ("owner_uuid", *CHANNEL)
CREDENTIAL = (
    *("team_id", "id", "proof", "label", "representation", "read_only"),
    *("created", "last_used", "revoked", "default_region"),
)
SUPPRESSION = ("digest", "reason", "at", "identity_version")
STORED_RESPONSE = ("request_hash", "status", "headers", "body", "created")
"""The columns of the rows that statements return; a test compares them with both drivers."""

NOT_IN_ROW = ("team_id", "channels")

NO_CREDENTIAL: Row = (0, "", bytes(92), "", Representation.STRING_IDS.value, False, 0, *[None] * 3)
"""Used in place of a row that was not found, so that decoding takes the same time."""


class ContactDecoder(Generic[ContactT]):
    """Decodes contacts. A row has the columns of the contact, then those of one of its channels.

    A contact without channels has one row, whose columns of the channel are null.
    """

    def __init__(self, kind: type[ContactT], columns: Sequence[str]) -> None:
        row = (*columns, *CHANNEL)
        self._contact = RowDecoder(kind, row, given=NOT_IN_ROW)
        self._channel = RowDecoder(ContactChannel, row, begin=len(columns))
        self._contact_id = itemgetter(columns.index("id"))
        self._channel_id = itemgetter(row.index("id", len(columns)))

    def one(self, rows: list[Row], team_id: int) -> ContactT | None:
        """Returns the contact of rows that are all of one contact, or None if there are no rows."""
        if not rows:
            return None
        decode, channel_id = self._channel.decode, self._channel_id
        channels = tuple([decode(row) for row in rows if channel_id(row) is not None])
        return self._contact.decode(rows[0], team_id, channels)

    def many(self, rows: list[Row], team_id: int) -> list[ContactT]:
        """Returns the contacts of rows; the rows of each contact must be adjacent."""
        groups = [list(group) for _, group in groupby(rows, key=self._contact_id)]
        return [contact for group in groups if (contact := self.one(group, team_id))]


class StoredRow(Struct, frozen=True):
    """A stored response as it is read. `created` is in microseconds since the epoch."""

    request_hash: bytes
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    created: int


_contacts = ContactDecoder(Contact, CONTACT)
channel_list_of: Final = ContactDecoder(ChannelList, CONTACT_HEAD).one
contact_of: Final = _contacts.one
contacts_of: Final = _contacts.many
channel_of: Final = RowDecoder(ContactChannel, CHANNEL).decode
credential_of: Final = RowDecoder(Credential, CREDENTIAL).decode
suppression_of: Final = RowDecoder(Suppression, SUPPRESSION).decode
stored_row_of: Final = RowDecoder(StoredRow, STORED_RESPONSE).decode
_owner_uuid = itemgetter(OWNER.index("owner_uuid"))
_owned_channel = RowDecoder(ContactChannel, OWNER).decode

SHAPES: dict[Any, tuple[str, Callable[[list[Row], int], Any]]] = {
    ChannelList: ("channel_list", channel_list_of),
    Contact: ("contact", contact_of),
}

channel_values: Final = attrgetter(*CHANNEL)
changed_channel_values: Final = attrgetter(*sql.columns("channel_changes"))
credential_values: Final = attrgetter("proof", "label", "representation", "read_only", "created")
"""The parameters of statements, in order."""


def owner_of(row: Row) -> tuple[str, ContactChannel]:
    """Returns the UUID of the contact that owns an address, and the channel."""
    return _owner_uuid(row), _owned_channel(row)


def suppressions_of(rows: list[Row]) -> dict[str, list[Suppression]]:
    """Returns the suppressions in rows, by digest."""
    found: dict[str, list[Suppression]] = {}
    for suppression in map(suppression_of, rows):
        found.setdefault(suppression.digest, []).append(suppression)
    return found
