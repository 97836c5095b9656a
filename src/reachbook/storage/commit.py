"""A commit and its outcome, as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from operator import attrgetter
from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from reachbook.domain import event
from reachbook.domain.channel import ChannelList, ContactChannel
from reachbook.domain.consent import SuppressionReason
from reachbook.domain.contact import Contact
from reachbook.domain.event import Change
from reachbook.domain.suppression import SuppressionWrites, fingerprint

ERASE_SUPPRESSIONS = ("delete_bounces", "coarsen_suppressions", "delete_ended_suppressions")
"""The statements that an erasure runs on the suppressions of the contact's addresses."""


class StoredResponse(Struct, frozen=True):
    """A response as it is stored for a retry.

    `contact_uuids` are the contacts that it mentions: if one of them is erased, the stored response
    is deleted. They are not read back with it.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    contact_uuids: tuple[str, ...] = ()


class IdempotencyKey(Struct, frozen=True):
    """The Idempotency-Key of a request, and the hash of the request.

    `created` and `expired_before` are microseconds since the epoch.
    """

    key: str
    request_hash: bytes
    created: int
    expired_before: int


class IdempotencyRecord(Struct, frozen=True):
    """A key and the response to store under it."""

    key: IdempotencyKey
    response: StoredResponse


class Commit(Struct, frozen=True):
    """The changes of contacts to their next revisions, the actor, and the response to store.

    `change` is the requested one; the contacts of `others` release addresses for it. The commit is
    written only if every contact still has the revision of its `before`. `new_ids` holds the ids
    that were reserved for the channels that this commit inserts. `suppression` holds the
    suppressions that the commit expects and those that it writes.
    """

    change: Change
    actor: str
    request_id: str
    others: tuple[Change, ...] = ()
    idempotency: IdempotencyRecord | None = None
    new_ids: frozenset[int] = frozenset()
    suppression: SuppressionWrites = SuppressionWrites()

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes, the requested one first."""
        return (self.change, *self.others)

    def is_empty(self) -> bool:
        """Returns whether the rule changed nothing: it returned the same object it was given."""
        return self.change.after is self.change.before


class LockSet(Struct, frozen=True):
    """The contacts that are locked while a commit is decided.

    They are the contact to change, which is read as a `shape` (None if it does not exist yet), and
    `owners`, which may have to release addresses. `digests` are the suppressions to read with them,
    and `new_channels` is the number of channels that get an id.
    """

    team_id: int
    shape: type[ChannelList] | None
    uuid: str
    owners: frozenset[str] = frozenset()
    digests: tuple[str, ...] = ()
    new_channels: int = 1


class Saved(Struct, frozen=True):
    """The commit was written; `after` is the contact with the ids of its new rows."""

    after: ChannelList


class Conflict(Struct, frozen=True):
    """Another contact has the address, the UUID or the external id."""

    owner_uuid: str
    field: Literal["address", "uuid", "external_id"]
    channel: ContactChannel | None = None


class Replayed(Struct, frozen=True):
    """The key has been used: the stored response, and the hash of its request."""

    request_hash: bytes
    response: StoredResponse


class Stale(Enum):
    """The contact has changed since it was read: read it and apply the rule again."""

    STALE = "stale"


STALE: Final = Stale.STALE

Outcome = Saved | Conflict | Replayed | Stale


class Writes(Struct, frozen=True):
    """The rows that a change writes, as both engines need them.

    They must be written in the order of the fields: an update or an insert may need an address that
    a deleted or updated channel releases.
    """

    removed: list[int]
    updated: list[ContactChannel]
    inserted: list[ContactChannel]
    before: str | None
    after: str | None


def writes(commit: Commit, change: Change) -> Writes:
    """Returns the rows that one change of a numbered commit writes.

    Channels are in the order of their identities, so that two commits that want the same addresses
    wait for them in the same order.
    """
    old = {channel.id: channel for channel in change.before.channels} if change.before else {}
    new = {channel.id: channel for channel in change.after.channels}
    before, after = event.diff(change)
    differing = sorted(
        (channel for key, channel in new.items() if old.get(key) != channel),
        key=attrgetter("channel_type", "identity", "scope"),
    )
    return Writes(
        removed=[key for key in old if key not in new],
        updated=[channel for channel in differing if channel.id not in commit.new_ids],
        inserted=[channel for channel in differing if channel.id in commit.new_ids],
        before=before,
        after=after,
    )


