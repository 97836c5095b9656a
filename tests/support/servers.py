"""Real servers for the drills: started, watched, stopped and killed by their own ids."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from reachbook.domain import timestamps
from reachbook.domain.credential import Representation
from reachbook.service.administration import Administration, CredentialOptions
from reachbook.storage import open_store

PROGRAM = Path(sys.executable).with_name("reachbook")
START_SECONDS = 40
STOP_SECONDS = 10  # contract section 10: SIGTERM ends within this
MIB = 1024 * 1024

_listening = re.compile(r"^Reachbook is listening on http://127.0.0.1:(\d+)$", re.MULTILINE)
_numbers = count(1)


@dataclass(frozen=True)
class Server:
    """A server process that can answer."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def family(self) -> list[psutil.Process]:
        """The process and every process that it started."""
        mine = psutil.Process(self.process.pid)
        return [mine, *mine.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests, when there are several."""
        return [one for one in self.family()[1:] if _is_worker(one)]

    def memory(self) -> int:
        """The bytes that it holds in memory, all processes together."""
        return sum(one.memory_info().rss for one in self.family())

    async def stop(self) -> tuple[int, float]:
        """Send SIGTERM; the exit code, and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(self.process.wait, STOP_SECONDS + 5)
        return code, time.monotonic() - began

    async def kill(self) -> None:
        """Send SIGKILL to every process of it: the power button of one program."""
        for one in self.family():
            one.kill()
        await asyncio.to_thread(self.process.wait, STOP_SECONDS)


@asynccontextmanager
async def serving(
    directory: Path, database: str, *arguments: str, port: int = 0, quiet: bool = False
) -> AsyncIterator[Server]:
    """A server on a database, until the block ends; its log is kept unless it is to be `quiet`."""
    number = next(_numbers)
    out, log = directory / f"serve-{number}.out", directory / f"serve-{number}.log"
    log = Path(os.devnull) if quiet else log
    flags = ["--port", str(port), "--database", database, *arguments]
    process = _start(directory, flags, out, log)
    try:
        yield Server(process, await _port(process, out, log), log)
    finally:
        await asyncio.to_thread(end, process)


def _start(directory: Path, flags: list[str], out: Path, log: Path) -> subprocess.Popen[bytes]:
    with out.open("wb") as to_out, log.open("wb") as to_log:
        return subprocess.Popen(
            [str(PROGRAM), "serve", *flags],
            stdin=subprocess.DEVNULL,
            stdout=to_out,
            stderr=to_log,
            env=_environment(directory),
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours; it, or what it started, is killed when it does not stop when told."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS + 2)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a group of its own, by `start_new_session`
    process.wait(STOP_SECONDS)


async def until(true: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until something is true; the seconds it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def api_key(database: str) -> str:
    """An API key of a new team, on a database that is migrated if need be."""
    store = await open_store(database)
    try:
        await store.migrate()
        administration = Administration(store, timestamps.now)
        team = await administration.create_team("Bob's team", None)
        terms = CredentialOptions(Representation.STRING_IDS)
        return (await administration.create_key(team.team_id, terms))[1]
    finally:
        await store.close()


async def _port(process: subprocess.Popen[bytes], out: Path, log: Path) -> int:
    found: list[int] = []

    def announced() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}: {log.read_text()}"
        found.extend(int(port) for port in _listening.findall(out.read_text()))
        return bool(found)

    await until(announced, START_SECONDS, "the server says where it listens")
    return found[0]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # it has just died
        return False


def _environment(directory: Path) -> dict[str, str]:
    mine = {key: value for key, value in os.environ.items() if not key.startswith("REACHBOOK_")}
    return {**mine, "REACHBOOK_DATA_DIR": str(directory), "PYTHONWARNINGS": "error"}
