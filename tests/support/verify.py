"""Compares the rows of a database with the writes that were acknowledged."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apsw
import asyncpg

from reachbook.storage import opening
from tests.support.write_load import Knowledge, Ledger

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
class Truth:
    """The rows of a database."""

    contacts: Sequence[Row]
    channels: Sequence[Row]
    events: Sequence[Row]

    def faults(self, ledger: Ledger) -> list[str]:
        """Return the acknowledged writes that are lost, and the changes that are incomplete."""
        return [*self._broken(ledger), *self._half_done()]

    def _broken(self, ledger: Ledger) -> Iterator[str]:
        known = ledger.contacts()
        uuids = {number: uuid for number, uuid, _ in self.contacts}
        addresses: defaultdict[str, set[str]] = defaultdict(set)
        for contact_id, _, address in self.channels:
            addresses[uuids[contact_id]].add(address)
        for uuid in known.keys() - set(uuids.values()):
            yield f"contact {uuid} is lost"
        for uuid, told in known.items():
            yield from _broken_promises(uuid, told, addresses[uuid])

    def _half_done(self) -> Iterator[str]:
        """Yield the contacts whose events are missing, or do not replay to their channels."""
        now: defaultdict[int, dict[int, str]] = defaultdict(dict)
        for contact_id, number, address in self.channels:
            now[contact_id][number] = address
        told: defaultdict[int, list[Row]] = defaultdict(list)
        for event in self.events:
            told[event[0]].append(event)
        for contact_id, uuid, rev in self.contacts:
            if [event[1] for event in told[contact_id]] != list(range(1, rev + 1)):
                yield f"contact {uuid} is at revision {rev} with {len(told[contact_id])} events"
            elif replay(told[contact_id]) != now[contact_id]:
                yield f"the events of contact {uuid} do not replay to its channels"


def _broken_promises(uuid: str, known: Knowledge, there: set[str]) -> Iterator[str]:
    for address, promised in known.items():
        if promised is not None and promised is not (address in there):
            yield f"{address} of contact {uuid} is {'not there' if promised else 'still there'}"
    for address in there - known.keys():
        yield f"{address} of contact {uuid} was never sent"


def replay(events: Iterable[Row]) -> dict[int, str] | None:
    """Return the channels after a contact's events; None if an event does not follow the last."""
    channels: dict[int, str] = {}
    for _, _, before, after in events:
        for one in json.loads(before)["channels"] if before else []:
            if channels.pop(one["id"], None) != one["channel_id"]:
                return None
        channels.update({one["id"]: one["channel_id"] for one in json.loads(after)["channels"]})
    return channels


async def truth(database: str) -> Truth:
    """Read the rows of a database."""
    if opening.is_sqlite(database):
        connection = apsw.Connection(str(opening.sqlite_path(database)))
        try:
            assert connection.pragma("integrity_check") == "ok"
            found = [connection.execute(one).fetchall() for one in STATEMENTS]
        finally:
            connection.close()
        return Truth(*found)
    reader = await asyncpg.connect(database)
    try:
        rows = [[tuple(row) for row in await reader.fetch(one)] for one in STATEMENTS]
        return Truth(*rows)
    finally:
        await reader.close()
