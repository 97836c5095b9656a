"""Reading, listing, searching and changing contacts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import uuid4

from reachbook.domain import contact as contacts
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.channel import require_contact
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Refusal
from reachbook.domain.list_cursor import ListQuery
from reachbook.service.bulk import BulkWriter, ContactUpdate, NewContact
from reachbook.service.contact_list import ContactList
from reachbook.service.contact_writer import ContactWriter, WriteContext, unwrap
from reachbook.service.lookup import look_up
from reachbook.storage import Queries


class Contacts:
    """The use cases of contacts."""

    def __init__(self, writer: ContactWriter, queries: Queries) -> None:
        self._writer = writer
        self._queries = queries
        self._list = ContactList(queries)
        self._bulk = BulkWriter(writer, queries)

    async def get(self, context: WriteContext, uuid: str) -> Contact:
        """Returns a contact with all its fields."""
        return require_contact(await self._writer.store.read(Contact, context.team_id, uuid))

    async def create(
        self, context: WriteContext, wanted: ContactInput, uuid: str | None = None
    ) -> Contact:
        """Create a contact, with a new UUID unless `uuid` is given; returns it."""
        named = uuid or str(uuid4())
        outcome = await self._writer.create(
            context, named, partial(contacts.create, context.team_id, named, wanted)
        )
        saved: Contact = unwrap(context, outcome)
        return saved

    async def create_many(
        self, team_id: TeamId, rows: Sequence[NewContact]
    ) -> list[Contact | None]:
        """Create contacts in one transaction; returns None for each that must be written alone."""
        return await self._bulk.create(team_id, rows)

    async def update_many(
        self, team_id: TeamId, rows: Sequence[ContactUpdate]
    ) -> list[Contact | None]:
        """Change contacts in one transaction; returns None for each that must be written alone."""
        return await self._bulk.update(team_id, rows)

    async def update(
        self, context: WriteContext, uuid: str, wanted: ContactInput, *, overwrite: bool
    ) -> Contact:
        """Set the supplied fields; `custom` is merged, or replaced if `overwrite` is true."""
        return await self._writer.change(
            context,
            Contact,
            uuid,
            lambda seen, now: contacts.update(seen, wanted, now, overwrite=overwrite),
        )

    async def delete(self, context: WriteContext, uuid: str) -> Contact:
        """Hide a contact, and release its addresses; returns it."""
        return await self._writer.change(context, Contact, uuid, contacts.delete)

    async def page(self, team_id: TeamId, query: ListQuery) -> list[Contact]:
        """Returns a page of contacts by the time of their last change."""
        return await self._list.page(team_id, query)

    async def search(self, team_id: TeamId, sought: list[AddressQuery]) -> list[Contact]:
        """Returns the contacts that own any of the addresses, in the order of the addresses.

        An ambiguous address is left out if another address can be looked up; otherwise its refusal
        is raised.
        """
        found_owners = await look_up(self._queries, team_id, sought)
        owned = [owners for owners in found_owners if not isinstance(owners, Refusal)]
        refused = [owners for owners in found_owners if isinstance(owners, Refusal)]
        if refused and not owned:
            raise refused[0]
        numbers = [each.contact_number for owners in owned for each in owners]
        found_ = await self._queries.contacts(team_id, set(numbers))
        return [found_[number] for number in dict.fromkeys(numbers) if number in found_]
