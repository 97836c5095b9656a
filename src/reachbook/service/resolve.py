"""Resolves addresses to contacts; concurrent requests for one address create one contact."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from reachbook.domain import contact as contacts
from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import readings
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.channel import ChannelSelector, ContactChannel, has_address, select_channel
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.consent import SuppressionReason
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.suppression import Location, Suppression, digest_of
from reachbook.service.contact_writer import ContactWriter, WriteContext, unwrap
from reachbook.service.lookup import look_up_first
from reachbook.storage import Conflict, Queries, StoredResponse, contended
from reachbook.storage.queries import AddressOwner
from reachbook.storage.retry import Attempts


class Resolved(Struct, frozen=True):
    """The owner of an address, or None with the suppression of the address, if any."""

    query: AddressQuery
    contact: Contact | None = None
    channel: ContactChannel | None = None
    created: bool = False
    suppressed: Suppression | None = None


class Resolver:
    """Finds the owners of addresses, and creates contacts for addresses without an owner."""

    def __init__(self, writer: ContactWriter, queries: Queries) -> None:
        self._writer = writer
        self._queries = queries

    async def one(
        self, context: WriteContext, query: AddressQuery, create: ContactInput | None
    ) -> Resolved:
        """Returns the owner of an address; creates `create` if there is no owner.

        Raises `ambiguous` if two contacts own the two readings of the address, or if an ambiguous
        address must be added.
        """
        found = await self._find(context.team_id, query)
        if found.contact or create is None:
            return found
        addresses.require_unambiguous(query.address)
        wanted = ChannelInput(query.address, info_channel=query.info_channel)
        uuid, new = str(uuid4()), replace(create, channels=(wanted, *create.channels))
        creating = _created_context(context, query)
        async for _ in Attempts():
            outcome = await self._writer.create(
                creating, uuid, partial(contacts.create, context.team_id, uuid, new)
            )
            # Any other conflict is an error of the request, such as an external id in use.
            if not _is_conflict_of(outcome, query):
                saved: Contact = unwrap(context, outcome)
                return created_result(saved, query)
            found = await self._find(context.team_id, query)
            if found.contact:
                return found
        raise contended()

    async def _find(self, team_id: TeamId, query: AddressQuery) -> Resolved:
        [found] = await self.many(team_id, [query])
        if isinstance(found, Refusal):
            raise found
        return found

    async def many(self, team_id: TeamId, query: list[AddressQuery]) -> list[Resolved | Refusal]:
        """Returns the owner of each address, in order.

        The entry of an address whose two readings belong to two contacts is a refusal.
        """
        # The owners are found in one read, and their contacts in the next. If an address has moved
        # in between, only that address is looked up again.
        results: dict[int, Resolved | Refusal] = {}
        left = list(range(len(query)))
        async for _ in Attempts():
            wanted = [query[place] for place in left]
            first, found = await look_up_first(self._queries, team_id, wanted)
            seen = [
                _resolved(query[place], owners, found)
                for place, owners in zip(left, first, strict=True)
            ]
            results |= {
                place: each for place, each in zip(left, seen, strict=True) if each is not None
            }
            left = [place for place, each in zip(left, seen, strict=True) if each is None]
            if not left:
                break
        in_order = [results.get(place, Resolved(query[place])) for place in range(len(query))]
        return await self._with_suppressions(team_id, query, in_order)

    async def _with_suppressions(
        self, team_id: TeamId, query: list[AddressQuery], results: list[Resolved | Refusal]
    ) -> list[Resolved | Refusal]:
        """Returns the results; those without an owner get the suppression of either reading."""
        unowned = {
            place: result
            for place, result in enumerate(results)
            if isinstance(result, Resolved) and result.contact is None
        }
        # A team without a key has no suppressions, and a look-up must not create a key.
        key = await self._writer.team_keys.find(team_id) if unowned else None
        if key is None:
            return results
        digests = {
            place: [digest_of(key, each) for each in _locations(query[place])] for place in unowned
        }
        wanted = [digest for some in digests.values() for digest in some]
        known = await self._writer.store.suppressions(team_id, wanted)
        for place, some in digests.items():
            rows = [row for digest in some for row in known.get(digest, ())]
            if rows:  # an opt-out takes precedence over a bounce
                row = max(rows, key=attrgetter("reason"))
                results[place] = replace(unowned[place], suppressed=row)
        return results

    async def end_suppression(
        self, context: WriteContext, query: AddressQuery, reason: SuppressionReason
    ) -> None:
        """End a suppression of an address that nobody owns, and record the actor.

        Raises `address_taken` if a contact owns the address, and `no_suppression` if there is none.
        """
        store, now = self._writer.store, self._writer.clock()
        key = await self._writer.team_keys.of(context.team_id)
        locations = _locations(query)
        for location in locations:
            ended = (context.team_id, digest_of(key, location), reason, *location)
            if await store.end_suppression((*ended, now, context.actor)):
                return
        for location in locations:
            owner = await store.owner(context.team_id, location)
            if owner is not None and owner.channel is not None:
                raise _owned_by(owner.owner_uuid, owner.channel)
        raise Refusal(
            Reason.NO_SUPPRESSION,
            f"The address is not suppressed as {reason}; POST /x/resolve shows its suppression.",
        )


def _locations(query: AddressQuery) -> list[Location]:
    """Returns the address as it is stored, in each of its readings."""
    return [
        (each.channel_type, query.scope or "", each.identity) for each in readings(query.address)
    ]


def _owned_by(uuid: str, channel: ContactChannel) -> Refusal:
    return Refusal(
        Reason.ADDRESS_TAKEN,
        f"Contact {uuid} owns {channel.channel_type} {channel.channel_id}; send PATCH to "
        f"/x/contact/{uuid}/channel/{channel.id} with consent or held instead.",
        fields={"channel_id": "belongs to a contact"},
        facts={
            "conflicting_contact_id": uuid,
            "conflicting_channel_id": channel.id,
            "channel_id": channel.channel_id,
        },
    )


def created_result(contact: Contact, query: AddressQuery) -> Resolved:
    """Returns the result of creating a contact for an address: the contact and its channel."""
    channel = select_channel(contact, ChannelSelector(query.address.channel_type, query.address))
    return Resolved(query, contact, channel, created=True)


def _created_context(context: WriteContext, query: AddressQuery) -> WriteContext:
    """Returns the context in which a contact is created for an address, which is not moved."""

    def respond(contact: Contact) -> StoredResponse:
        return context.respond(created_result(contact, query))

    return replace(context, unmovable=query.address, respond=respond)


def _is_conflict_of(outcome: object, query: AddressQuery) -> bool:
    """Returns whether another request has added the address meanwhile."""
    return (
        isinstance(outcome, Conflict)
        and outcome.channel is not None
        and has_address(outcome.channel, query.address)
    )


def _resolved(
    query: AddressQuery, owners: list[AddressOwner] | Refusal, found: dict[int, Contact]
) -> Resolved | Refusal | None:
    """Returns the result for an address, or None if its owner has changed between two reads."""
    if isinstance(owners, Refusal):
        return owners
    if not owners:
        return Resolved(query)
    [owned] = owners
    contact = found.get(owned.contact_number)
    for channel in contact.channels if contact else ():
        if channel.id == owned.channel_number:
            return Resolved(query, contact, channel)
    return None
