"""The retry policy of everything that can fail because of concurrent writes."""

from __future__ import annotations

import asyncio
import random
import time

MAX_ATTEMPTS = 100
RETRY_SECONDS = 1.5  # no attempt begins later, because a request waits 1.8 s for the store
JITTER_SECONDS = 0.01


class Attempts:
    """An asynchronous iterator over the numbers of the attempts, from 0.

    Before each attempt but the first it waits for a random time of at most `JITTER_SECONDS`, so
    that two writes that conflicted do not conflict again. It ends after `MAX_ATTEMPTS` attempts or
    `RETRY_SECONDS`.
    """

    def __init__(self) -> None:
        self._made = 0
        self._last_begin = time.monotonic() + RETRY_SECONDS

    def __aiter__(self) -> Attempts:
        return self

    async def __anext__(self) -> int:
        if self._made:
            await asyncio.sleep(random.uniform(0, JITTER_SECONDS))
            if self._made == MAX_ATTEMPTS or time.monotonic() > self._last_begin:
                raise StopAsyncIteration
        self._made += 1
        return self._made - 1
