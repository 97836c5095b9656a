"""Run the sandbox: a temporary directory, its team, and a server until a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

from msgspec import Struct

from reachbook import logs
from reachbook.sandbox.app import SandboxApp
from reachbook.sandbox.faults import ABORT
from reachbook.sandbox.seed import create_team
from reachbook.server.protocol import BoundedProtocol
from reachbook.server.run import bind, run_process, server_config
from reachbook.service.bootstrap import Bootstrap
from reachbook.settings import Settings

PARENT_SECONDS = 0.5
DRAIN_SECONDS = 1


class Sandbox(Struct, frozen=True):
    """A sandbox that has started: its URL, its control token and its credentials."""

    url: str
    control_token: str
    team: Bootstrap


class SandboxProtocol(BoundedProtocol):
    """The protocol of the server, with a way to close a connection without a response."""

    def on_headers_complete(self) -> None:
        """Start the request; its task runs after this."""
        super().on_headers_complete()
        cast("dict[str, object]", self.scope)[ABORT] = self.transport.abort


class Options(Struct, frozen=True):
    """How a sandbox runs. It ends when its parent is no longer the process `parent_pid`."""

    host: str
    port: int
    rate_limit: int
    token: str
    parent_pid: int | None = None


def run(options: Options, announce: Callable[[Sandbox], None]) -> None:
    """Serve until a signal; the store is then deleted. Call `announce` at the start."""
    # Until the server has its own handler: a signal must not leave the directory behind.
    signal.signal(signal.SIGTERM, _exit)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # and not ignored, as by nohup
        signal.signal(signal.SIGHUP, lambda _number, _frame: signal.raise_signal(signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="reachbook-sandbox-") as folder:
        settings = Settings(
            data_dir=folder,
            host=options.host,
            port=options.port,
            rate_limit=options.rate_limit,
            console=False,
        )
        listener = bind(settings)
        team = asyncio.run(create_team(settings))
        logs.configure(lazily=True)
        # On all interfaces, too: the routes under /sandbox accept a loopback address only.
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        make = partial(SandboxApp, settings, options.token)
        config = server_config(settings, make, SandboxProtocol)
        # Its store is deleted: a request that hangs must not delay the end of a test session.
        config.timeout_graceful_shutdown = DRAIN_SECONDS
        found = Sandbox(url, options.token, team)
        with ending_with(options.parent_pid):
            run_process(config, listener, lambda: announce(found))


@contextmanager
def ending_with(parent_pid: int | None) -> Iterator[None]:
    """Send this process SIGTERM when its parent is another process than the given one.

    A process whose parent is killed gets another parent, and no signal. There is no race: if the
    parent was killed before this is called, the parent is another one already.
    """
    if parent_pid is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while os.getppid() == parent_pid:
            if ended.wait(PARENT_SECONDS):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    # A thread, so that a stalled event loop does not matter.
    threading.Thread(target=watch, name="reachbook-parent", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _exit(_number: int, _frame: object) -> None:
    sys.exit(0)
