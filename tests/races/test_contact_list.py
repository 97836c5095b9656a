"""A list by time of change is complete while its contacts are changed."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from itertools import pairwise

import pytest

from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.list_cursor import MAX_GROUP, ListCursor, ListQuery, Precision
from reachbook.service import Service, TeamKeys, WriteContext
from tests.support.full_size import scaled
from tests.support.personas import MASTER_KEY
from tests.support.services import services, stores, team

pytestmark = pytest.mark.anyio

CONTACTS = scaled(1000, 100_000)
CONCURRENT = 50
WRITERS = 4
PAGE = scaled(50, 500)
MAX_PAGES = 20 * CONTACTS // PAGE
PATIENCE_SECONDS = scaled(60, 900)


async def create_contacts(service: Service, context: WriteContext, count: int) -> list[str]:
    """Create contacts concurrently, and return their UUIDs."""

    async def make(start: int) -> list[str]:
        numbers = range(start, count, CONCURRENT)
        wanted = [ContactInput(first=f"Person {number}") for number in numbers]
        return [(await service.contacts.create(context, contact)).uuid for contact in wanted]

    groups = await asyncio.gather(*(make(start) for start in range(CONCURRENT)))
    return [uuid for group in groups for uuid in group]


async def write(
    service: Service, context: WriteContext, uuids: list[str], done: asyncio.Event
) -> int:
    """Change contacts at random until the list is read; return the number of changes."""
    rng = random.Random(uuids[0])
    turn = 0
    while not done.is_set():
        turn += 1
        wanted = ContactInput(last=f"turn {turn}")
        await service.contacts.update(context, rng.choice(uuids), wanted, overwrite=False)
    return turn


async def read(service: Service, context: WriteContext, precision: Precision) -> list[Contact]:
    """Read the whole list in ascending pages, each after the last row's time at a precision."""
    rows: list[Contact] = []
    after: ListCursor | None = None
    for _ in range(MAX_PAGES):
        query = ListQuery(PAGE, after, ascending=True)
        page = await service.contacts.page(context.team_id, query)
        if not page:
            break
        rows += page
        after = ListCursor(page[-1].updated, precision)
        # If the writers are faster than the reader, the list never ends.
        if len(rows) > CONTACTS * 5:
            break
    return rows


@pytest.mark.parametrize("precision", Precision)
async def test_no_contact_is_missing_from_the_pages(database: str, precision: Precision) -> None:
    """Half of the contacts are changed during the reading, the other half is unchanged.

    A date of seconds is refused if over `MAX_GROUP` contacts share its second, and a fast store
    creates more than that in one.
    """
    count = min(CONTACTS, MAX_GROUP) if precision is Precision.SECOND else CONTACTS
    async with stores(database) as opened, asyncio.timeout(PATIENCE_SECONDS):
        first, *_, last = [*services(opened), *services(opened)]
        context = await team(opened[0])
        uuids = await create_contacts(first, context, count)
        changed, untouched = uuids[::2], uuids[1::2]
        done = asyncio.Event()
        writers = [
            asyncio.create_task(write(first, context, changed[start::WRITERS], done))
            for start in range(WRITERS)
        ]
        rows = await read(last, context, precision)
        done.set()
        turns = await asyncio.gather(*writers)

    assert all(turns), "a writer made no change"
    seen = Counter(row.uuid for row in rows)
    assert set(uuids) <= seen.keys()
    if precision is not Precision.SECOND:  # a date of seconds repeats the rows of its second
        assert {seen[uuid] for uuid in untouched} == {1}
        times = [row.updated for row in rows]
        assert times == sorted(times)


@pytest.mark.parametrize("ascending", [True, False])
async def test_contacts_of_the_same_time_are_on_the_same_page(
    database: str, *, ascending: bool
) -> None:
    async with stores(database) as opened:
        keys = TeamKeys(opened[0], (MASTER_KEY,))
        service = Service(opened[0], keys, lambda: 1_700_000_000_000_000 + turn // 7 * 1_000_000)
        context = await team(opened[0])
        for turn in range(30):
            await service.contacts.create(context, ContactInput(first=f"Person {turn}"))
        after, pages = None, []
        for _ in range(30):
            query = ListQuery(5, after, ascending)
            page = await service.contacts.page(context.team_id, query)
            if not page:
                break
            pages.append([contact.updated for contact in page])
            after = ListCursor(page[-1].updated, Precision.MICROSECOND)

    times = [updated for page in pages for updated in page]
    assert len(times) == 30
    assert times == sorted(times, reverse=not ascending)
    assert all(before[-1] != following[0] for before, following in pairwise(pages))
    assert [len(page) for page in pages] == ([7, 7, 7, 7, 2] if ascending else [9, 7, 7, 7])
