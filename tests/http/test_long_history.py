"""Long histories: how many events are numbered at a time."""

from __future__ import annotations

import pytest

from asks import ok
from cast import Book
from lived import plant_events
from reachbook.storage.engine import EVENTS_NUMBERED_AT_ONCE
from tables import beside

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


async def whole_feed(book: Book, limit: int) -> list[list[int]]:
    """Returns the numbers in each page of the feed; the last page is empty."""
    found, after = [], 0
    while True:
        page = await ok(book, "GET", f"/x/events?after={after}&limit={limit}")
        found.append([event["seq"] for event in page["events"]])
        if not page["events"]:
            assert page["next"] == after
            return found
        after = page["next"]
        assert after == page["events"][-1]["seq"]


# ── numbering ────────────────────────────────────────────────────────────────────────────────


async def test_a_reader_numbers_at_most_1000_events(book: Book) -> None:
    """The next reader numbers the following events."""
    uuid = await book.contact()
    await plant_events(book, uuid, 2 * EVENTS_NUMBERED_AT_ONCE)
    raw, team = beside(book.database), book.bob.team.team_id
    counting = f"SELECT count(*) FROM event WHERE team_id = {team} AND seq IS NOT NULL"

    first = await ok(book, "GET", "/x/events?limit=10")

    assert [event["seq"] for event in first["events"]] == list(range(1, 11))
    assert await raw(counting) == [(EVENTS_NUMBERED_AT_ONCE,)]
    sizes = [len(page) for page in await whole_feed(book, 1000)]
    assert sizes == [1000, 1000, 1, 0]


@pytest.mark.parametrize("book_database", ["sqlite"], indirect=True)
async def test_numbering_does_not_rewrite_what_the_events_hold(book: Book) -> None:
    """A pass writes less than the bodies of the events that it numbers."""
    uuid = await book.contact()
    await plant_events(book, uuid, EVENTS_NUMBERED_AT_ONCE, custom_bytes=16_000)
    raw = beside(book.database)
    await raw("PRAGMA wal_checkpoint(TRUNCATE)")

    await ok(book, "GET", "/x/events?limit=1")

    [[_, pages, _]] = await raw("PRAGMA wal_checkpoint(PASSIVE)")
    [[page_bytes]] = await raw("PRAGMA page_size")
    assert 0 < pages * page_bytes < MIB
