"""A contact's past: its events, folded in order, tell how it stood at a revision or a moment."""

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
"""An event as it is kept: the revision, the moment, and the JSON texts before and after."""


class PastState(Struct, frozen=True):
    """A contact as its events tell it, after the last of them.

    `rev` and `at` are that event's; `fields` are a contact's own, as JSON has them: one that is
    not there has never been other than at first. Of an erased contact nothing is told any more
    but when it was changed.
    """

    rev: int = 0
    at: int = 0
    channels: tuple[ContactChannel, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)
    erased: bool = False


NOTHING = PastState()


class Replay(Struct):
    """Folds a contact's events, which must be added in the order of their revisions.

    Adding an event takes time for the channels that it touches, not for all channels of the
    contact: they are sorted only in `past`.
    """

    rev: int = 0
    at: int = 0
    channels: dict[int, ContactChannel] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    erased: bool = False

    def add(self, row: Row) -> None:
        """Adds the next event.

        Raises `msgspec.DecodeError`, and changes nothing, if its texts cannot be read.
        """
        rev, at, before, after = row
        if after is None or self.erased:
            self.channels, self.fields, self.erased = {}, {}, True
        else:
            was, _ = _read(before) if before else ((), {})
            now, fields = _read(after)
            for channel in was:
                self.channels.pop(channel.id, None)
            self.channels.update((channel.id, channel) for channel in now)
            self.fields.update(fields)
        self.rev, self.at = rev, at

    def past(self) -> PastState:
        """Returns the contact after the last event that was added."""
        if self.erased:
            return PastState(self.rev, self.at, erased=True)
        oldest_first = sorted(self.channels.values(), key=attrgetter("created", "id"))
        return PastState(self.rev, self.at, tuple(oldest_first), dict(self.fields))


def replay(rows: Iterable[Row], *, rev: int | None = None, at: int | None = None) -> PastState:
    """The contact after its last event, or as of a revision or a moment; rows in `rev` order."""
    folded = Replay()
    for row in rows:
        if (rev is not None and row[0] > rev) or (at is not None and row[1] > at):
            break
        folded.add(row)
    return folded.past()


def contact(past: PastState, seen: Contact) -> Contact:
    """The past as a page of the contact that was seen; `msgspec.ValidationError` if it is none."""
    page: dict[str, Any] = {"uuid": seen.uuid, **past.fields}
    page |= {"team_id": seen.team_id, "id": seen.id, "created": seen.created}
    page |= {"rev": past.rev, "updated": past.at, "channels": ()}
    return replace(msgspec.convert(page, Contact), channels=past.channels)


def _read(text: str) -> tuple[tuple[ContactChannel, ...], dict[str, Any]]:
    snapshot = msgspec.json.decode(text, type=dict[str, Any])
    channels = msgspec.convert(snapshot.pop("channels", ()), tuple[ContactChannel, ...])
    return channels, snapshot
