"""Events: one for each revision of a contact, with the values before and after.

The event row is the history, the feed and the queue. It is written in the same commit as the
change it tells of, and holds only what the change touched.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from reachbook.domain.channel import ChannelList, ContactChannel, primaries
from reachbook.domain.contact import Contact, same_json
from reachbook.domain.event_kind import Kind

Channels = dict[int, tuple[ContactChannel, bool]]  # by id, with whether it is the primary one
_NOT_TOLD = frozenset({"team_id", "id", "rev", "updated", "created", "channels"})


class EventRecord(Struct, frozen=True):
    """An event as it is kept. `before` and `after` are JSON texts, null once erased.

    `at` is in microseconds since the epoch; `seq` is null until the feed has numbered it.
    """

    contact_uuid: str
    rev: int
    kind: str
    before: str | None
    after: str | None
    actor: str
    request_id: str
    at: int
    seq: int | None


class ChannelSnapshot(ContactChannel, frozen=True):
    """A channel as an event keeps it: with whether it is the primary one of its type."""

    primary: bool | UnsetType = UNSET


class Change(Struct, frozen=True):
    """One contact moving from one revision to the next; `before` is null when it is made."""

    kind: Kind
    before: ChannelList | None
    after: ChannelList


def change(before: ChannelList | None, after: ChannelList) -> Change:
    """Returns the change from one revision to the next, with its kind."""
    return Change(_kind(before, after), before, after)


def diff(change: Change) -> tuple[str | None, str | None]:
    """The values before and after, as JSON texts: the touched channels and the touched fields."""
    before, after = change.before, change.after
    if change.kind is Kind.ERASED:
        return None, None
    old = _channels(before) if before else {}
    new = _channels(after)
    was: dict[str, object] = {"channels": _differing(old, new)}
    now: dict[str, object] = {"channels": _differing(new, old)}
    if isinstance(after, Contact):
        known = fields(before) if isinstance(before, Contact) else {}
        touched = {
            key: value
            for key, value in fields(after).items()
            if not same_json(known.get(key), value)
        }
        was |= {key: known[key] for key in touched if key in known}
        now |= touched
    return (_text(was) if before else None), _text(now)


def _kind(before: ChannelList | None, after: ChannelList) -> Kind:
    if before is None:
        return Kind.CONTACT_CREATED
    if isinstance(after, Contact):
        if after.erased is not None:
            return Kind.ERASED
        return Kind.CONTACT_UPDATED if after.deleted is None else Kind.CONTACT_DELETED
    gained = len(after.channels) - len(before.channels)
    if gained > 0:
        return Kind.CHANNEL_ADDED
    return Kind.CHANNEL_REMOVED if gained < 0 else Kind.CHANNEL_UPDATED


def fields(contact: Contact) -> dict[str, object]:
    """Returns the fields of a contact that an event can hold, beside its channels."""
    return {key: value for key, value in asdict(contact).items() if key not in _NOT_TOLD}


def _channels(channel_list: ChannelList) -> Channels:
    first = {channel.id for channel in primaries(channel_list)}
    return {channel.id: (channel, channel.id in first) for channel in channel_list.channels}


def _differing(these: Channels, those: Channels) -> list[ChannelSnapshot]:
    """Those of the first that are not the same in the second."""
    return [
        ChannelSnapshot(**asdict(channel), primary=primary)
        for key, (channel, primary) in these.items()
        if those.get(key) != (channel, primary)
    ]


def _text(value: dict[str, object]) -> str:
    return msgspec.json.encode(value).decode()
