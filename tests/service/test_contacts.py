"""Contacts: create, update, delete and search."""

from __future__ import annotations

import pytest

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.errors import Reason, Refusal
from reachbook.service import WriteContext
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

PHONE = ChannelType("phone")


def address_query(digits: str, region: str | None = None) -> AddressQuery:
    return AddressQuery(addresses.parse(PHONE, digits, region))


async def alice(api: Api, context: WriteContext, *digits: str) -> Contact:
    channels = tuple(ChannelInput(address_query(each).address) for each in digits)
    return await api.service.contacts.create(context, ContactInput(channels, first="Alice"))


async def test_each_write_returns_the_stored_contact(api: Api, bob: WriteContext) -> None:
    contacts = api.service.contacts
    created = await alice(api, bob, "15105553344")
    assert created == await contacts.get(bob, created.uuid)

    updated = await contacts.update(
        bob, created.uuid, ContactInput(last="Smith", custom={"a": 1}), overwrite=False
    )
    assert updated == await contacts.get(bob, created.uuid)
    merged = await contacts.update(
        bob, created.uuid, ContactInput(custom={"b": True}), overwrite=False
    )
    assert merged.custom == {"a": 1, "b": True}
    replaced = await contacts.update(
        bob, created.uuid, ContactInput(custom={"b": True}), overwrite=True
    )
    assert (replaced.custom, replaced.last, replaced.rev) == ({"b": True}, "Smith", 4)

    await contacts.delete(bob, created.uuid)
    with pytest.raises(Refusal) as refused:
        await contacts.get(bob, created.uuid)
    assert refused.value.reason is Reason.NO_CONTACT


async def test_a_deleted_contact_frees_its_addresses(api: Api, bob: WriteContext) -> None:
    first = await alice(api, bob, "15105553344")
    await api.service.contacts.delete(bob, first.uuid)

    second = await alice(api, bob, "15105553344")

    assert await api.service.contacts.search(bob.team_id, [address_query("15105553344")]) == [
        second
    ]


async def test_a_uuid_cannot_be_reused(api: Api, bob: WriteContext) -> None:
    first = await alice(api, bob)
    await api.service.contacts.delete(bob, first.uuid)

    with pytest.raises(Refusal) as refused:
        await api.service.contacts.create(bob, ContactInput(), first.uuid)

    assert refused.value.reason is Reason.UUID_TAKEN


async def test_a_search_returns_each_contact_once_in_order_of_the_addresses(
    api: Api, bob: WriteContext, charlie: WriteContext
) -> None:
    first = await alice(api, bob, "15105553344", "15105553346")
    second = await alice(api, bob, "15105553345")
    await alice(api, charlie, "15105553347")
    numbers = ["15105553345", "15105553346", "15105553344", "15105553347", "15105553348"]

    found = await api.service.contacts.search(
        bob.team_id, [address_query(each) for each in numbers]
    )

    assert found == [second, first]
