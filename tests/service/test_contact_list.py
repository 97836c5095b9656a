"""Pages of contacts by the time of their last change; see also the HTTP tests of dates."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reachbook.domain.contact import ContactInput
from reachbook.domain.list_cursor import ListCursor, ListQuery, Precision
from reachbook.service import WriteContext
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

CONTACTS = 7


@pytest.fixture
async def uuids(api: Api, bob: WriteContext) -> list[str]:
    """Creates contacts a second apart, and returns their UUIDs in that order."""
    created = []
    for _ in range(CONTACTS):
        created.append((await api.service.contacts.create(bob, ContactInput())).uuid)
        api.clock.forward(1)
    return created


@pytest.mark.parametrize("precision", Precision)
@pytest.mark.parametrize("limit", [1, 3, 10])
async def test_the_pages_contain_every_contact_once(
    api: Api, bob: WriteContext, uuids: list[str], precision: Precision, limit: int
) -> None:
    """Reads in both directions, with dates that are truncated to a precision."""
    assert await read_all(api, bob, ListQuery(limit, ascending=True), precision) == uuids
    assert await read_all(api, bob, ListQuery(limit), precision) == uuids[::-1]


async def read_all(
    api: Api, bob: WriteContext, query: ListQuery, precision: Precision
) -> list[str]:
    """Returns the UUIDs of all pages without duplicates."""
    seen: list[str] = []
    for _ in range(3 * CONTACTS):
        page = await api.service.contacts.page(bob.team_id, query)
        if not page:
            break
        seen += [contact.uuid for contact in page if contact.uuid not in seen]
        time = page[-1].updated // precision * precision
        query = replace(query, cursor=ListCursor(time, precision))
    return seen


async def test_pages_can_be_skipped(api: Api, bob: WriteContext, uuids: list[str]) -> None:
    pages = [
        await api.service.contacts.page(bob.team_id, ListQuery(3, ascending=True, page=number))
        for number in range(4)
    ]

    assert [contact.uuid for page in pages[1:] for contact in page] == uuids[3:]
    assert pages[3] == []


async def test_another_team_has_an_empty_page(
    api: Api, charlie: WriteContext, uuids: list[str]
) -> None:
    assert uuids
    assert await api.service.contacts.page(charlie.team_id, ListQuery(10)) == []
