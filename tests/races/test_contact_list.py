"""A list by time of change stays whole while the contacts in it are changed."""

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
AT_ONCE = 50
WRITERS = 4
PAGE = scaled(50, 500)
MAX_PAGES = 20 * CONTACTS // PAGE
PATIENCE_SECONDS = scaled(60, 900)


async def made(service: Service, context: WriteContext, count: int) -> list[str]:
    """Create contacts, a few at a time; returns their UUIDs."""

    async def make(start: int) -> list[str]:
        numbers = range(start, count, AT_ONCE)
        wanted = [ContactInput(first=f"Person {number}") for number in numbers]
        return [(await service.contacts.create(context, one)).uuid for one in wanted]

    made_ = await asyncio.gather(*(make(start) for start in range(AT_ONCE)))
    return [uuid for some in made_ for uuid in some]


async def write(
    service: Service, context: WriteContext, uuids: list[str], done: asyncio.Event
) -> int:
    """Change contacts at random until the list is read; how many times."""
    chosen = random.Random(uuids[0])
    turn = 0
    while not done.is_set():
        turn += 1
        wanted = ContactInput(last=f"turn {turn}")
        await service.contacts.update(context, chosen.choice(uuids), wanted, overwrite=False)
    return turn


async def read(service: Service, context: WriteContext, precision: Precision) -> list[Contact]:
    """The whole list in ascending pages, each after the last row's time cut to a precision."""
    rows: list[Contact] = []
    after: ListCursor | None = None
    for _ in range(MAX_PAGES):
        query = ListQuery(PAGE, after, ascending=True)
        page = await service.contacts.page(context.team_id, query)
        if not page:
            break
        rows += page
        after = ListCursor(page[-1].updated, precision)
        if len(rows) > CONTACTS * 5:  # the writers are faster than the reader: an end is an end
            break
    return rows


@pytest.mark.parametrize("precision", Precision)
async def test_it_works(database: str, precision: Precision) -> None:
    """Half of the contacts are changed all the while, the other half is left alone.

    A date of seconds is refused if over `MAX_GROUP` contacts share its second, and a fast store
    creates more than that in one.
    """
    count = min(CONTACTS, MAX_GROUP) if precision is Precision.SECOND else CONTACTS
    async with stores(database) as opened, asyncio.timeout(PATIENCE_SECONDS):
        first, *_, last = [*services(opened), *services(opened)]
        context = await team(opened[0])
        uuids = await made(first, context, count)
        changed, untouched = uuids[::2], uuids[1::2]
        done = asyncio.Event()
        writers = [
            asyncio.create_task(write(first, context, changed[start::WRITERS], done))
            for start in range(WRITERS)
        ]
        rows = await read(last, context, precision)
        done.set()
        turns = await asyncio.gather(*writers)

    assert all(turns), "a writer had no turn"
    seen = Counter(one.uuid for one in rows)
    assert set(uuids) <= seen.keys()
    if precision is not Precision.SECOND:  # a date of seconds begins with its second again
        assert {seen[uuid] for uuid in untouched} == {1}
        moments = [one.updated for one in rows]
        assert moments == sorted(moments)


@pytest.mark.parametrize("ascending", [True, False])
async def test_a_page_never_ends_inside_a_group_that_shares_an_instant(
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
            pages.append([one.updated for one in page])
            after = ListCursor(page[-1].updated, Precision.MICROSECOND)

    moments = [one for page in pages for one in page]
    assert len(moments) == 30
    assert moments == sorted(moments, reverse=not ascending)
    assert all(before[-1] != following[0] for before, following in pairwise(pages))
    assert [len(page) for page in pages] == ([7, 7, 7, 7, 2] if ascending else [9, 7, 7, 7])
