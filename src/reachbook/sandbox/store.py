"""The temporary store of the sandbox, and the API over it.

A reset opens another store, on a copy of the first state, in a file of its own. So nothing of the
past can stay in a cache, an id block or a rate limit, and there is no list of these to keep up to
date. New requests use the new store at once. A request that is running ends with the store that it
began with, so whatever it does late is lost with that store.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote

from msgspec.structs import replace
from starlette.applications import Starlette

from reachbook import background
from reachbook.domain.errors import Reason, Refusal
from reachbook.metrics import Metrics
from reachbook.sandbox.clock import SandboxClock
from reachbook.sandbox.generation import Abort, Generation
from reachbook.server.run import open_state
from reachbook.settings import Settings
from reachbook.storage import open_store
from reachbook.storage.opening import sqlite_path
from reachbook.storage.sqlite import backup

SEED = ".seed"
"""The snapshot of the first state; no name of a caller begins with a dot."""
MAX_SNAPSHOTS = 32
MAX_ENDING = 8
"""How many replaced stores may wait for their requests; each has a few connections and threads."""


class SandboxStore:
    """The API over a store that can be replaced while requests are running."""

    def __init__(self, settings: Settings, metrics: Metrics, clock: SandboxClock) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._snapshots = settings.directory / "snapshots"
        self._changing = asyncio.Lock()
        self._replaced = 0
        self._ending: dict[asyncio.Task[None], Generation] = {}
        self._closing = AsyncExitStack()
        self._current = self._generation(sqlite_path(settings.database_url))

    @property
    def current(self) -> Generation:
        """Returns the store of new requests, with its API."""
        return self._current

    async def open(self) -> None:
        """Keep the first state as the snapshot that `reset` restores, and open the API."""
        self._snapshots.mkdir(mode=0o700)
        shutil.copyfile(self._current.file, self._snapshot(SEED))
        # Each generation restores the handlers that it found, and they do not end in the order in
        # which they began: the first and last handlers are those of this context.
        self._closing.enter_context(background.watching(self._metrics))
        await self._current.open()

    async def close(self) -> None:
        """Close the API and every store."""
        async with self._closing:
            for generation in self._ending.values():
                generation.abort()
            await asyncio.gather(*self._ending, return_exceptions=True)
            await self._current.close()

    @contextmanager
    def request(self, abort: Abort) -> Iterator[tuple[Starlette, Generation]]:
        """Yields the API for a request, and the generation that it belongs to until it ends."""
        generation = self._current
        with generation.request(abort) as api:
            yield api, generation

    def names(self) -> list[str]:
        """Returns the names of the snapshots."""
        found = (path.name for path in self._snapshots.iterdir())
        return sorted(name for name in found if not name.startswith("."))

    async def take_snapshot(self, name: str) -> None:
        """Keep the present state under a name; a snapshot with this name is replaced."""
        async with self._changing:
            if name not in self.names() and len(self.names()) >= MAX_SNAPSHOTS:
                raise Refusal(
                    Reason.TOO_MANY,
                    f"The sandbox keeps at most {MAX_SNAPSHOTS} snapshots; delete one.",
                )
            incomplete = self._snapshots / ".incomplete"
            incomplete.unlink(missing_ok=True)
            # Writes go on meanwhile, and the copy is the state at one moment.
            await asyncio.to_thread(backup.copy, self._current.file, incomplete)
            incomplete.replace(self._snapshot(name))

    async def restore(self, name: str = SEED) -> None:
        """Go back to a snapshot; raises `no_snapshot`. Followers of the feed begin anew."""
        async with self._changing:
            self._replaced += 1
            file = self._settings.directory / f"generation-{self._replaced}.db"
            shutil.copyfile(self._existing(name), file)
            generation = self._generation(file)
            try:
                await _renew_incarnation(_url(file))
                await generation.open()
            except BaseException:
                backup.discard(file)
                raise
            old, self._current = self._current, generation
            self._end(old)

    def delete(self, name: str) -> None:
        """Delete a snapshot; raises `no_snapshot`."""
        self._existing(name).unlink(missing_ok=True)

    def _generation(self, file: Path) -> Generation:
        settings = replace(self._settings, database=_url(file))
        return Generation(file, partial(open_state, settings, self._metrics, self._clock.now))

    def _end(self, generation: Generation) -> None:
        """End a generation in the background."""
        if len(self._ending) >= MAX_ENDING:
            next(iter(self._ending.values())).abort()
        task = background.start(self._metrics, "closing", generation.end())
        self._ending[task] = generation
        task.add_done_callback(self._ending.pop)

    def _snapshot(self, name: str) -> Path:
        return self._snapshots / name

    def _existing(self, name: str) -> Path:
        snapshot = self._snapshot(name)
        if snapshot.is_file():
            return snapshot
        raise Refusal(Reason.NO_SNAPSHOT, f"The sandbox has no snapshot {name!r}.")


async def _renew_incarnation(url: str) -> None:
    store = await open_store(url)
    try:
        await store.renew_incarnation()
    finally:
        await store.close()


def _url(file: Path) -> str:
    return f"sqlite:///{quote(str(file))}"
