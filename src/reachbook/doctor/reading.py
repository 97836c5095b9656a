"""Reads the rows of contacts for the checks, in bounded pages.

A page of contacts is read first, then the channels, duplicates and events of the same range of
numbers; this finds rows that belong to no contact, too. Nothing is locked, so a write between two
reads can look like a fault; `read_stable` reads a contact again until it does not change.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from reachbook.domain import replay
from reachbook.domain.address.parsing import is_stand_in
from reachbook.domain.channel import ContactChannel
from reachbook.domain.contact import Contact
from reachbook.domain.replay import PastState, Replay
from reachbook.domain.replay import Row as EventRow
from reachbook.storage import Store
from reachbook.storage.engine import Row
from reachbook.storage.identities import recomputed
from reachbook.storage.queries import PAGE_BYTES
from reachbook.storage.rows import CONTACT, channel_of, owner_of

PAGE = 500
FIRST, LAST = -(2**63), 2**63 - 1
READS = 8
READ_AGAIN_SECONDS = 0.05


class EventFold(Struct):
    """A contact's events, folded as they are read, and their own faults.

    `last` is the highest revision that was read; `missing`, `repeated`, `invalid` and `bodiless`
    are revisions. An event without a body is a fault unless the contact is erased.
    """

    replay: Replay = field(default_factory=Replay)
    last: int = 0
    missing: list[range] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    invalid: list[int] = field(default_factory=list)
    bodiless: list[int] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether each revision up to the last has exactly one event, which can be read."""
        return not (self.missing or self.repeated or self.invalid)

    @property
    def past(self) -> PastState:
        """The contact as its events describe it."""
        return self.replay.past()

    def add(self, row: EventRow) -> None:
        """Add the next event, in the order of revisions."""
        rev, _, _, after = row
        if rev == self.last:
            self.repeated.append(rev)
        elif rev > self.last + 1:
            self.missing.append(range(self.last + 1, rev))
        self.last = rev
        if after is None:
            self.bodiless.append(rev)
        try:
            self.replay.add(row)
        except msgspec.DecodeError:
            self.invalid.append(rev)


class DuplicateAddress(Struct, frozen=True):
    """A channel, and another channel that has the same address."""

    channel: int
    other: int
    other_contact: int


class Owner(Struct, frozen=True):
    """The contact and the channel that have the identity of an address."""

    contact_uuid: str
    channel: ContactChannel


class ContactAudit(Struct):
    """The rows with a contact's number; `contact` is None if there is no such contact.

    `shared` holds the channels that have a stand-in for their identity, with the owner of the
    identity, or None if it has no owner any more. `bad_columns` hold invalid JSON, and are empty in
    `contact`. `known` is the contact as its events describe it. `words` are the indexed words of
    its names, or None if the index is not complete.
    """

    team_id: int
    number: int
    contact: Contact | None = None
    bad_columns: list[str] = field(default_factory=list)
    channels: list[ContactChannel] = field(default_factory=list)
    duplicates: list[DuplicateAddress] = field(default_factory=list)
    shared: dict[int, Owner | None] = field(default_factory=dict)
    events: EventFold = field(default_factory=EventFold)
    known: Contact | None = None
    words: set[str] | None = None

    @property
    def lost(self) -> list[int]:
        """The revisions whose events have lost their bodies; [] for an erased contact."""
        erased = self.contact is not None and self.contact.erased is not None
        return [] if erased else self.events.bodiless

    @property
    def is_whole(self) -> bool:
        """Whether each revision up to the last has exactly one event, which can be read."""
        return self.events.is_whole and not self.lost


async def audits(store: Store, team_id: int) -> AsyncIterator[ContactAudit]:
    """Yields the rows of each number of a team."""
    low = FIRST
    while low < LAST:
        rows = await store.engine.read("doctor_contacts", team_id, low, LAST, PAGE)
        # The range of the last page has no end, so that rows without a contact are read, too.
        high = rows[-1][0] if len(rows) == PAGE else LAST
        for audit in (await _between(store, team_id, low, high, rows)).values():
            yield audit
        low = high


