"""Owners of addresses: lookup by type, then in the phone family; two readings."""

from __future__ import annotations

import pytest

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.errors import Refusal
from reachbook.service import WriteContext
from reachbook.service.lookup import look_up
from reachbook.storage import Queries
from tests.support.personas import Api

pytestmark = pytest.mark.anyio


async def create_owner(
    api: Api, context: WriteContext, kind: str, text: str, page: str = ""
) -> int:
    """Creates a contact that owns an address, and returns its id."""
    address = addresses.parse(ChannelType(kind), text)
    wanted = ContactInput((ChannelInput(address, info_channel=page),))
    return (await api.service.contacts.create(context, wanted)).id


async def owners(api: Api, context: WriteContext, *queries: AddressQuery) -> list[object]:
    """Returns the ids of the owners of each address, or the refusal."""
    found = await look_up(Queries(api.store.engine), context.team_id, list(queries))
    return [
        each if isinstance(each, Refusal) else [owner.contact_number for owner in each]
        for each in found
    ]


def query(
    kind: str, text: str, scope: str | None = None, region: str | None = None
) -> AddressQuery:
    return AddressQuery(addresses.parse(ChannelType(kind), text, region), scope)


async def test_the_type_of_the_query_has_precedence_over_the_phone_family(
    api: Api, bob: WriteContext
) -> None:
    whatsapp = await create_owner(api, bob, "whatsapp", "15105553344")
    assert await owners(api, bob, query("phone", "+1 510 555 3344")) == [[whatsapp]]

    phone = await create_owner(api, bob, "phone", "15105553344")
    assert await owners(api, bob, query("phone", "15105553344")) == [[phone]]
    assert await owners(api, bob, query("whatsapp", "15105553344")) == [[whatsapp]]


async def test_an_id_is_looked_up_in_its_scope_or_in_all_scopes(
    api: Api, bob: WriteContext
) -> None:
    first = await create_owner(api, bob, "facebook", "24681357", "page-1")
    second = await create_owner(api, bob, "facebook", "24681357", "page-2")

    assert await owners(
        api,
        bob,
        query("facebook", "24681357", "page-2"),
        query("facebook", "24681357"),
        query("facebook", "24681357", "page-3"),
    ) == [[second], [first, second], []]


async def test_two_readings_with_two_owners_are_refused(api: Api, bob: WriteContext) -> None:
    ambiguous = query("phone", "(646) 555-0123", region="US")
    readings = addresses.readings(ambiguous.address)
    assert len(readings) == 2
    ids = [
        await create_owner(api, bob, "phone", f"+{reading.channel_id}") for reading in readings[:1]
    ]
    assert await owners(api, bob, ambiguous) == [ids]

    await create_owner(api, bob, "phone", f"+{readings[1].channel_id}")
    [refused] = await owners(api, bob, ambiguous)
    assert isinstance(refused, Refusal)


async def test_owners_of_another_team_are_not_found(
    api: Api, bob: WriteContext, charlie: WriteContext
) -> None:
    await create_owner(api, bob, "phone", "15105553344")

    assert await owners(api, charlie, query("phone", "15105553344")) == [[]]
