"""The servers as processes: started on one core, measured, and ended by their process ids."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec
import psutil  # type: ignore[import-untyped]

from bench import machine
from bench.databases import Database, copy_environment
from bench.machine import ROOT

START_SECONDS = 30.0
END_SECONDS = 15.0
POLL_SECONDS = 0.005
REQUEST_SECONDS = 30.0
LOG_CHARACTERS = 400


class Launch(msgspec.Struct, frozen=True):
    """How a server is started. `PORT` in the command is replaced by a free port."""

    command: list[str]
    environment: dict[str, str] = {}
    all_cores: bool = False


class StartError(Exception):
    """A server did not start; the message has the end of its log."""


class Server:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.port = port
        self.log = log
        self._process = psutil.Process(process.pid)

    def cpu_seconds(self) -> float:
        """Returns the CPU time, user and system, of the server and its workers so far."""
        times = [each.cpu_times() for each in self._all()]
        return float(sum(each.user + each.system for each in times))

    def memory(self) -> float:
        """Returns the resident memory in MiB; of the largest worker, if there are several."""
        return float(max(each.memory_info().rss for each in self._all())) / 2**20

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


@contextmanager
def running(launch: Launch, folder: Path) -> Iterator[Server]:
    """Run a server until the block ends; its standard output and error go to a file."""
    port = free_port()
    log = folder / f"server-{port}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [part.replace("PORT", str(port)) for part in launch.command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": _python_path(), **launch.environment},
            preexec_fn=machine.use_all_cores if launch.all_cores else machine.pin_to_server_core,
        )
    try:
        _wait_for(process, port, log)
        yield Server(process, port, log)
    finally:
        stop(process)


def product(database: Database, *, log_line: bool = True, workers: int = 1) -> Launch:
    """Reachbook as it is, with or without the line that it logs for each request."""
    module = "reachbook" if log_line else "bench.quiet"
    flags = ["serve", "--port", "PORT"]
    if workers > 1:
        flags += ["--workers", str(workers)]
    environment = {
        "REACHBOOK_DATABASE": database.url,
        "REACHBOOK_DATA_DIR": database.data_dir,
    }
    return Launch([sys.executable, "-m", module, *flags], environment, workers > 1)


def ceiling(database: Database) -> Launch:
    """The bare ASGI function that Reachbook is compared with."""
    flags = ["--port", "PORT", "--no-access-log", "--log-level", "warning"]
    flags += ["--no-server-header", "--no-date-header", "--loop", "uvloop", "--http", "httptools"]
    command = [sys.executable, "-m", "uvicorn", "bench.ceiling:app", *flags]
    return Launch(command, copy_environment(database))


def free_port() -> int:
    """Returns a port of loopback on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, method: str, path: str, token: str = "", body: bytes = b"") -> tuple[int, bytes]:
    """Send one request on a connection of its own; returns the status and the body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=REQUEST_SECONDS)
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and wait for it."""
    process.terminate()
    try:
        process.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=END_SECONDS)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            ask(port, "GET", "/")
        except (OSError, HTTPException):
            time.sleep(POLL_SECONDS)
        else:
            return
    lines = log.read_text(errors="replace").strip().splitlines()
    output = " ".join(lines)[-LOG_CHARACTERS:]
    raise StartError(f"the server did not start: {output or 'it logged nothing'}")


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(ROOT), *([inherited] if inherited else [])])
