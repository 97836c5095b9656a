"""The search box: the owners of an address first, then contacts by the words of their names."""

from __future__ import annotations

from msgspec import Struct

from reachbook.domain.address import search_text
from reachbook.domain.address.parsing import Address, is_number, readings
from reachbook.domain.address.phone import PHONE_FAMILY
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.address.search_text import Reading
from reachbook.domain.channel import ContactChannel
from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Refusal
from reachbook.domain.suppression import Suppression
from reachbook.service.lookup import look_up
from reachbook.service.name_search import NamePage, NameSearch
from reachbook.service.resolve import Resolver
from reachbook.storage import Queries, Team

MAX_CHARACTERS = 1000


class FoundOwner(Struct, frozen=True):
    """A contact that owns an address of the search text, and the channel that has it."""

    contact: Contact
    channel: ContactChannel


class ReadAddress(Struct, frozen=True):
    """A number or an email address that the search text is read as.

    `suppressed` is its opt-out or bounce if no contact has it.
    """

    reading: Reading
    is_owned: bool = False
    suppressed: Suppression | None = None


class SearchPage(Struct, frozen=True):
    """The result of a search.

    `addresses` are the numbers or email addresses that the text is read as; there are two if its
    digits are ambiguous. `refusal` is set if the text looks like an address but is not valid.
    `owners` have one of these addresses, or an id or a handle that is the text. `named` is a page
    of other contacts, by their names.
    """

    addresses: tuple[ReadAddress, ...]
    refusal: Refusal | None
    owners: tuple[FoundOwner, ...]
    named: NamePage


class Search:
    """Finds contacts by the text of a search box."""

    def __init__(self, queries: Queries, resolver: Resolver, names: NameSearch) -> None:
        self._queries = queries
        self._resolver = resolver
        self._names = names

    async def page(self, team: Team, text: str, cursor: str | None = None) -> SearchPage:
        """Returns the contacts that a text may mean; at most `MAX_CHARACTERS` of it are read.

        Only the first page, which has no cursor, holds the owners of addresses.
        """
        text, team_id = text[:MAX_CHARACTERS], TeamId(team.team_id)
        named = await self._names.page(team_id, text, cursor)
        if cursor is not None:
            return SearchPage((), None, (), named)
        types = await self._queries.channel_types(team_id)
        found = search_text.read(text, team.default_region, types)
        owners = await self._owners(team_id, found.readings)
        addresses = [
            _owned(team, text, reading, owners) or await self._unowned(team_id, reading)
            for reading in found.readings
            if reading.explanation
        ]
        shown = {owner.contact.id for owner in owners}
        others = [contact for contact in named.contacts if contact.id not in shown]
        named = NamePage(others, named.cursor, named.is_cut)
        return SearchPage(tuple(addresses), found.refusal, owners, named)

    async def _owners(self, team_id: TeamId, parsed: tuple[Reading, ...]) -> tuple[FoundOwner, ...]:
        """Returns the owners of addresses, in the order of the readings, each contact once."""
        # Each reading of a number is looked up by itself, so that two owners are both found.
        queries = [AddressQuery(each) for reading in parsed for each in readings(reading.address)]
        results = await look_up(self._queries, team_id, queries)
        owned = [each for owners in results if not isinstance(owners, Refusal) for each in owners]
        contacts = await self._queries.contacts(team_id, {each.contact_number for each in owned})
        found: dict[int, FoundOwner] = {}
        for each in owned:
            contact = contacts.get(each.contact_number)
            for channel in contact.channels if contact else ():
                if contact and channel.id == each.channel_number:
                    found.setdefault(contact.id, FoundOwner(contact, channel))
        return tuple(found.values())

    async def _unowned(self, team_id: TeamId, reading: Reading) -> ReadAddress:
        [found] = await self._resolver.many(team_id, [AddressQuery(reading.address)])
        suppressed = None if isinstance(found, Refusal) else found.suppressed
        return ReadAddress(reading, suppressed=suppressed)


def _owned(
    team: Team, text: str, reading: Reading, owners: tuple[FoundOwner, ...]
) -> ReadAddress | None:
    """Returns the reading of an address that an owner has, or None if there is no owner."""
    for owner in owners:
        if _has(owner.channel, reading.address):
            identity = owner.channel.identity
            seen = search_text.owned(text, reading, team.default_region, identity)
            return ReadAddress(seen, is_owned=True)
    return None


def _has(channel: ContactChannel, address: Address) -> bool:
    """Returns whether a channel has an address; a number may be of any type of its family."""
    kinds = PHONE_FAMILY if is_number(address) else {address.channel_type}
    return channel.channel_type in kinds and any(
        channel.identity == each.identity for each in readings(address)
    )