async def read_stable(store: Store, team_id: int, number: int) -> ContactAudit | None:
    """Returns a contact as it was at one time, or None if it changes during each read."""
    for attempt in range(READS):
        await asyncio.sleep(READ_AGAIN_SECONDS if attempt else 0)
        only = (team_id, number - 1, number)
        rows = await store.engine.read("doctor_contacts", *only, 1)
        found = await _between(store, *only, rows)
        # Compared instead of locked: a server may write while the doctor reads.
        again = await store.engine.read("doctor_contacts", *only, 1)
        if [tuple(row) for row in rows] == [tuple(row) for row in again]:
            return found.get(number, ContactAudit(team_id, number))
    return None


async def _between(
    store: Store, team_id: int, low: int, high: int, contacts: list[Row]
) -> dict[int, ContactAudit]:
    """Returns the audits of the numbers after `low` and up to `high`; `contacts` are their rows."""
    found = {row[0]: _decode_row(team_id, row) for row in contacts}

    def of(number: int) -> ContactAudit:
        return found.setdefault(number, ContactAudit(team_id, number))

    async for number, *channel in _paged(store, "doctor_channels", team_id, (low, LAST), high):
        of(number).channels.append(channel_of(channel))
    for audit in found.values():
        for channel in audit.channels:
            if is_stand_in(channel.identity):
                audit.shared[channel.id] = await _owner(store, team_id, channel)
    duplicates = await store.engine.read("doctor_duplicates", team_id, low, high, PAGE)
    for number, *duplicate in duplicates:
        of(number).duplicates.append(DuplicateAddress(*duplicate))
    async for number, *event in _events(store, team_id, low, high):
        of(number).events.add(tuple(event))
    words = await _words(store, team_id, low, high)
    for number in words or ():
        of(number)
    for audit in found.values():
        audit.words = None if words is None else words[audit.number]
        _finish(audit)
    return found


async def _words(
    store: Store, team_id: int, low: int, high: int
) -> defaultdict[int, set[str]] | None:
    """Returns the indexed words by contact, or None if the index is not complete."""
    if not await store.has_all_names():
        return None
    words: defaultdict[int, set[str]] = defaultdict(set)
    for number, word in await store.engine.read("names_between", team_id, low, high):
        words[number].add(word)
    return words


async def _owner(store: Store, team_id: int, channel: ContactChannel) -> Owner | None:
    """Returns the owner of the address of a channel that has only a stand-in for its identity."""
    identity = recomputed(channel.channel_type, channel.channel_id)
    address = (channel.channel_type, channel.scope, identity or "")
    rows = await store.engine.read("owner", team_id, *address)
    return Owner(*owner_of(rows[0])) if rows else None


async def _paged(
    store: Store, statement: str, team_id: int, after: tuple[int, ...], high: int
) -> AsyncIterator[Any]:
    """Yields every row after a cursor, which has the first columns of a row."""
    while True:
        rows = await store.engine.read(statement, team_id, *after, high, PAGE)
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        after = tuple(rows[-1][: len(after)])


async def _events(store: Store, team_id: int, low: int, high: int) -> AsyncIterator[Any]:
    """Yields every event of a range of contacts."""
    # A page can have fewer than `PAGE` events although more follow, because its bytes are limited.
    after = (low, LAST, LAST)
    while rows := await store.engine.read("doctor_events", team_id, *after, high, PAGE, PAGE_BYTES):
        for number, rev, event_id, at, before, values in rows:
            yield number, rev, at, before, values
            after = (number, rev, event_id)


def _decode_row(team_id: int, row: Row) -> ContactAudit:
    bad: list[str] = []

    def parsed(column: str, text: str, kind: Any) -> Any:
        try:
            return msgspec.json.decode(text, type=kind)
        except msgspec.DecodeError:
            bad.append(column)
            return kind()

    values: dict[str, Any] = dict(zip(CONTACT, row, strict=True))
    values["is_opted_out"] = bool(values["is_opted_out"])
    values["custom"] = parsed("custom", values["custom"], dict[str, Any])
    values["tags"] = parsed("tags", values["tags"], tuple[int, ...])
    contact = Contact(team_id=team_id, channels=(), **values)
    return ContactAudit(team_id, contact.id, contact, bad)


def _finish(audit: ContactAudit) -> None:
    audit.channels.sort(key=attrgetter("created", "id"))
    if audit.contact is None:
        return
    audit.contact = replace(audit.contact, channels=tuple(audit.channels))
    try:
        audit.known = replay.contact(audit.events.past, audit.contact)
    except msgspec.ValidationError:
        audit.events.invalid.append(audit.events.last)
