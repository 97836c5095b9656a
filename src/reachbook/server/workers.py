"""The processes that serve: one, or a parent with its workers; how they start and end."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from reachbook import background, logs
from reachbook.settings import BadSettingError

WORKER_START_SECONDS = 30.0

log: Final = logs.EventLogger()


class OneProcess(uvicorn.Server):
    """The server of a single process, which calls `ready` when it can respond."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call `ready`."""
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain the connections, then close those that have not ended."""
        await super().shutdown(sockets)
        # Uvicorn waits for them no longer, but would leave their sockets open until the process
        # ends.
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class Workers(Multiprocess):
    """The parent of several workers, which calls `ready` when each of them can respond."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket.socket], ready: Callable[[], None]
    ) -> None:
        super().__init__(config, sockets)
        self._ready = ready

    def init_processes(self) -> None:
        """Start the workers, then call `ready`."""
        super().init_processes()
        if not all(process.wait_until_ready(WORKER_START_SECONDS) for process in self.processes):
            self.terminate_all()
            self.join_all()
            raise BadSettingError("A worker could not start; the log says why.")
        self._ready()

    def terminate_all(self) -> None:
        """Close the listeners here too, so that no client waits in a queue that no worker reads."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Replace a worker that died, and drop its gauges.

        Uvicorn's own would end the whole service when a worker cannot start; ours only waits: once
        we have served, what is missing is a store that will come back. A process that the system
        refuses to start is tried again at the next look.
        """
        for number, process in enumerate(self.processes):
            if self.should_exit.is_set() or process.is_alive(
                self.config.timeout_worker_healthcheck
            ):
                continue
            with background.reporting(None, "workers"):
                # It may hang and not be dead: two processes must not serve with one set of metrics.
                process.kill()
                process.join()
                log.warning("a worker died and is replaced", pid=process.pid)
                mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
                started = Process(self.config, self.sockets)
                started.start()
                self.processes[number] = started

    def handle_signals(self) -> None:
        """Handle signals; an error here must not end the parent, and the workers with it."""
        with background.reporting(None, "workers"):
            super().handle_signals()


def raise_fd_limit(wanted: int) -> None:
    """Raises the limit of open files: every connection is one, and the default is often too low."""
    # The hard limit needs no privilege to be reached, so no operator has to configure anything.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < enough:
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


@contextmanager
def exit_with_parent() -> Iterator[None]:
    """Drain and end this worker when its parent has been killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        yield
        return
    loop, sentinel = asyncio.get_running_loop(), parent.sentinel

    def end() -> None:
        # The pipe stays readable: without this the loop would call `end` without a pause.
        loop.remove_reader(sentinel)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sentinel, end)
    try:
        yield
    finally:
        loop.remove_reader(sentinel)
