"""The writer: attempts without locks, then with locks, and the response in the commit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.channel import ChannelList
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.on_conflict import OnConflict
from reachbook.service import AlreadyAnsweredError, StoredResponse, WriteContext
from reachbook.service.contact_writer import OPTIMISTIC_ATTEMPTS, no_response
from reachbook.storage import STALE
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

PHONE = ChannelType("phone")


def phone(digits: str) -> ChannelInput:
    return ChannelInput(addresses.parse(PHONE, digits))


def with_key(api: Api, context: WriteContext, key: str, digest: bytes = b"1") -> WriteContext:
    """Returns a context whose response has the ids of the channels as its body."""

    def respond(after: Any) -> StoredResponse:
        ids = [channel.id for channel in after.channels]
        return StoredResponse(200, [("etag", "1")], repr(ids).encode(), (after.uuid,))

    return replace(context, key=api.service.idempotency_key(key, digest), respond=respond)


async def test_the_response_is_stored_with_the_ids_of_the_commit(
    api: Api, bob: WriteContext
) -> None:
    keyed = with_key(api, bob, "key")

    saved = await api.service.contacts.create(keyed, ContactInput((phone("15105553344"),)))
    stored = await api.service.stored_response(keyed)

    assert stored is not None
    assert stored.body == repr([saved.channels[0].id]).encode()
    assert saved.channels[0].id > 0


async def test_a_key_has_one_effect(api: Api, bob: WriteContext) -> None:
    keyed = with_key(api, bob, "key")
    await api.service.contacts.create(keyed, ContactInput((phone("15105553344"),)))

    with pytest.raises(AlreadyAnsweredError) as caught:
        await api.service.contacts.create(keyed, ContactInput((phone("15105553345"),)))
    with pytest.raises(Refusal) as refused:
        await api.service.contacts.create(with_key(api, bob, "key", b"2"), ContactInput())

    assert caught.value.response == replace(
        (await api.service.stored_response(keyed)) or caught.value.response
    )
    assert refused.value.reason is Reason.KEY_REUSED


async def test_store_response_stores_the_first_response_only(api: Api, bob: WriteContext) -> None:
    keyed = with_key(api, bob, "key")
    first, second = (StoredResponse(200, [], body) for body in (b"1", b"2"))

    assert await api.service.store_response(bob, first) is None
    assert await api.service.store_response(keyed, first) is None
    assert await api.service.store_response(keyed, second) == first
    assert await api.service.stored_response(keyed) == first


async def test_a_write_takes_locks_after_repeated_stale_commits(
    api: Api, bob: WriteContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = (await api.service.contacts.create(bob, ContactInput())).uuid
    attempts = 0

    async def stale(*_commit: object) -> object:
        nonlocal attempts
        attempts += 1
        return STALE

    monkeypatch.setattr(api.store, "commit", stale)
    after = await api.service.channels.add(bob, uuid, phone("15105553344"))

    assert attempts == OPTIMISTIC_ATTEMPTS
    assert after == await api.store.read(ChannelList, bob.team_id, uuid)


async def test_a_write_that_is_stale_under_locks_is_contended(
    api: Api, bob: WriteContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = (await api.service.contacts.create(bob, ContactInput())).uuid

    async def stale(*_commit: object) -> object:
        return STALE

    monkeypatch.setattr(api.store, "commit", stale)
    monkeypatch.setattr(api.store, "commit_locked", stale)
    with pytest.raises(Refusal) as refused:
        await api.service.channels.add(bob, uuid, phone("15105553344"))

    assert refused.value.reason is Reason.CONTENDED


async def test_a_move_changes_both_contacts_in_one_commit(api: Api, bob: WriteContext) -> None:
    contacts = api.service.contacts
    owner = await contacts.create(bob, ContactInput((phone("15105553344"),)))
    uuid = (await contacts.create(bob, ContactInput())).uuid
    moving = replace(bob, on_conflict=OnConflict.MOVE)

    after = await api.service.channels.add(moving, uuid, phone("15105553344"))
    before = await api.store.read(ChannelList, bob.team_id, owner.uuid)

    assert before is not None
    assert (before.channels, before.updated) == ((), after.updated)


async def test_simultaneous_writes_of_a_contact_are_all_stored(api: Api, bob: WriteContext) -> None:
    uuid = (await api.service.contacts.create(bob, ContactInput())).uuid
    numbers = [f"1510555{number:04d}" for number in range(20)]

    await asyncio.gather(
        *(api.service.channels.add(bob, uuid, phone(number)) for number in numbers)
    )
    after = await api.service.channels.all(bob, uuid)

    assert sorted(channel.channel_id for channel in after.channels) == numbers
    assert after.rev == 21


def test_no_response_raises_assertion_error() -> None:
    with pytest.raises(AssertionError):
        no_response(None)
