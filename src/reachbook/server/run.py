"""Runs the server: checks the settings, binds the socket, and starts and stops processes."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.routing import Route
from starlette.types import ASGIApp

from reachbook import background, logs
from reachbook.domain import timestamps
from reachbook.http import app
from reachbook.http.rate_limit import RateLimiter
from reachbook.http.state import AppState
from reachbook.metrics import SHARED_DIR, Metrics, all_workers
from reachbook.server import metrics_server
from reachbook.server.master_key import (
    ChangedKeys,
    open_master_key,
    open_master_keys,
    require_team_keys,
    reread_later,
)
from reachbook.server.protocol import IDLE_SECONDS, MAX_CONNECTIONS, BoundedProtocol
from reachbook.server.proxy import TrustedProxies, trusts
from reachbook.server.workers import OneProcess, Workers, exit_with_parent, raise_fd_limit
from reachbook.service import Service, TeamKeys
from reachbook.service.administration import Administration
from reachbook.service.authentication import Authenticator
from reachbook.service.bootstrap import Bootstrap, bootstrap
from reachbook.settings import BadSettingError, Settings
from reachbook.storage import Store, open_store, opening

if TYPE_CHECKING:
    from reachbook.console.state import ConsoleState

DRAIN_SECONDS = 7  # less than the 10 s after which docker stop kills a process
CLOSE_SECONDS = 0.5
SWEEP_SECONDS = 60
BACKLOG = 1024
OPEN_FILES = 4 * MAX_CONNECTIONS

Announce = Callable[[str], None]
Close = Callable[[], Awaitable[None]]
Clock = Callable[[], int]


async def prepare(settings: Settings) -> tuple[socket.socket, Bootstrap | None]:
    """Check everything that could prevent the start, bind the port, and create first credentials.

    The socket does not listen yet, so that no client connects before the server can respond.
    """
    on_sqlite = opening.is_sqlite(settings.database_url)
    if on_sqlite and settings.workers > 1:
        raise BadSettingError(
            "SQLite can be served by one process only; for --workers above 1 use PostgreSQL."
        )
    # Closed again at the end, because workers are started later, and two processes must not share a
    # connection.
    store = await open_store(settings.database_url)
    try:
        await store.require_schema()
        # With SQLite this process is the only one, so it may migrate. With PostgreSQL an older
        # release may be running, so an operator must run `reachbook migrate`.
        if on_sqlite:
            await store.migrate_identities()
            await store.index_names()
        keys = await open_master_keys(settings, store)
        await require_team_keys(store, keys)
        # Created only for its errors: a wrong URL must be reported before the port is bound.
        RateLimiter(settings.rate_limit, settings.rate_limit_url)
        listener = bind(settings)
        if not on_sqlite:
            return listener, None
        administration = Administration(store, timestamps.now)
        return listener, await bootstrap(store, administration, keys[0])
    finally:
        await store.close()


def bind(settings: Settings) -> socket.socket:
    """Returns a bound socket; raises `BadSettingError` if the address cannot be bound."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # A restart must not wait for connections of the previous process that are in TIME_WAIT.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise BadSettingError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror or error}."
        ) from None
    # The workers accept from this socket.
    listener.set_inheritable(True)
    return listener


def run(settings: Settings, listener: socket.socket, announce: Announce) -> None:
    """Serve until a signal; call `announce` with the URL when the server can respond."""
    raise_fd_limit(OPEN_FILES)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    ready = partial(announce, f"http://{host}:{listener.getsockname()[1]}")
    if settings.workers > 1:
        _run_workers(settings, listener, ready)
        return
    metrics = Metrics()
    with _serving_metrics(settings, metrics.registry, metrics):
        run_process(server_config(settings, partial(make_app, settings, metrics)), listener, ready)


