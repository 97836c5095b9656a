"""Events: one for each revision of a contact, with the values before and after.

Events are the history of a contact and the feed of a team. An event is written in the same commit
as its change, and has only the values that the change affects.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict

from reachbook.domain.channel import ChannelList, ContactChannel, primaries
from reachbook.domain.contact import Contact, same_json
from reachbook.domain.event_kind import Kind

Channels = dict[int, tuple[ContactChannel, bool]]  # by id; the flag is whether it is primary
_NOT_IN_EVENT = frozenset({"team_id", "id", "rev", "updated", "created", "channels"})


class EventRecord(Struct, frozen=True):
    """An event as it is stored. `before` and `after` are JSON texts, or null if it was erased.

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
    """A channel in an event; `primary` is whether it is the primary one of its type."""

    primary: bool | UnsetType = UNSET


class Change(Struct, frozen=True):
    """The change of a contact from one revision to the next; `before` is null for a new contact."""

    kind: Kind
    before: ChannelList | None
    after: ChannelList


def change(before: ChannelList | None, after: ChannelList) -> Change:
    """Returns the change from one revision to the next, with its kind."""
    return Change(_kind(before, after), before, after)


def diff(change: Change) -> tuple[str | None, str | None]:
    """Returns the values before and after a change, as JSON texts.

    They are the channels and the fields that the change affects.
    """
    before, after = change.before, change.after
    if change.kind is Kind.ERASED:
        return None, None
    old = _channels(before) if before else {}
    new = _channels(after)
    old_values: dict[str, object] = {"channels": _differing(old, new)}
    new_values: dict[str, object] = {"channels": _differing(new, old)}
    if isinstance(after, Contact):
        known = fields(before) if isinstance(before, Contact) else {}
        changed = {
            key: value
            for key, value in fields(after).items()
            if not same_json(known.get(key), value)
        }
        old_values |= {key: known[key] for key in changed if key in known}
        new_values |= changed
    return (_text(old_values) if before else None), _text(new_values)


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
    return {key: value for key, value in asdict(contact).items() if key not in _NOT_IN_EVENT}


def _channels(channel_list: ChannelList) -> Channels:
    first = {channel.id for channel in primaries(channel_list)}
    return {channel.id: (channel, channel.id in first) for channel in channel_list.channels}


def _differing(first: Channels, second: Channels) -> list[ChannelSnapshot]:
    """Returns the channels of the first that are not the same in the second."""
    return [
        ChannelSnapshot(**asdict(channel), primary=primary)
        for key, (channel, primary) in first.items()
        if second.get(key) != (channel, primary)
    ]


def _text(value: dict[str, object]) -> str:
    return msgspec.json.encode(value).decode()
