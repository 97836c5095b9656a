"""Rows of a database → words. Both engines give the columns in the order of the statements."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import msgspec

from reachbook.domain.channel import ChannelList, ContactChannel
from reachbook.domain.consent import Consent, HeldReason, SuppressionReason
from reachbook.domain.contact import Contact
from reachbook.domain.credential import Credential, Representation, TeamId
from reachbook.domain.suppression import Suppression
from reachbook.storage.engine import Row

NO_CREDENTIAL: Row = (0, "", bytes(92), "", Representation.STRING_IDS.value, False, 0, *[None] * 3)
"""Used in place of a row that was not found, so that decoding takes the same time."""

_REACH_COLUMNS = slice(0, 4)
_CHANNEL_COLUMNS = slice(4, 19)
_DETAIL_COLUMNS = slice(19, None)
_HELD_REASON, _CONSENT = 11, 12


def channel_list_of(rows: list[Row], team_id: int) -> ChannelList | None:
    """How a contact can be reached, of its rows, one for each channel."""
    if not rows:
        return None
    number, uuid, rev, updated = rows[0][_REACH_COLUMNS]
    return ChannelList(team_id, number, uuid, rev, updated, _channels(rows))


def contact_of(rows: list[Row], team_id: int) -> Contact | None:
    """A contact of its rows, one for each channel."""
    if not rows:
        return None
    number, uuid, rev, updated = rows[0][_REACH_COLUMNS]
    *details, opted_out, custom, tags = rows[0][_DETAIL_COLUMNS]
    known: tuple[Any, ...] = (
        *details,
        bool(opted_out),
        msgspec.json.decode(custom),
        msgspec.json.decode(tags, type=tuple[int, ...]),
    )
    return Contact(team_id, number, uuid, rev, updated, _channels(rows), *known)


def contacts_of(rows: list[Row], team_id: int) -> list[Contact]:
    """The contacts of rows that stand together, a row for each channel."""
    grouped = (list(group) for _, group in groupby(rows, key=lambda row: row[0]))
    return [contact for group in grouped if (contact := contact_of(group, team_id))]


PAGES: dict[Any, tuple[str, Callable[[list[Row], int], Any]]] = {
    ChannelList: ("channel_list", channel_list_of),
    Contact: ("contact", contact_of),
}


def _channels(rows: list[Row]) -> tuple[ContactChannel, ...]:
    cells = (row[_CHANNEL_COLUMNS] for row in rows)
    return tuple(channel_of(each) for each in cells if each[0] is not None)


def channel_of(cells: Row) -> ContactChannel:
    """A channel of its columns, in the order of its fields."""
    known: list[Any] = list(cells)
    known[_HELD_REASON] = HeldReason(known[_HELD_REASON]) if known[_HELD_REASON] else None
    known[_CONSENT] = Consent(known[_CONSENT])
    return ContactChannel(*known)


def suppression_of(row: Row) -> Suppression:
    """Returns the suppression in a row."""
    digest, reason, at, identity_version = row
    return Suppression(digest, SuppressionReason(reason), at, identity_version)


def suppressions_of(rows: list[Row]) -> dict[str, list[Suppression]]:
    """Returns the suppressions in rows, by digest."""
    found: dict[str, list[Suppression]] = {}
    for row in rows:
        found.setdefault(row[0], []).append(suppression_of(row))
    return found


def credential_of(row: Row) -> Credential:
    """A credential of its row."""
    team_id, ident, proof, label, representation, read_only, *rest = row
    return Credential(
        TeamId(team_id),
        ident,
        bytes(proof),
        label,
        Representation(representation),
        bool(read_only),
        *rest,
    )


def stored_response_of(credential: Credential) -> tuple[object, ...]:
    """Returns the columns of a new credential, in the order of the statements."""
    return (
        credential.proof,
        credential.label,
        credential.representation,
        credential.read_only,
        credential.created,
    )
