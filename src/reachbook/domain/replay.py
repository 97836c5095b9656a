"""Replays the events of a contact, to find its state at a revision or at a time."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from reachbook.domain.channel import ContactChannel
from reachbook.domain.contact import Contact

Row = tuple[int, int, str | None, str | None]
"""A stored event: its revision, its time, and the JSON texts before and after."""


class PastState(Struct, frozen=True):
    """The state of a contact after an event.

    `rev` and `at` are those of the event. `fields` are the fields of the contact as JSON values; a
    field that is absent has never had another value than its default. If the contact is erased,
    only `rev` and `at` are known.
    """

    rev: int = 0
    at: int = 0
    channels: tuple[ContactChannel, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    erased: bool = False


class Replay(Struct):
    """Folds a contact's events, which must be added in the order of their revisions.

    The time of `add` depends on the channels that the event changes, and not on all channels of the
    contact, because these are sorted only in `past`.
    """

    rev: int = 0
    at: int = 0
    channels: dict[int, ContactChannel] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    erased: bool = False

    def add(self, row: Row) -> None:
        """Add the next event.

        Raises `msgspec.DecodeError`, and changes nothing, if its texts cannot be read.
        """
        rev, at, before, after = row
        if after is None or self.erased:
            self.channels, self.fields, self.erased = {}, {}, True
        else:
            old, _ = _read(before) if before else ((), {})
            new, fields = _read(after)
            for channel in old:
                self.channels.pop(channel.id, None)
            self.channels.update((channel.id, channel) for channel in new)
            self.fields.update(fields)
        self.rev, self.at = rev, at

    def past(self) -> PastState:
        """Returns the contact after the last event that was added."""
        if self.erased:
            return PastState(self.rev, self.at, erased=True)
        oldest_first = sorted(self.channels.values(), key=attrgetter("created", "id"))
        return PastState(self.rev, self.at, tuple(oldest_first), dict(self.fields))


def replay(rows: Iterable[Row], *, rev: int | None = None, at: int | None = None) -> PastState:
    """Returns a contact after its last event, or at a revision or a time.

    The rows must be in the order of their revisions.
    """
    folded = Replay()
    for row in rows:
        if (rev is not None and row[0] > rev) or (at is not None and row[1] > at):
            break
        folded.add(row)
    return folded.past()


def contact(past: PastState, seen: Contact) -> Contact:
    """Returns a past state as a `Contact`, with the ids and the time of creation of `seen`.

    Raises `msgspec.ValidationError` if the values of the events are not those of a contact.
    """
    values: dict[str, Any] = {"uuid": seen.uuid, **past.fields}
    values |= {"team_id": seen.team_id, "id": seen.id, "created": seen.created}
    values |= {"rev": past.rev, "updated": past.at, "channels": ()}
    return replace(msgspec.convert(values, Contact), channels=past.channels)


def _read(text: str) -> tuple[tuple[ContactChannel, ...], dict[str, Any]]:
    snapshot = msgspec.json.decode(text, type=dict[str, Any])
    channels = msgspec.convert(snapshot.pop("channels", ()), tuple[ContactChannel, ...])
    return channels, snapshot