def is_new_channel(commit: Commit, writes: Writes) -> bool:
    """Returns whether a commit adds one channel to one contact and does nothing else.

    Its address must have no suppression.
    """
    return (
        not (commit.others or writes.removed or writes.updated)
        and len(writes.inserted) == 1
        and writes.after is not None
        and commit.suppression == SuppressionWrites(commit.suppression.digests)
        and len(commit.suppression.digests) == 1
    )


def wanted_identities(change: Change) -> list[ContactChannel]:
    """Returns the channels of a change whose address the contact did not have before."""
    return _beyond(change.after, change.before)


def suppression_values(commit: Commit, change: Change) -> tuple[object, ...]:
    """Returns the addresses gained, their digests, and the rows to expect, insert and delete.

    The order is that of the statement for PostgreSQL. A repair by the doctor has no values. Only
    the requested change has any: the others are written before it, and would change the
    suppressions that it expects.
    """
    writes = commit.suppression
    if change is not commit.change or writes == SuppressionWrites():
        return "[]", "[]", "", "[]", "{}", "{}"
    gained = [
        {"channel_type": channel.channel_type, "scope": channel.scope, "identity": channel.identity}
        for channel in wanted_identities(change)
    ]
    opted_in, released = (
        [digest for digest, ended in writes.ended if ended is reason]
        for reason in (SuppressionReason.OPTED_OUT, SuppressionReason.BOUNCED)
    )
    return (
        json_text(gained),
        json_text(writes.digests),
        fingerprint(writes.expected),
        json_text(writes.recorded),
        array_text(opted_in),
        array_text(released),
    )


def json_text(value: object) -> str:
    """Returns a value as JSON text."""
    return msgspec.json.encode(value).decode()


def array_text(values: Iterable[int | str]) -> str:
    """Returns numbers, UUIDs or digests as the text of an array of PostgreSQL.

    For a parameter of an array type, asyncpg reads the catalogue once for each connection, which
    takes half a second on Citus. A text that the statement casts needs none of that.
    """
    return f"{{{','.join(map(str, values))}}}"


def may_deadlock(commit: Commit) -> bool:
    """Returns whether the commit can wait for an address while another waits for one of its own.

    It can if it takes several addresses, or takes an address and releases another.
    """
    took = sum(len(wanted_identities(change)) for change in commit.changes)
    released = any(_beyond(change.before, change.after) for change in commit.changes)
    return took > 1 or (took == 1 and released)


def ids_wanted(commit: Commit) -> int:
    """Returns how many channels of a commit have no id yet."""
    return sum(not channel.id for change in commit.changes for channel in change.after.channels)


def with_ids(commit: Commit, contact_id: int, numbers: Iterator[int]) -> Commit:
    """Returns the commit with an id for the contact to change, and for each new channel."""
    after = replace(commit.change.after, id=contact_id)
    new_ids = set(commit.new_ids)
    change = _with_numbers(replace(commit.change, after=after), numbers, new_ids)
    others = tuple(_with_numbers(other, numbers, new_ids) for other in commit.others)
    return replace(commit, change=change, others=others, new_ids=frozenset(new_ids))


def details(contact: Contact) -> tuple[object, ...]:
    """Returns the columns of a contact beyond its channels, in the order of the statements."""
    return (
        contact.first,
        contact.last,
        contact.display_name,
        contact.avatar,
        contact.assigned_user_id,
        contact.external_id,
        contact.is_opted_out,
        json_text(contact.custom),
        json_text(contact.tags),
    )


def response_row(team_id: int, record: IdempotencyRecord) -> tuple[object, ...]:
    """Returns the row of a stored response, in the order of the statement."""
    key, response = record.key, record.response
    return (
        team_id,
        key.key,
        key.request_hash,
        response.status,
        json_text(response.headers),
        response.body,
        key.created,
        key.expired_before,
    )


def _beyond(first: ChannelList | None, second: ChannelList | None) -> list[ContactChannel]:
    """Returns the channels of the first whose address the second does not have."""
    known = {_address(channel) for channel in second.channels} if second else set()
    channels = first.channels if first else ()
    return [channel for channel in channels if _address(channel) not in known]


def _address(channel: ContactChannel) -> tuple[str, str, str]:
    return channel.channel_type, channel.scope, channel.identity


def _with_numbers(change: Change, numbers: Iterator[int], new_ids: set[int]) -> Change:
    channels = []
    for channel in change.after.channels:
        if channel.id:
            channels.append(channel)
        else:
            new_id = next(numbers)
            new_ids.add(new_id)
            channels.append(replace(channel, id=new_id))
    return replace(change, after=replace(change.after, channels=tuple(channels)))
