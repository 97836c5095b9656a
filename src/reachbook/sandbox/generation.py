"""A store and the API over it, from a reset of the sandbox to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from starlette.applications import Starlette

from reachbook.http import app
from reachbook.http.app import OpenState
from reachbook.http.state import AppState
from reachbook.storage.sqlite import backup

DRAIN_SECONDS = 5.0
"""How long requests may use a store after it was replaced."""
ABORT_SECONDS = 2.0

Abort = Callable[[], None]


class Generation:
    """The API over a file of its own, and the requests that are using it."""

    def __init__(self, file: Path, open_state: OpenState) -> None:
        self.file = file
        self.is_aborted: Final = asyncio.Event()
        """Set when a request that still runs must do nothing more with the store."""
        self._api = app.build(open_state)
        self._lifespan = AsyncExitStack()
        self._running: list[Abort] = []
        self._idle = asyncio.Event()
        self._idle.set()

    async def open(self) -> None:
        """Open the store."""
        await self._lifespan.enter_async_context(self._api.router.lifespan_context(self._api))

    async def close(self) -> None:
        """Close the store."""
        await self._lifespan.aclose()

    @property
    def state(self) -> AppState:
        """Returns the state of the API."""
        state: AppState = self._api.state.state
        return state

    @contextmanager
    def request(self, abort: Abort) -> Iterator[Starlette]:
        """Yields the API for a request; `abort` closes the connection of the request."""
        self._running.append(abort)
        self._idle.clear()
        try:
            yield self._api
        finally:
            self._running.remove(abort)
            if not self._running:
                self._idle.set()

    def abort(self) -> None:
        """Close the connections of the requests that are running."""
        self.is_aborted.set()
        for abort in tuple(self._running):
            abort()

    async def end(self) -> None:
        """Close the store when no request uses it, at the latest after a while; delete its file."""
        if not await self._is_idle_within(DRAIN_SECONDS):
            self.abort()
            await self._is_idle_within(ABORT_SECONDS)
        await self.close()
        backup.discard(self.file)

    async def _is_idle_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        return self._idle.is_set()
