"""The temporary store of the sandbox, and the API over it.

A reset closes the store and opens it again on a copy of the file. So nothing of the past can stay
in a cache, an id block or a rate limit, and there is no list of these to keep up to date.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from starlette.applications import Starlette

from reachbook.domain.errors import Reason, Refusal
from reachbook.http import app
from reachbook.metrics import Metrics
from reachbook.sandbox.clock import SandboxClock
from reachbook.server.run import open_state
from reachbook.settings import Settings
from reachbook.storage import open_store
from reachbook.storage.opening import sqlite_path

SEED = ".seed"
"""The snapshot of the first state; no name of a caller begins with a dot."""
MAX_SNAPSHOTS = 32
DRAIN_SECONDS = 5.0


class SandboxStore:
    """The API over a store that can be reset; requests wait while it is replaced."""

    def __init__(self, settings: Settings, metrics: Metrics, clock: SandboxClock) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._file = sqlite_path(settings.database_url)
        self._snapshots = settings.directory / "snapshots"
        self._replacing = asyncio.Lock()
        self._idle = asyncio.Condition()
        self._running = 0
        self.generation: int = 0
        self._api: Starlette | None = None
        self._closing = AsyncExitStack()

    async def open(self) -> None:
        """Keep the first state as the snapshot that `reset` restores, and open the API."""
        self._snapshots.mkdir(mode=0o700)
        shutil.copyfile(self._file, self._snapshot(SEED))
        await self._open()

    async def close(self) -> None:
        """Close the API and its store."""
        await self._closing.aclose()

    @asynccontextmanager
    async def api(self) -> AsyncIterator[Starlette]:
        """Yields the API; the store is not replaced before the context ends."""
        async with self._replacing:
            self._running += 1
        try:
            assert self._api is not None  # noqa: S101 - opened before the first request
            yield self._api
        finally:
            async with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def names(self) -> list[str]:
        """Returns the names of the snapshots."""
        found = (path.name for path in self._snapshots.iterdir())
        return sorted(name for name in found if name != SEED)

    async def take_snapshot(self, name: str) -> None:
        """Keep the present state under a name; one of the same name is replaced."""
        if name not in self.names() and len(self.names()) >= MAX_SNAPSHOTS:
            raise Refusal(
                Reason.TOO_MANY, f"The sandbox keeps at most {MAX_SNAPSHOTS} snapshots; delete one."
            )
        async with self._closed():
            shutil.copyfile(self._file, self._snapshot(name))

    async def restore(self, name: str = SEED) -> None:
        """Go back to a snapshot; raises `no_snapshot`. Followers of the feed begin anew."""
        self._existing(name)
        async with self._closed():
            # Looked for again: it may have been deleted while running requests ended.
            snapshot = self._existing(name)
            self.generation += 1
            self._replace_file(snapshot)
            store = await open_store(self._settings.database_url)
            try:
                await store.renew_incarnation()
            finally:
                await store.close()

    def delete(self, name: str) -> None:
        """Delete a snapshot; raises `no_snapshot`."""
        self._existing(name).unlink(missing_ok=True)

    @asynccontextmanager
    async def _closed(self) -> AsyncIterator[None]:
        """Let running requests end, close the store, and open it again after the context."""
        async with self._replacing:
            async with self._idle, asyncio.timeout(DRAIN_SECONDS):
                await self._idle.wait_for(lambda: not self._running)
            await self._closing.aclose()
            try:
                yield
            finally:
                await self._open()

    async def _open(self) -> None:
        api = app.build(partial(open_state, self._settings, self._metrics, self._clock.now))
        self._closing = AsyncExitStack()
        await self._closing.enter_async_context(api.router.lifespan_context(api))
        self._api = api

    def _replace_file(self, snapshot: Path) -> None:
        # A WAL that belongs to another file would be replayed into the copy.
        for suffix in ("-wal", "-shm"):
            Path(f"{self._file}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(snapshot, self._file)

    def _snapshot(self, name: str) -> Path:
        return self._snapshots / name

    def _existing(self, name: str) -> Path:
        snapshot = self._snapshot(name)
        if snapshot.is_file():
            return snapshot
        raise Refusal(Reason.NO_SNAPSHOT, f"The sandbox has no snapshot {name!r}.")
