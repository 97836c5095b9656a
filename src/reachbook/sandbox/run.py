"""Run the sandbox: a temporary directory, its team, and a server until a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable
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

RATE_LIMIT = 500
"""Requests a minute for each credential, as the vendor allows."""


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


def run(
    host: str, port: int, rate_limit: int, token: str, announce: Callable[[Sandbox], None]
) -> None:
    """Serve until a signal; the store is then deleted. Call `announce` at the start."""
    # Until the server has its own handler: a signal must not leave the directory behind.
    signal.signal(signal.SIGTERM, _exit)
    with tempfile.TemporaryDirectory(prefix="reachbook-sandbox-") as folder:
        settings = Settings(
            data_dir=folder, host=host, port=port, rate_limit=rate_limit, console=False
        )
        listener = bind(settings)
        team = asyncio.run(create_team(settings))
        logs.configure(lazily=True)
        # On all interfaces, too: the routes under /sandbox accept a loopback address only.
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = server_config(settings, partial(SandboxApp, settings, token), SandboxProtocol)
        run_process(config, listener, lambda: announce(Sandbox(url, token, team)))


def _exit(_number: int, _frame: object) -> None:
    sys.exit(0)
