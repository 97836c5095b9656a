"""History, feed, past states, export and erasure, as use cases."""

from __future__ import annotations

import pytest

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.channel import ChannelSelector
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.event_kind import Kind
from reachbook.service import WriteContext
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

PHONE = ChannelType("phone")


@pytest.fixture
async def uuid(api: Api, bob: WriteContext) -> str:
    """Creates a contact with three revisions: created, a phone added, and the phone removed."""
    wanted = ChannelInput(addresses.parse(PHONE, "15105553344"))
    created = await api.service.contacts.create(bob, ContactInput(first="Alice"))
    api.clock.forward(1)
    await api.service.channels.add(bob, created.uuid, wanted)
    api.clock.forward(1)
    await api.service.channels.remove(bob, created.uuid, ChannelSelector(PHONE))
    return created.uuid


async def test_the_events_of_a_contact_are_listed_newest_first(
    api: Api, bob: WriteContext, uuid: str
) -> None:
    history = api.service.history
    first = await history.of_contact(bob.team_id, uuid, before_rev=None, limit=2)
    second = await history.of_contact(bob.team_id, uuid, before_rev=first.next, limit=2)

    kinds = [event.kind for event in [*first.events, *second.events]]
    assert kinds == [Kind.CHANNEL_REMOVED, Kind.CHANNEL_ADDED, Kind.CONTACT_CREATED]
    assert second.next is None
    assert {event.actor for event in first.events} == {bob.actor}


async def test_the_feed_is_numbered_without_gaps(api: Api, bob: WriteContext, uuid: str) -> None:
    page = await api.service.history.feed(bob.team_id, 0, 10)

    assert [event.seq for event in page.events] == [1, 2, 3]
    assert {event.contact_uuid for event in page.events} == {uuid}
    assert (await api.service.history.feed(bob.team_id, 3, 10)).events == []
    with pytest.raises(Refusal) as refused:
        await api.service.history.feed(bob.team_id, 4, 10)
    assert refused.value.reason is Reason.FEED_RESTARTED


async def test_channels_as_of_returns_the_channels_at_each_event(
    api: Api, bob: WriteContext, uuid: str
) -> None:
    history = api.service.history
    events = (await history.of_contact(bob.team_id, uuid, before_rev=None, limit=9)).events

    past = [await history.channels_as_of(bob.team_id, uuid, event.at) for event in events]

    assert [(state.rev, len(state.channels)) for state in past] == [(3, 0), (2, 1), (1, 0)]


async def test_an_export_has_every_event(api: Api, bob: WriteContext, uuid: str) -> None:
    exported = await api.service.history.export(bob.team_id, uuid)

    revisions = [event.rev async for page in exported.pages for event in page]

    assert exported.contact.first == "Alice"
    assert revisions == [1, 2, 3]


async def test_erasing_removes_all_values_and_refuses_further_requests(
    api: Api, bob: WriteContext, uuid: str
) -> None:
    await api.service.history.erase(bob, uuid)

    page = await api.service.history.feed(bob.team_id, 0, 10)
    assert [event.kind for event in page.events][-1] == Kind.ERASED
    assert {(event.before, event.after) for event in page.events} == {(None, None)}
    for attempt in (
        api.service.history.erase(bob, uuid),
        api.service.history.export(bob.team_id, uuid),
        api.service.history.of_contact(bob.team_id, uuid, before_rev=None, limit=9),
    ):
        with pytest.raises(Refusal) as refused:
            await attempt
        assert refused.value.reason is Reason.ERASED


async def test_a_deleted_or_erased_contact_is_returned_with_its_events(
    api: Api, bob: WriteContext, uuid: str
) -> None:
    history = api.service.history
    await api.service.contacts.delete(bob, uuid)
    deleted, page = await history.with_contact(bob.team_id, uuid, before_rev=None, limit=1)
    await history.erase(bob, uuid)
    erased, _ = await history.with_contact(bob.team_id, uuid, before_rev=None, limit=1)

    assert deleted.deleted is not None
    assert [event.kind for event in page.events] == [Kind.CONTACT_DELETED]
    assert page.next is not None
    assert erased.erased is not None
