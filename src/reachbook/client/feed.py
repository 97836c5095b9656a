"""Iterators over the event feed, which can continue from a stored cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from msgspec import Struct

from reachbook.wire.models.x import FeedEvent, FeedPage


class FeedCursor(Struct, frozen=True):
    """A position in the feed: after the event whose `seq` is `after`.

    `incarnation` identifies the store since it was last restored. Store both fields to continue
    later: without the incarnation, a restore is noticed only while the newest `seq` is below
    `after`.
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
