"""Starts and ends `reachbook serve` as a separate process."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from tests.support.commands import PROGRAM, environment
from tests.support.personas import MASTER_KEY
from tests.support.waiting import wait_until

START_SECONDS = 40
STOP_SECONDS = 10  # contract section 10: the server exits within this time after SIGTERM
REQUEST_SECONDS = 10

_listening = re.compile(r"^Reachbook is listening on (\S+)$", re.MULTILINE)
_numbers = count(1)


@dataclass(frozen=True)
class Server:
    """A server process, and the files of its standard output and standard error."""

    process: subprocess.Popen[bytes]
    output: Path
    errors: Path

    @cached_property
    def url(self) -> str:
        """The URL that it listens on; waits until the server announces it."""
        return wait_until(self._announced, START_SECONDS, "the server announces its URL")

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.url.rpartition(":")[2])

    def client(self, api_key: str) -> httpx.Client:
        """Return a client with an API key."""
        headers = {"authorization": f"Bearer {api_key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=REQUEST_SECONDS)

    def request(self, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        """Send a request on a new connection, so that any worker may accept it."""
        with httpx.Client(timeout=REQUEST_SECONDS, verify=False) as client:  # loading CAs is slow
            return client.request(method, self.url + path, **options)

    def processes(self) -> list[psutil.Process]:
        """Return the process and every process that it started."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes; none if the server is a single process."""
        return [each for each in self.processes()[1:] if _is_worker(each)]

    def memory(self) -> int:
        """Return the resident bytes of all its processes."""
        return sum(each.memory_info().rss for each in self.processes())

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the JSON lines of the log."""
        lines = self.errors.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def welcome(self, seconds: float = 10) -> str:
        """Return the output of a first start, which ends with a curl line."""

        def complete() -> str:
            text = self.output.read_text()
            return text if "\ncurl " in text else ""

        return wait_until(complete, seconds, "the server prints a curl line")

    def stop(self) -> int:
        """Send SIGTERM and return the exit code; it must exit within STOP_SECONDS."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL to each of its processes."""
        for each in self.processes():
            each.kill()
        self.process.wait(STOP_SECONDS)

    def _announced(self) -> str:
        """Return the URL in the output, which is text or JSON; empty if it is not there yet."""
        text = self.output.read_text()
        if match := _listening.search(text):
            return match[1]
        if text.startswith("{") and text.endswith("}\n"):
            return str(json.loads(text)["url"])
        code = self.process.poll()
        assert code is None, f"it exited with {code}: {self.errors.read_text()}"
        return ""


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # it has just exited
        return False


def start(
    directory: Path, *arguments: str, env: Mapping[str, str], errors: Path | None = None
) -> Server:
    """Start a server on a free port; its output is stored in a directory.

    `errors` is the file for its standard error, if not in the directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    stem = directory / f"serve-{next(_numbers)}"
    output, errors = stem.with_suffix(".out"), errors or stem.with_suffix(".err")
    with output.open("wb") as to_output, errors.open("wb") as to_errors:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--port", "0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=to_output,
            stderr=to_errors,
            env=env,
            start_new_session=True,
        )
    return Server(process, output, errors)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process; it and its group are killed, and the test fails, if SIGTERM does not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS + 2)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the group of a server: `start_new_session`
        process.kill()
        process.wait(STOP_SECONDS)


@contextmanager
def running(
    directory: Path, *arguments: str, env: Mapping[str, str], errors: Path | None = None
) -> Iterator[Server]:
    """Run a server until the block ends, with the parameters of `start`."""
    server = start(directory, *arguments, env=env, errors=errors)
    try:
        assert server.url
        yield server
    finally:
        end(server.process)


@contextmanager
def serving(
    directory: Path, database: str, *arguments: str, errors: Path | None = None, **settings: str
) -> Iterator[Server]:
    """Serve a database until the block ends; its data directory and output are in `directory`.

    `settings` are REACHBOOK_ variables in lower case.
    """
    arguments = ("--database", database, *arguments)
    env = server_environment(directory, **settings)
    with running(directory, *arguments, env=env, errors=errors) as server:
        yield server


@asynccontextmanager
async def serving_async(
    directory: Path, database: str, *arguments: str, errors: Path | None = None, **settings: str
) -> AsyncIterator[Server]:
    """Do the same as `serving`; the event loop runs while the server starts and ends."""
    arguments = ("--database", database, *arguments)
    env = server_environment(directory, **settings)
    server = start(directory, *arguments, env=env, errors=errors)
    try:
        await asyncio.to_thread(lambda: server.url)
        yield server
    finally:
        await asyncio.to_thread(end, server.process)


def server_environment(directory: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a command for the data of `serving`, with its master key."""
    master_key = base64.b64encode(MASTER_KEY).decode()
    return environment(directory, **{"master_key": master_key, **settings})


def worker_arguments(database: str) -> list[str]:
    """Return the flags for two workers on PostgreSQL; SQLite has one process."""
    return ["--workers", "2"] if database.startswith("postgresql") else []


def free_port() -> int:
    """Return a port of the loopback interface that is not in use."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
