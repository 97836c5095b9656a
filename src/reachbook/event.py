"""What happened: one frozen fact for each revision of a contact, with before and after.

The event row is the history, the feed and the queue. It is written in the same commit as the
change it tells of, and holds only what the change touched.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from reachbook.contact import Contact
from reachbook.contact_channel import Reach

_NOT_TOLD = frozenset({"team_id", "id", "rev", "updated", "created", "channels"})


class Kind(StrEnum):
    """What a revision was about."""

    CONTACT_CREATED = "contact_created"
    CONTACT_DELETED = "contact_deleted"
    CHANNEL_ADDED = "channel_added"
    CHANNEL_UPDATED = "channel_updated"
    CHANNEL_REMOVED = "channel_removed"


class Change(Struct, frozen=True):
    """One contact moving from one revision to the next; `before` is null when it is made."""

    kind: Kind
    before: Reach | None
    after: Reach


def change(before: Reach | None, after: Reach) -> Change:
    """The step from one revision to the next, named for what it does to the contact."""
    if before is None:
        return Change(Kind.CONTACT_CREATED, before, after)
    if isinstance(after, Contact) and after.deleted is not None:
        return Change(Kind.CONTACT_DELETED, before, after)
    gained = len(after.channels) - len(before.channels)
    if gained > 0:
        return Change(Kind.CHANNEL_ADDED, before, after)
    return Change(Kind.CHANNEL_REMOVED if gained < 0 else Kind.CHANNEL_UPDATED, before, after)


def told(change: Change) -> tuple[str | None, str]:
    """The values before and after, as JSON texts: the touched channels and the touched fields."""
    before, after = change.before, change.after
    old = {one.id: one for one in before.channels} if before else {}
    new = {one.id: one for one in after.channels}
    was: dict[str, object] = {"channels": [one for key, one in old.items() if new.get(key) != one]}
    now: dict[str, object] = {"channels": [one for key, one in new.items() if old.get(key) != one]}
    if isinstance(after, Contact):
        fields = _fields(before) if isinstance(before, Contact) else {}
        touched = {key: value for key, value in _fields(after).items() if fields.get(key) != value}
        was |= {key: fields[key] for key in touched if key in fields}
        now |= touched
    return (_text(was) if before else None), _text(now)


def _fields(contact: Contact) -> dict[str, object]:
    return {key: value for key, value in asdict(contact).items() if key not in _NOT_TOLD}


def _text(value: dict[str, object]) -> str:
    return msgspec.json.encode(value).decode()
