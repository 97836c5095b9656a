"""One process or several that serve: from settings to a listening socket, and back to silence."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from reachbook import logs, moment
from reachbook.access import Access
from reachbook.administration import Administration
from reachbook.first_run import Welcome, welcome
from reachbook.http import app
from reachbook.http.allowance import Allowance
from reachbook.http.desk import Desk
from reachbook.master_key import open_master_key
from reachbook.service import Service
from reachbook.settings import BadSettingError, Settings
from reachbook.storage import door, open_store

DRAIN_SECONDS = 8
BACKLOG = 1024
WORKER_START_SECONDS = 30.0

Announce = Callable[[str], None]


async def prepare(settings: Settings) -> Welcome | None:
    """Whatever would stop us is found here, before the port opens; a first start is welcomed."""
    on_sqlite = door.is_sqlite(settings.database_url)
    if on_sqlite and settings.workers > 1:
        raise BadSettingError(
            "SQLite is served by one process, whose single writer keeps its promises; "
            "for --workers above 1 use PostgreSQL."
        )
    store = await open_store(settings.database_url)
    try:
        await store.require_schema()
        master_key = await open_master_key(settings, store)
        if not on_sqlite:
            return None
        return await welcome(store, Administration(store, moment.now), master_key)
    finally:
        await store.close()


def listen(settings: Settings) -> socket.socket:
    """The bound socket, or a sentence that says why not."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise BadSettingError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror or error}."
        ) from None
    listener.set_inheritable(True)
    return listener


def run(settings: Settings, listener: socket.socket, announce: Announce) -> None:
    """Serve until a signal says stop; `announce` is called with the URL when we can answer."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        partial(make_app, settings),
        factory=True,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        workers=settings.workers,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    if settings.workers > 1:
        _Workers(config, [listener], partial(announce, url)).run()
        return
    # Uvicorn raises the signal again when it has drained; drained is what we wanted: exit 0.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, lambda *_: None)
    _Process(config, partial(announce, url)).run([listener])


def make_app(settings: Settings) -> Starlette:
    """The application of one process; with several workers each makes its own."""
    logs.configure()
    return app.build(partial(_open_desk, settings))


@asynccontextmanager
async def _open_desk(settings: Settings) -> AsyncIterator[Desk]:
    store = await open_store(settings.database_url)
    access = Access(store, await open_master_key(settings, store), moment.now)
    try:
        yield Desk(Service(store), access, Allowance(settings.rate_limit))
    finally:
        await access.close()
        await store.close()


class _Process(uvicorn.Server):
    """The server of a single process, which tells when it can answer."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if self.started:
            self._ready()


class _Workers(Multiprocess):
    """The parent of several workers, which tells when every one of them can answer."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], ready: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets)
        self._ready = ready

    def init_processes(self) -> None:
        """Start the workers, then tell."""
        super().init_processes()
        if all(one.wait_until_ready(WORKER_START_SECONDS) for one in self.processes):
            self._ready()


@contextmanager
def sole_server(settings: Settings) -> Iterator[None]:
    """Hold the SQLite file for this process; a second `serve` is told who has it."""
    if not door.is_sqlite(settings.database_url):
        yield
        return
    database = door.sqlite_path(settings.database_url)
    path = Path(f"{os.path.realpath(database)}.serving")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise BadSettingError(f"{path}: {error.strerror}.") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise BadSettingError(
                f"{database} is being served by process {file.read().strip()} already; "
                "stop it first, or give this one a database of its own."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