def run_process(config: uvicorn.Config, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve in this process until a signal; call `ready` when the server can respond."""
    process = OneProcess(config, ready)
    # Set before the start, so that a signal during the start is handled, too. Uvicorn raises the
    # signal again after it has drained; with this handler the process then exits with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, process.handle_exit)
    process.run([listener])


def _run_workers(settings: Settings, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Run workers, which write their metrics to files; this process adds them up."""
    with tempfile.TemporaryDirectory(prefix="reachbook-metrics-") as shared:
        os.environ[SHARED_DIR] = shared
        logs.configure()
        with _serving_metrics(settings, all_workers(shared), None):
            config = server_config(settings, partial(make_app, settings))
            Workers(config, [listener], ready).run()


def server_config(
    settings: Settings,
    make: Callable[[], ASGIApp],
    protocol: type[BoundedProtocol] = BoundedProtocol,
) -> uvicorn.Config:
    """Returns the configuration of uvicorn; `make` returns the application of a process."""
    return uvicorn.Config(
        make,
        factory=True,
        loop="uvloop",
        http=protocol,
        ws="none",  # an offer of an upgrade is ignored, see BoundedProtocol
        lifespan="on",
        # The middleware logs each request once, as JSON.
        log_config=None,
        access_log=False,
        proxy_headers=False,  # see `make_app`
        root_path=settings.base_path,
        server_header=False,
        backlog=BACKLOG,
        workers=settings.workers,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def make_app(settings: Settings, metrics: Metrics | None = None) -> ASGIApp:
    """Returns the application of one process; each of several workers has its own."""
    metrics = metrics or Metrics()
    logs.configure(metrics.log_lines_dropped.inc)
    application = app.build(
        partial(open_state, settings, metrics),
        shows_metrics=settings.metrics_address is None,
        base_path=settings.base_path,
        pages=_pages() if settings.console else (),
    )
    application.state.description()  # built now, so that no request has to wait for it
    # X-Forwarded-For is used only if proxies are configured, because any client can send it.
    if not settings.trusted_proxies:
        return application
    return TrustedProxies(application, settings.trusted_proxies)


def _pages() -> Sequence[Route]:
    """Returns the routes of the web console; a server without it does not import its templates."""
    from reachbook.console.routes import ROUTES

    return ROUTES


def _console(settings: Settings, store: Store, service: Service) -> ConsoleState | None:
    """Returns the state of the web console, or None if the settings turn it off."""
    if not settings.console:
        return None
    from reachbook.console.attempts import SignInAttempts
    from reachbook.console.state import ConsoleState

    return ConsoleState(
        service,
        Administration(store, timestamps.now),
        partial(open_master_key, settings, store),
        SignInAttempts(),
        base_path=settings.base_path,
        user_header=settings.trusted_user_header.lower(),
        is_trusted=trusts(settings.trusted_proxies),
    )


@asynccontextmanager
async def open_state(
    settings: Settings, metrics: Metrics, clock: Clock = timestamps.now
) -> AsyncIterator[AppState]:
    """Open the store and the use cases; they are closed at the end of the context."""
    # They are closed in reverse order, so that the store is closed after everything that uses it.
    async with AsyncExitStack() as closing:
        closing.enter_context(background.watching(metrics))
        store = await open_store(settings.database_url, metrics)
        closing.push_async_callback(_close, metrics, store.close)
        incarnation = await store.incarnation()
        keys = await open_master_keys(settings, store)
        access = Authenticator(store, keys, clock, metrics, ChangedKeys(settings))
        rate_limiter = RateLimiter(settings.rate_limit, settings.rate_limit_url)
        closing.push_async_callback(_close_in_time, metrics, access.close, rate_limiter.close)
        service = Service(store, TeamKeys(store, keys, partial(reread_later, settings)), clock)
        sweeping = background.repeat(
            metrics, "expired_responses", SWEEP_SECONDS, service.purge_expired
        )
        sweeper = background.start(metrics, "expired_responses", sweeping)
        closing.callback(sweeper.cancel)
        with exit_with_parent():
            console = _console(settings, store, service)
            yield AppState(service, access, rate_limiter, metrics, incarnation, console)


async def _close(metrics: Metrics, close: Close) -> None:
    """Close one part; an error must not keep the next part from being closed."""
    with background.reporting(metrics, "closing"):
        await close()


async def _close_in_time(metrics: Metrics, *closes: Close) -> None:
    """Close parts that may wait for an unavailable store or counter, within a time limit."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await asyncio.gather(*(_close(metrics, close) for close in closes))


@contextmanager
def _serving_metrics(
    settings: Settings, registry: CollectorRegistry, metrics: Metrics | None
) -> Iterator[None]:
    """Serve /metrics on an address of its own, if the settings name one."""
    if settings.metrics_address is None:
        yield
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(metrics_server.serving(settings.metrics_address, registry, metrics))
        except OSError as error:
            raise BadSettingError(
                f"Cannot serve metrics on {settings.metrics}: {error.strerror or error}."
            ) from None
        yield


@contextmanager
def sqlite_serve_lock(settings: Settings) -> Iterator[None]:
    """Lock the SQLite file; raises `BadSettingError` that names the process that has the lock."""
    if not opening.is_sqlite(settings.database_url):
        yield
        return
    database = opening.sqlite_path(settings.database_url)
    path = Path(f"{os.path.realpath(database)}.serving")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise BadSettingError(f"{path}: {error.strerror}.") from None
    with file:
        # A lock, and not only a file: the kernel releases it when the process is killed.
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
