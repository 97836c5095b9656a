"""A real `reachbook serve` as a process of its own, for tests of what only a process has."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from reachbook.service.administration import Administration
from reachbook.storage import open_store
from tests.support.personas import MASTER_KEY, Asker, Clock, asker

START_SECONDS = 30
END_SECONDS = 15
ONE_REQUEST_EACH = httpx.Limits(max_keepalive_connections=0)
LISTENING = "Reachbook is listening on "


@dataclass
class Served:
    """A server that can answer, and what it wrote on standard error so far."""

    process: subprocess.Popen[str]
    url: str
    errors: Path
    client: httpx.Client

    def ask(self, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        """One request on a connection of its own, so that any worker may get it."""
        return self.client.request(method, self.url + path, **options)

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split() if "spawn_main" in _command_line(pid)]

    def logged(self) -> list[dict[str, Any]]:
        """The JSON lines of its log."""
        lines = self.errors.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it has ended meanwhile
        return ""


@contextmanager
def serving(tmp_path: Path, database: str, *flags: str, **settings: str) -> Iterator[Served]:
    """Serve a database on a free port until the block ends; `settings` are REACHBOOK_ variables."""
    errors = tmp_path / f"errors-{time.monotonic_ns()}"
    with errors.open("w") as file:
        process = subprocess.Popen(
            command("serve", "--port", "0", "--database", database, *flags),
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env=environment(tmp_path, **settings),
        )
        try:
            with httpx.Client(timeout=10, limits=ONE_REQUEST_EACH) as client:
                yield Served(process, _url(process, errors), errors, client)
        finally:
            _end(process)


def command(*words: str) -> list[str]:
    """A `reachbook` command of this checkout."""
    return [sys.executable, "-m", "reachbook", *words]


def environment(tmp_path: Path, **settings: str) -> dict[str, str]:
    """The environment of a command, with the master key of the cast."""
    chosen = {
        "DATA_DIR": str(tmp_path / "data"),
        "MASTER_KEY": base64.b64encode(MASTER_KEY).decode(),
        **settings,
    }
    inherited = {name: value for name, value in os.environ.items() if name[:10] != "REACHBOOK_"}
    return inherited | {f"REACHBOOK_{name}": value for name, value in chosen.items()}


def team_on(database: str) -> Asker:
    """A team with its credentials in a database."""

    async def make() -> Asker:
        store = await open_store(database)
        try:
            return await asker(Administration(store, clock), "Bob's team", clock)
        finally:
            await store.close()

    clock = Clock()
    return asyncio.run(make())


def samples(text: str) -> dict[str, float]:
    """What a page of metrics says: each sample as it is written, and its value."""
    return {
        sample.name + _labels(sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _labels(labels: dict[str, str]) -> str:
    written = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f"{{{written}}}" if written else ""


def until(holds: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether something holds before the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return holds()


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _url(process: subprocess.Popen[str], errors: Path) -> str:
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline() if ready else ""
    assert line.startswith(LISTENING), errors.read_text() or "it said nothing in time"
    return line.removeprefix(LISTENING).strip()


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
