"""Reads that span contacts: pages by time of change, owners of many addresses, what happened."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from reachbook.address import Address, ChannelType
from reachbook.contact import Contact
from reachbook.credential import TeamId
from reachbook.event import Happened
from reachbook.storage.engine import Engine, Row
from reachbook.storage.rows import contacts_of

FAR_FUTURE = 2**63 - 1
PAGE_BYTES = 1024 * 1024
"""How much of events' bodies a page holds at most, unless its first event alone is larger."""


class Sought(Struct, frozen=True):
    """An address to look for; `scope` None means in whichever scope."""

    address: Address
    scope: str | None = None


class Owned(Struct, frozen=True):
    """Who owns an address that was looked for: the contact's and the channel's numbers."""

    channel_type: ChannelType
    scope: str
    created: int
    channel_number: int
    contact_number: int


class Directory:
    """What is looked up across a team's contacts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def page(
        self, team_id: TeamId, moment: int | None, limit: int, *, ascending: bool
    ) -> list[Contact]:
        """Contacts by time of change beyond a moment; at least `limit` if there are as many."""
        if ascending:
            rows = await self._engine.scan("contacts_after", team_id, moment or 0, limit - 1)
        else:
            start = FAR_FUTURE if moment is None else moment
            rows = await self._engine.scan("contacts_before", team_id, start, limit - 1)
        return contacts_of(rows, team_id)

    async def owners(self, team_id: TeamId, sought: list[Sought]) -> list[list[Owned]]:
        """Who owns each of many addresses, in one statement; an entry for each, in order."""
        asked = [
            {
                "n": number,
                "channel_type": one.address.channel_type,
                "identity": one.address.identity,
                "scope": one.scope,
            }
            for number, one in enumerate(sought)
        ]
        found: list[list[Owned]] = [[] for _ in sought]
        text = msgspec.json.encode(asked).decode()
        for number, *owned in await self._engine.read("owners", team_id, text):
            found[number].append(Owned(*owned))
        return found

    async def contacts(self, team_id: TeamId, numbers: set[int]) -> dict[int, Contact]:
        """Contacts by their numbers; those that have gone meanwhile are left out."""
        if not numbers:
            return {}
        text = msgspec.json.encode(sorted(numbers)).decode()
        rows = await self._engine.read("contacts_of", team_id, text)
        return {one.id: one for one in contacts_of(rows, team_id)}

    async def history(
        self, team_id: TeamId, contact_number: int, *, before_rev: int, limit: int
    ) -> list[Happened]:
        """A contact's events before a revision, newest first; at most `limit`."""
        rows = await self._engine.scan(
            "history", team_id, contact_number, before_rev, limit, PAGE_BYTES
        )
        return [_happened(row) for row in rows]

    async def events_after(
        self, team_id: TeamId, contact_number: int, *, after_rev: int, limit: int
    ) -> list[Happened]:
        """A contact's events after a revision, oldest first; at most `limit`."""
        rows = await self._engine.scan(
            "events_after", team_id, contact_number, after_rev, limit, PAGE_BYTES
        )
        return [_happened(row) for row in rows]

    async def feed(self, team_id: TeamId, after: int, limit: int) -> list[Happened]:
        """The team's events after a number, in order and without gaps.

        Whoever reads numbers what has arrived first, so a number never appears late. There are
        fewer than `limit` if they are large.
        """
        if await self._engine.read("unnumbered", team_id):
            await self._engine.number_events(team_id)
        rows = await self._engine.scan("feed", team_id, after, limit, PAGE_BYTES)
        return [_happened(row) for row in rows]

    async def labels(self, team_id: TeamId) -> dict[str, str]:
        """What the team's credentials are called, by id."""
        return {row[0]: row[1] for row in await self._engine.read("labels", team_id)}


def _happened(row: Row) -> Happened:
    _, rev, kind, before, after, actor, request_id, at, seq, uuid = row
    return Happened(uuid, rev, kind, before, after, actor, request_id, at, seq)
