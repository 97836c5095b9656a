"""Iterators over lists and the event feed: from page to page, and later from where they ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from reachbook.client import (
    ApiKey,
    AsyncClient,
    Client,
    ContactRequest,
    FeedCursor,
    FeedRestartedError,
)
from tests.http.test_incarnation import restart_after_restore
from tests.support.personas import Api
from tests.support.scripted_server import Scripted, scripted_server

pytestmark = pytest.mark.anyio

Make = Callable[[str], Awaitable[list[str]]]


@pytest.fixture
async def client(fresh_api: Api) -> AsyncIterator[AsyncClient]:
    """A client of the application in this process."""
    transport = httpx.ASGITransport(fresh_api.app)
    key = ApiKey(fresh_api.bob.api_key)
    async with AsyncClient("http://book", key, transport=transport) as opened:
        yield opened


@pytest.fixture
def make(client: AsyncClient, fresh_api: Api) -> Make:
    """Creates contacts, a second apart: a page of a list never ends within one."""

    async def make(names: str) -> list[str]:
        made = []
        for name in names:
            fresh_api.clock.forward(1)
            made.append((await client.create_contact(ContactRequest(first=name))).uuid)
        return made

    return make


@pytest.mark.parametrize("limit", [1, 2, 3, 500])
@pytest.mark.parametrize("ascending", [True, False])
async def test_a_list_is_read_to_its_end(
    client: AsyncClient, make: Make, limit: int, ascending: bool
) -> None:
    made = await make("ABCD")

    read = [each.uuid async for each in client.iterate_contacts(limit=limit, ascending=ascending)]

    assert read == (made if ascending else made[::-1])


async def test_a_list_continues_after_a_contact(client: AsyncClient, make: Make) -> None:
    made = await make("ABCD")
    [first, second] = (await client.list_contacts(limit=2, ascending=True))[:2]
    assert [first.uuid, second.uuid] == made[:2]

    iterator = client.iterate_contacts(date=second.updated, ascending=True, limit=1)

    assert [each.uuid async for each in iterator] == made[2:]


def test_a_list_that_does_not_move_on_ends() -> None:
    contact = b'[{"id": 7, "updated": "2024-01-15T10:00:00Z"}]'
    with scripted_server(Scripted(200, contact)) as server, Client(server.url, ApiKey("k")) as same:
        assert len(list(same.iterate_contacts())) == 2


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_the_feed_is_read_to_its_end_and_then_on(
    client: AsyncClient, make: Make, limit: int
) -> None:
    made = await make("ABC")
    events = client.events(limit=limit)

    assert [event.contact_id async for event in events] == made
    assert [event.contact_id async for event in events] == []
    made = await make("DE")
    assert [event.contact_id async for event in events] == made
    assert events.cursor.after == 5


async def test_the_cursor_is_after_the_event_that_was_returned(
    client: AsyncClient, make: Make
) -> None:
    made = await make("ABC")
    events = client.events()
    async for event in events:
        assert events.cursor.after == event.seq
        if event.contact_id == made[1]:
            break

    later = client.events(events.cursor)

    assert [event.contact_id async for event in later] == made[2:]
    assert later.cursor == FeedCursor(3, events.cursor.incarnation)


async def test_a_number_is_a_cursor(client: AsyncClient, make: Make) -> None:
    made = await make("ABC")

    assert [event.contact_id async for event in client.events(2)] == made[2:]


async def test_an_empty_feed_tells_its_incarnation(client: AsyncClient) -> None:
    events = client.events()

    assert [event async for event in events] == []
    assert (events.cursor.after, len(events.cursor.incarnation or "")) == (0, 16)


async def test_a_restored_store_is_noticed_also_between_pages(
    client: AsyncClient, make: Make, fresh_api: Api
) -> None:
    await make("AB")
    events = client.events(limit=1)
    async for _ in events:
        break

    await restart_after_restore(fresh_api)

    with pytest.raises(FeedRestartedError):
        [event async for event in events]
    with pytest.raises(FeedRestartedError):
        [event async for event in client.events(events.cursor)]
    assert len([event async for event in client.events()]) == 2


async def test_a_cursor_beyond_the_end_is_noticed(client: AsyncClient) -> None:
    with pytest.raises(FeedRestartedError):
        [event async for event in client.events(7)]
