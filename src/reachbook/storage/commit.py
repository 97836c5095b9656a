"""A commit is a value, never an open transaction; so is what the store answers to it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from reachbook import event
from reachbook.contact import Contact
from reachbook.contact_channel import ContactChannel, Reach
from reachbook.event import Change


class Commit(Struct, frozen=True):
    """One contact's step to its next revision, and who took it.

    It holds only if the contact still has the revision that `change.before` shows.
    """

    change: Change
    actor: str
    request_id: str

    def is_empty(self) -> bool:
        """Whether the rule found nothing to do: it returned the very page it was given."""
        return self.change.after is self.change.before


class Saved(Struct, frozen=True):
    """The commit holds; `after` is the contact with every number the store gave."""

    after: Reach


class Taken(Struct, frozen=True):
    """Somebody else has what must be one contact's: an address, a UUID or an external id."""

    owner_uuid: str
    what: Literal["address", "uuid", "external_id"]
    channel: ContactChannel | None = None


class Stale(Enum):
    """The contact has moved on since it was read: read it again and redo the rule."""

    STALE = "stale"


STALE: Final = Stale.STALE


class Writes(Struct, frozen=True):
    """The rows that a change writes, as both engines need them."""

    removed: list[int]
    kept: list[ContactChannel]
    before: str | None
    after: str


def writes(change: Change) -> Writes:
    """The rows of a change whose channels are numbered."""
    old = {one.id: one for one in change.before.channels} if change.before else {}
    new = {one.id: one for one in change.after.channels}
    before, after = event.told(change)
    return Writes(
        removed=[key for key in old if key not in new],
        # In the order of their identities, so that two commits cannot wait for one another.
        kept=sorted(
            (one for key, one in new.items() if old.get(key) != one),
            key=lambda one: (one.channel_type, one.scope, one.identity),
        ),
        before=before,
        after=after,
    )


def numbers_wanted(change: Change) -> int:
    """How many channels of a change have no number yet."""
    return sum(not one.id for one in change.after.channels)


def numbered(change: Change, contact_id: int, numbers: Iterator[int]) -> Change:
    """The change with the contact's number, and a number for each new channel."""
    channels = tuple(
        one if one.id else replace(one, id=next(numbers)) for one in change.after.channels
    )
    return replace(change, after=replace(change.after, id=contact_id, channels=channels))


def details(contact: Contact) -> tuple[object, ...]:
    """What is known of a contact beyond its channels, in the order of the statements."""
    return (
        contact.first,
        contact.last,
        contact.display_name,
        contact.avatar,
        contact.assigned_user_id,
        contact.external_id,
        contact.is_opted_out,
        msgspec.json.encode(contact.custom).decode(),
        msgspec.json.encode(contact.tags).decode(),
    )
