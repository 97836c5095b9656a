"""Channels: each use case commits one revision with one event, and returns the stored state."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.channel import ChannelList, ChannelSelector
from reachbook.domain.channel_rules import ChannelInput, Patch
from reachbook.domain.contact import ContactInput
from reachbook.domain.errors import Reason, Refusal
from reachbook.service import WriteContext
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

PHONE = ChannelType("phone")


def phone(digits: str) -> ChannelInput:
    return ChannelInput(addresses.parse(PHONE, digits))


async def read_stored(api: Api, context: WriteContext, uuid: str) -> ChannelList | None:
    return await api.store.read(ChannelList, context.team_id, uuid)


async def test_each_write_returns_the_stored_channels(api: Api, bob: WriteContext) -> None:
    channels = api.service.channels
    uuid = (await api.service.contacts.create(bob, ContactInput())).uuid

    after = await channels.add(bob, uuid, phone("15105553344"))
    assert after == await read_stored(api, bob, uuid)
    [first] = after.channels
    assert first.id > 0

    after = await channels.add(bob, uuid, phone("15105553345"))
    second = after.channels[1]
    after = await channels.make_primary(bob, uuid, second.id)
    assert after == await read_stored(api, bob, uuid)
    assert (await channels.get(bob, uuid, ChannelSelector(PHONE)))[1].id == second.id

    after = await channels.patch(bob, uuid, first.id, Patch(label="office"))
    assert after.channels[0].label == "office"
    after = await channels.replace(bob, uuid, phone("15105553346"), ChannelSelector(PHONE))
    assert [channel.channel_id for channel in after.channels] == ["15105553344", "15105553346"]
    after = await channels.remove_exactly(bob, uuid, first.id)
    after = await channels.remove(bob, uuid, ChannelSelector(PHONE))
    assert after == await read_stored(api, bob, uuid)
    assert (after.channels, after.rev) == ((), 8)


async def test_adding_an_existing_channel_writes_nothing(api: Api, bob: WriteContext) -> None:
    uuid = (await api.service.contacts.create(bob, ContactInput((phone("15105553344"),)))).uuid

    after = await api.service.channels.add(bob, uuid, phone("15105553344"))

    assert after.rev == 1


async def test_an_address_has_one_owner(api: Api, bob: WriteContext) -> None:
    contacts = api.service.contacts
    owner = await contacts.create(bob, ContactInput((phone("15105553344"),)))
    uuid = (await contacts.create(bob, ContactInput())).uuid

    with pytest.raises(Refusal) as refused:
        await api.service.channels.add(bob, uuid, phone("15105553344"))

    assert refused.value.reason is Reason.ADDRESS_TAKEN
    assert refused.value.facts["conflicting_contact_id"] == owner.uuid


async def test_if_match_is_compared_with_the_stored_revision(api: Api, bob: WriteContext) -> None:
    uuid = (await api.service.contacts.create(bob, ContactInput())).uuid
    at_first = replace(bob, if_match=frozenset({1}))

    await api.service.channels.add(at_first, uuid, phone("15105553344"))
    with pytest.raises(Refusal) as refused:
        await api.service.channels.add(at_first, uuid, phone("15105553345"))

    assert refused.value.reason is Reason.STALE_REVISION


async def test_another_team_has_no_access(
    api: Api, bob: WriteContext, charlie: WriteContext
) -> None:
    contact = await api.service.contacts.create(bob, ContactInput((phone("15105553344"),)))
    channels = api.service.channels

    for attempt in (
        channels.all(charlie, contact.uuid),
        channels.get(charlie, contact.uuid, ChannelSelector(PHONE)),
        channels.with_channel(charlie, contact.uuid, contact.channels[0].id),
        channels.add(charlie, contact.uuid, phone("15105553345")),
        channels.remove_exactly(charlie, contact.uuid, contact.channels[0].id),
    ):
        with pytest.raises(Refusal) as refused:
            await attempt
        assert refused.value.reason is Reason.NO_CONTACT


async def test_a_missing_channel_is_refused(api: Api, bob: WriteContext) -> None:
    uuid = (await api.service.contacts.create(bob, ContactInput())).uuid

    with pytest.raises(Refusal) as refused:
        await api.service.channels.with_channel(bob, uuid, 99)

    assert refused.value.reason is Reason.NO_CHANNEL
