"""Resolve: the contact of an address, and ending suppressions."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.consent import SuppressionReason
from reachbook.domain.contact import ContactInput
from reachbook.domain.errors import Reason, Refusal
from reachbook.service import Resolved, StoredResponse, WriteContext
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

QUERY = AddressQuery(addresses.parse(ChannelType("phone"), "15105553344"))


async def test_an_address_without_an_owner_is_resolved_to_no_contact(
    api: Api, bob: WriteContext
) -> None:
    assert await api.service.resolving.one(bob, QUERY, None) == Resolved(QUERY)


async def test_simultaneous_requests_create_one_contact(api: Api, bob: WriteContext) -> None:
    results = await asyncio.gather(
        *(api.service.resolving.one(bob, QUERY, ContactInput()) for _ in range(20))
    )

    assert sum(result.created for result in results) == 1
    assert len({result.contact.uuid for result in results if result.contact}) == 1


async def test_the_address_is_added_once_with_its_info_channel(api: Api, bob: WriteContext) -> None:
    """This holds even if the contact to create has the address too."""
    query = replace(QUERY, info_channel="line-1")
    listed = ContactInput((ChannelInput(QUERY.address, channel_handle="Al"),))

    result = await api.service.resolving.one(bob, query, listed)

    assert result.contact is not None
    [channel] = result.contact.channels
    assert (channel.info_channel, channel.channel_handle) == ("line-1", "Al")
    assert result.channel == channel


async def test_the_stored_response_is_rendered_from_the_result(api: Api, bob: WriteContext) -> None:
    rendered: list[Resolved] = []

    def respond(result: Resolved) -> StoredResponse:
        rendered.append(result)
        return StoredResponse(200, [], b"1")

    key = api.service.idempotency_key("key", b"1")
    result = await api.service.resolving.one(
        replace(bob, key=key, respond=respond), QUERY, ContactInput()
    )

    assert rendered == [result]


async def test_results_are_in_the_order_of_the_addresses(api: Api, bob: WriteContext) -> None:
    other = AddressQuery(addresses.parse(ChannelType("phone"), "15105553345"))
    created = await api.service.resolving.one(bob, QUERY, ContactInput())

    found = await api.service.resolving.many(bob.team_id, [other, QUERY, other])

    assert found == [Resolved(other), replace(created, created=False), Resolved(other)]


async def test_a_suppression_can_be_ended_once(api: Api, bob: WriteContext) -> None:
    created = await api.service.resolving.one(bob, QUERY, ContactInput(is_opted_out=True))
    assert created.contact is not None
    reason = SuppressionReason.OPTED_OUT
    with pytest.raises(Refusal) as owned:
        await api.service.resolving.end_suppression(bob, QUERY, reason)
    await api.service.contacts.delete(bob, created.contact.uuid)

    nobody = await api.service.resolving.one(bob, QUERY, None)
    await api.service.resolving.end_suppression(bob, QUERY, reason)
    with pytest.raises(Refusal) as none_left:
        await api.service.resolving.end_suppression(bob, QUERY, reason)

    assert nobody.suppressed is not None
    assert nobody.suppressed.reason is reason
    assert owned.value.reason is Reason.ADDRESS_TAKEN
    assert none_left.value.reason is Reason.NO_SUPPRESSION
