"""Compares the rows of a database with the acknowledged writes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import asyncpg

from reachbook.storage import opening
from tests.support.write_load import KnownAddresses, WriteLog

CONTACTS = "SELECT id, uuid, rev FROM contact"
CHANNELS = "SELECT contact_id, id, channel_id FROM contact_channel"
EVENTS = (
    "SELECT contact_id, contact_rev, before, after FROM event AS e"
    " LEFT JOIN event_body AS b ON b.team_id = e.team_id AND b.event_id = e.id"
    " ORDER BY contact_id, contact_rev"
)
STATEMENTS = (CONTACTS, CHANNELS, EVENTS)

Row = Sequence[Any]


@dataclass(frozen=True)
class DatabaseRows:
    """The rows of a database."""

    contacts: Sequence[Row]
    channels: Sequence[Row]
    events: Sequence[Row]

    def faults(self, log: WriteLog) -> list[str]:
        """Return the acknowledged writes that are lost, and the changes that are incomplete."""
        return [*self._lost(log), *self._incomplete()]

    def _lost(self, log: WriteLog) -> Iterator[str]:
        known = log.contacts()
        uuids = {number: uuid for number, uuid, _ in self.contacts}
        addresses: defaultdict[str, set[str]] = defaultdict(set)
        for contact_id, _, address in self.channels:
            addresses[uuids[contact_id]].add(address)
        for uuid in known.keys() - set(uuids.values()):
            yield f"contact {uuid} is lost"
        for uuid, expected in known.items():
            yield from _address_faults(uuid, expected, addresses[uuid])

    def _incomplete(self) -> Iterator[str]:
        """Yield the contacts whose events are missing, or do not replay to their channels."""
        now: defaultdict[int, dict[int, str]] = defaultdict(dict)
        for contact_id, number, address in self.channels:
            now[contact_id][number] = address
        events_of: defaultdict[int, list[Row]] = defaultdict(list)
        for event in self.events:
            events_of[event[0]].append(event)
        for contact_id, uuid, rev in self.contacts:
            if [event[1] for event in events_of[contact_id]] != list(range(1, rev + 1)):
                number = len(events_of[contact_id])
                yield f"contact {uuid} is at revision {rev} with {number} events"
            elif replay(events_of[contact_id]) != now[contact_id]:
                yield f"the events of contact {uuid} do not replay to its channels"


def _address_faults(uuid: str, known: KnownAddresses, stored: set[str]) -> Iterator[str]:
    for address, is_present in known.items():
        if is_present is not None and is_present is not (address in stored):
            yield f"{address} of contact {uuid} is {'missing' if is_present else 'still stored'}"
    for address in stored - known.keys():
        yield f"{address} of contact {uuid} was never sent"


def replay(events: Iterable[Row]) -> dict[int, str] | None:
    """Return the channels after a contact's events; None if an event does not follow the last."""
    channels: dict[int, str] = {}
    for _, _, before, after in events:
        for channel in json.loads(before)["channels"] if before else []:
            if channels.pop(channel["id"], None) != channel["channel_id"]:
                return None
        channels.update(
            {channel["id"]: channel["channel_id"] for channel in json.loads(after)["channels"]}
        )
    return channels


async def read_rows(database: str) -> DatabaseRows:
    """Read the rows of a database."""
    if opening.is_sqlite(database):
        connection = apsw.Connection(str(opening.sqlite_path(database)))
        try:
            assert connection.pragma("integrity_check") == "ok"
            found = [connection.execute(statement).fetchall() for statement in STATEMENTS]
        finally:
            connection.close()
        return DatabaseRows(*found)
    reader = await asyncpg.connect(database)
    try:
        rows = [[tuple(row) for row in await reader.fetch(statement)] for statement in STATEMENTS]
        return DatabaseRows(*rows)
    finally:
        await reader.close()
