"""The processes of the server: a single process, or a parent with workers."""

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
        # Uvicorn does not wait longer, but would keep their sockets open until the process ends.
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
        """Terminate the workers, and close the sockets in this process, too.

        Otherwise clients would wait in the queue of a socket that no worker accepts from.
        """
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def keep_subprocess_alive(self) -> None:
        """Replace a worker that died, and drop its gauges.

        Uvicorn's own method ends the whole service if a worker cannot start. This one tries again:
        after a successful start, a worker usually fails because the store is temporarily
        unavailable. If the system refuses to start a process, the next call tries again.
        """
        for number, process in enumerate(self.processes):
            if self.should_exit.is_set() or process.is_alive(
                self.config.timeout_worker_healthcheck
            ):
                continue
            with background.reporting(None, "workers"):
                # Killed because it may hang: two processes must not use the same metrics files.
                process.kill()
                process.join()
                log.warning("a worker died and is replaced", pid=process.pid)
                mark_process_dead(process.pid)  # type: ignore[no-untyped-call]
                started = Process(self.config, self.sockets)
                started.start()
                self.processes[number] = started

    def handle_signals(self) -> None:
        """Handle signals; an error is reported, and does not end the parent and its workers."""
        with background.reporting(None, "workers"):
            super().handle_signals()


def raise_fd_limit(wanted: int) -> None:
    """Raise the limit of open files to `wanted`, or to the hard limit if that is lower.

    Every connection needs an open file, and the default is often too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


@contextmanager
def exit_with_parent() -> Iterator[None]:
    """Drain and end this worker when its parent has been killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        yield
        return
    loop, sentinel = asyncio.get_running_loop(), parent.sentinel

    def end() -> None:
        # The pipe stays readable, so the loop would call `end` again and again.
        loop.remove_reader(sentinel)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sentinel, end)
    try:
        yield
    finally:
        loop.remove_reader(sentinel)
