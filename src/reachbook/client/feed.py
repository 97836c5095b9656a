"""Followers of the event feed: iterators that continue where they, or an earlier one, ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from msgspec import Struct

from reachbook.wire.models.x import FeedEvent, FeedPage


class FeedCursor(Struct, frozen=True):
    """A place in the feed: after the event with the `seq` `after`, in an incarnation of the store.

    Store both to continue later: without the incarnation, a restore of the store is noticed only
    if it lost events.
    """

    after: int = 0
    incarnation: str | None = None


START = FeedCursor()


class Events:
    """The events of the team after a cursor, until there are no more.

    `cursor` is the place after the event that was returned last. Iterate again for the events that
    came since. Raises `FeedRestartedError` if the store was restored.
    """

    def __init__(self, page_after: Callable[[FeedCursor], FeedPage], cursor: FeedCursor) -> None:
        self._page_after = page_after
        self.cursor: FeedCursor = cursor

    def __iter__(self) -> Iterator[FeedEvent]:
        while (page := self._page_after(self.cursor)).events:
            for event in page.events:
                self.cursor = FeedCursor(event.seq, page.incarnation)
                yield event
        self.cursor = FeedCursor(self.cursor.after, page.incarnation)


class AsyncEvents:
    """The same as `Events`, for `async for`."""

    def __init__(
        self, page_after: Callable[[FeedCursor], Awaitable[FeedPage]], cursor: FeedCursor
    ) -> None:
        self._page_after = page_after
        self.cursor: FeedCursor = cursor

    async def __aiter__(self) -> AsyncIterator[FeedEvent]:
        while (page := await self._page_after(self.cursor)).events:
            for event in page.events:
                self.cursor = FeedCursor(event.seq, page.incarnation)
                yield event
        self.cursor = FeedCursor(self.cursor.after, page.incarnation)
