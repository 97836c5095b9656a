"""Finds the owners of addresses: in their own type first, then in the whole phone family."""

from __future__ import annotations

from operator import attrgetter

from msgspec.structs import replace

from reachbook.domain.address.parsing import (
    Address,
    ChannelType,
    ambiguous_error,
    is_number,
    readings,
)
from reachbook.domain.address.phone import PHONE_FAMILY
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Refusal
from reachbook.storage import Queries
from reachbook.storage.queries import AddressOwner

PHONE = ChannelType("phone")

Owners = list[AddressOwner] | Refusal


async def look_up(queries: Queries, team_id: TeamId, addresses: list[AddressQuery]) -> list[Owners]:
    """Returns the owners of each address, in order; those with the best match first.

    An address that can be read in two ways belongs to the owner of either reading. If two contacts
    own the readings, the entry of the address is the refusal that names both readings.
    """
    wanted = [_queries(each) for each in addresses]
    return _in_order(addresses, wanted, await queries.owners(team_id, _flat(wanted)))


async def look_up_first(
    queries: Queries, team_id: TeamId, addresses: list[AddressQuery]
) -> tuple[list[Owners], dict[int, Contact]]:
    """Returns the first owner of each address, and the contacts of these owners by number.

    One address takes one statement. Many take two, because several may have one owner.
    """
    if len(addresses) > 1:
        owners = [_first(each) for each in await look_up(queries, team_id, addresses)]
        numbers = {
            owner.contact_number
            for each in owners
            if not isinstance(each, Refusal)
            for owner in each
        }
        return owners, await queries.contacts(team_id, numbers)
    wanted = [_queries(each) for each in addresses]
    found, contacts = await queries.owners_with_contacts(team_id, _flat(wanted))
    return [_first(each) for each in _in_order(addresses, wanted, found)], contacts


def _first(owners: Owners) -> Owners:
    return owners if isinstance(owners, Refusal) else owners[:1]


def _flat(wanted: list[list[list[AddressQuery]]]) -> list[AddressQuery]:
    return [query for by_reading in wanted for of_types in by_reading for query in of_types]


def _in_order(
    addresses: list[AddressQuery],
    wanted: list[list[list[AddressQuery]]],
    found: list[list[AddressOwner]],
) -> list[Owners]:
    """Returns the owners of each address; `found` are those of each query in `_flat(wanted)`."""
    each_found = iter(found)
    return [
        _owners(
            each.address, [_best([next(each_found) for _ in of_types]) for of_types in by_reading]
        )
        for each, by_reading in zip(addresses, wanted, strict=True)
    ]


def _queries(addresses: AddressQuery) -> list[list[AddressQuery]]:
    """Returns the queries to the store: for each reading of an address, each type it may have."""
    return [
        [
            replace(addresses, address=replace(reading, channel_type=kind))
            for kind in _types(reading)
        ]
        for reading in readings(addresses.address)
    ]


def _types(address: Address) -> list[ChannelType]:
    """Returns an address's own type and, if it is a phone number, the others of the family."""
    own = address.channel_type
    if not is_number(address):
        return [own]
    others = [PHONE, *sorted(PHONE_FAMILY - {PHONE})]
    return [own, *(ChannelType(other) for other in others if other != own)]


def _owners(address: Address, by_reading: list[list[AddressOwner]]) -> Owners:
    """Returns the owners of the readings, or a refusal if two contacts own one each."""
    owned = [owners for owners in by_reading if owners]
    if len({owners[0].contact_number for owners in owned}) > 1:
        return ambiguous_error(address)
    return owned[0] if owned else []


def _best(by_type: list[list[AddressOwner]]) -> list[AddressOwner]:
    """Returns the owners of the first type that has any, those without a scope first, by age."""
    some = next((owners for owners in by_type if owners), [])
    return sorted(some, key=attrgetter("scope", "created", "channel_number"))
