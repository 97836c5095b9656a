"""Reads that span contacts: pages by time of change, owners of many addresses, events."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter

import msgspec
from msgspec import Struct

from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.domain.event import EventRecord
from reachbook.domain.list_cursor import END_OF_TIME, MAX_GROUP, ListQuery, Precision, page_start
from reachbook.domain.names import NamePosition
from reachbook.storage import name_search
from reachbook.storage.engine import Engine, Row
from reachbook.storage.name_search import NamedContacts
from reachbook.storage.rows import contact_of, contacts_of

FAR_FUTURE = 2**63 - 1
OWNER_COLUMNS = 6
"""The columns of `owners_with_contacts` before those of the contact."""

PAGE_BYTES = 1024 * 1024
"""The maximum of bytes of event bodies in a page, unless its first event alone is larger."""

MAX_TYPES = 32
"""The maximum of channel types of a team that are read."""


class AddressOwner(Struct, frozen=True):
    """The owner of an address: the numbers of the contact and of the channel."""

    channel_type: ChannelType
    scope: str
    created: int
    channel_number: int
    contact_number: int


class Queries:
    """Queries across the contacts of a team."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def page(self, team_id: TeamId, query: ListQuery, precision: Precision) -> list[Contact]:
        """Returns a page by time of change that ends at the end of a group of a precision.

        The page has `query.limit` contacts and the rest of the last group. If that group has more
        than `MAX_GROUP` contacts, the page holds more than `MAX_GROUP` of them, but may end inside
        the group unless the precision is a microsecond. The page is empty if the group of the
        query's cursor has more than `MAX_GROUP` contacts.
        """
        start = page_start(query.cursor, ascending=query.ascending)
        # The last group may have any number of contacts. More than `MAX_GROUP` of them are read, so
        # that the caller sees that a finer precision is needed.
        most = END_OF_TIME if precision is Precision.MICROSECOND else query.limit + 2 * MAX_GROUP
        rows = await self._engine.scan(
            "contacts_after" if query.ascending else "contacts_before",
            team_id,
            start.start,
            query.limit - 1,
            precision,
            start.beyond,
            start.group,
            MAX_GROUP,
            most,
        )
        return contacts_of(rows, team_id)

    async def skipped_page(self, team_id: TeamId, query: ListQuery) -> list[Contact]:
        """Returns the contacts that follow `query.page` times `query.limit` contacts."""
        start = page_start(query.cursor, ascending=query.ascending).start
        statement = "contact_ids_after" if query.ascending else "contact_ids_before"
        skipped = query.page * query.limit
        # The ids first: an OFFSET over whole contacts would read every channel that it skips.
        ids = await self._engine.scan(statement, team_id, start, query.limit, skipped)
        numbers = [number for number, _ in ids]
        text = msgspec.json.encode(numbers).decode()
        rows = await self._engine.scan("contacts_of", team_id, text)
        contacts = {each.id: each for each in contacts_of(rows, team_id)}
        return [contacts[number] for number in numbers if number in contacts]

    async def nth_updated(
        self, team_id: TeamId, start: int, skipped: int, *, ascending: bool
    ) -> int | None:
        """Returns when the contact after some skipped ones was last changed, or None.

        The first contact is at or after `start` if ascending, else before `start`.
        """
        statement = "contact_ids_after" if ascending else "contact_ids_before"
        rows = await self._engine.scan(statement, team_id, start, 1, skipped)
        return rows[0][1] if rows else None

    async def owners(self, team_id: TeamId, wanted: list[AddressQuery]) -> list[list[AddressOwner]]:
        """Returns the owners of each address, in the order of the addresses, in one statement."""
        found: list[list[AddressOwner]] = [[] for _ in wanted]
        for number, *owned in await self._engine.read("owners", team_id, _addresses(wanted)):
            found[number].append(AddressOwner(*owned))
        return found

    async def owners_with_contacts(
        self, team_id: TeamId, wanted: list[AddressQuery]
    ) -> tuple[list[list[AddressOwner]], dict[int, Contact]]:
        """Returns the owners of a few addresses, and their contacts by number, in one statement."""
        rows = await self._engine.read("owners_with_contacts", team_id, _addresses(wanted))
        found: list[list[AddressOwner]] = [[] for _ in wanted]
        contacts: dict[int, Contact] = {}
        for (number, *owned), of_owner in groupby(rows, key=itemgetter(*range(OWNER_COLUMNS))):
            owner = AddressOwner(*owned)
            found[number].append(owner)
            contact = contact_of([row[OWNER_COLUMNS:] for row in of_owner], team_id)
            if contact is not None:
                contacts[owner.contact_number] = contact
        return found, contacts

    async def channel_types(self, team_id: TeamId) -> list[str]:
        """Returns the channel types that contacts of the team have, at most `MAX_TYPES`."""
        rows = await self._engine.read("channel_types", team_id, MAX_TYPES)
        return [kind for [kind] in rows]

    async def known_external_ids(self, team_id: TeamId, external_ids: set[str]) -> set[str]:
        """Returns those of some external ids that contacts of the team have."""
        if not external_ids:
            return set()
        text = msgspec.json.encode(sorted(external_ids)).decode()
        rows = await self._engine.read("known_external_ids", team_id, text)
        return {external_id for [external_id] in rows}

    async def contacts_by_uuid(self, team_id: TeamId, uuids: set[str]) -> dict[str, Contact]:
        """Returns contacts by their UUIDs, without those that the team does not have."""
        if not uuids:
            return {}
        text = msgspec.json.encode(sorted(uuids)).decode()
        rows = await self._engine.read("ids_of_uuids", team_id, text)
        found = await self.contacts(team_id, {contact_id for _, contact_id in rows})
        return {contact.uuid: contact for contact in found.values()}

    async def contacts(self, team_id: TeamId, numbers: set[int]) -> dict[int, Contact]:
        """Returns contacts by their numbers; those that have been deleted meanwhile are omitted."""
        if not numbers:
            return {}
        # Sorted, so that neighbours in the index are read together.
        text = msgspec.json.encode(sorted(numbers)).decode()
        rows = await self._engine.read("contacts_of", team_id, text)
        return {contact.id: contact for contact in contacts_of(rows, team_id)}

    async def contacts_named(
        self,
        team_id: TeamId,
        prefixes: Sequence[str],
        after: NamePosition | None,
        limit: int,
    ) -> NamedContacts:
        """Returns a page of the contacts that have for each prefix a word that begins with it.

        `prefixes` are as `names.prefixes` returns them; the page is empty if there are none. The
        order is that of the word that begins with the rarest prefix, and then of the contact id.
        A contact whose name has changed since its entry was read may be in the page.
        """
        found = await name_search.find(self._engine, team_id, prefixes, after, limit)
        contacts = await self.contacts(team_id, {each.contact_id for each in found.entries})
        return NamedContacts(
            [contacts[each.contact_id] for each in found.entries if each.contact_id in contacts],
            found.following,
            found.is_cut,
        )

    async def history(
        self, team_id: TeamId, contact_number: int, *, before_rev: int, limit: int
    ) -> list[EventRecord]:
        """Returns a contact's events before a revision, newest first; at most `limit`."""
        rows = await self._engine.scan(
            "history", team_id, contact_number, before_rev, limit, PAGE_BYTES
        )
        return [_event_record(row) for row in rows]

    async def events_after(
        self, team_id: TeamId, contact_number: int, *, after_rev: int, limit: int
    ) -> list[EventRecord]:
        """Returns a contact's events after a revision, oldest first; at most `limit`."""
        rows = await self._engine.scan(
            "events_after", team_id, contact_number, after_rev, limit, PAGE_BYTES
        )
        return [_event_record(row) for row in rows]

    async def feed(self, team_id: TeamId, after: int, limit: int) -> list[EventRecord]:
        """Returns the team's events after a number, in order and without gaps.

        New events are numbered before the read, so that an event with a lower number never appears
        later. The page has fewer than `limit` events if they are large.
        """
        if await self._engine.read("unnumbered", team_id):
            await self._engine.number_events(team_id)
        rows = await self._engine.scan("feed", team_id, after, limit, PAGE_BYTES)
        return [_event_record(row) for row in rows]

    async def newest_seq(self, team_id: TeamId) -> int:
        """Returns the newest number of the team's feed, or 0 if it has none."""
        rows = await self._engine.read("newest_seq", team_id)
        return rows[0][0] or 0

    async def labels(self, team_id: TeamId) -> dict[str, str]:
        """Returns the labels of the team's credentials by id."""
        rows = await self._engine.read("labels", team_id)
        return {row[0]: row[1] for row in rows}


def _addresses(sought: list[AddressQuery]) -> str:
    """Returns addresses as the JSON array of a statement."""
    entries = [
        {
            "n": number,
            "channel_type": query.address.channel_type,
            "identity": query.address.identity,
            "scope": query.scope,
        }
        for number, query in enumerate(sought)
    ]
    # One parameter: PostgreSQL would prepare a statement for every number of parameters.
    return msgspec.json.encode(entries).decode()


def _event_record(row: Row) -> EventRecord:
    _, rev, kind, before, after, actor, request_id, at, seq, uuid = row
    return EventRecord(uuid, rev, kind, before, after, actor, request_id, at, seq)
