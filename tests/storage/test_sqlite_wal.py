"""SQLite's write-ahead log grows while another process reads, and shrinks afterwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reachbook.metrics import Metrics
from reachbook.storage.sqlite import writer
from reachbook.storage.sqlite.engine import Sqlite
from reachbook.storage.sqlite.writer import MAX_WAL_BYTES
from tests.support.server_process import end
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
WRITTEN = 24 * MIB
READER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
print("reading", flush=True)
sys.stdin.read()
"""


@pytest.fixture
async def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sqlite]:
    monkeypatch.setattr(writer, "CHECKPOINT_SECONDS", 0.1)
    opened = await Sqlite.open(tmp_path / "reachbook.db", Metrics())
    await opened._writer.run(
        lambda connection: connection.execute("CREATE TABLE filler (bytes BLOB)")
    )
    yield opened
    await opened.close()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Run a process with a read transaction until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == b"reading\n"
        yield
    finally:
        process.communicate(timeout=10)
        end(process)


async def write(engine: Sqlite, size: int) -> float:
    """Write bytes and return the seconds that it took."""
    start = time.monotonic()
    await engine._writer.run(
        lambda connection: connection.execute(
            "INSERT INTO filler VALUES (zeroblob(?))", (size,)
        ).fetchall()
    )
    return time.monotonic() - start


async def wait_until_at_most(wal: Path, size: int) -> None:
    await wait_until_async(lambda: wal.stat().st_size <= size, 5, "the log is small")


async def test_the_log_shrinks_after_the_reader_has_ended(engine: Sqlite, tmp_path: Path) -> None:
    wal = tmp_path / "reachbook.db-wal"
    with reading(tmp_path / "reachbook.db"):
        for _ in range(WRITTEN // MIB):
            await write(engine, MIB)
        assert wal.stat().st_size > WRITTEN

    await wait_until_at_most(wal, MAX_WAL_BYTES)


async def test_writes_do_not_wait_for_a_reader(engine: Sqlite, tmp_path: Path) -> None:
    """Writes of another connection do not wait either: no checkpoint waits for a reader."""
    with reading(tmp_path / "reachbook.db"):
        await write(engine, WRITTEN)
        other = await Sqlite.open(tmp_path / "reachbook.db", Metrics())
        slowest = 0.0
        for _ in range(4):
            await asyncio.sleep(0.15)  # until the writer is idle and tries a checkpoint
            slowest = max(slowest, await write(engine, 100), await write(other, 100))
        await other.close()

    assert slowest < 1


async def test_the_log_shrinks_during_writes(
    engine: Sqlite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is never idle here: SQLite truncates the log when it starts to reuse it."""
    monkeypatch.setattr(writer, "CHECKPOINT_SECONDS", 60)
    wal = tmp_path / "reachbook.db-wal"
    with reading(tmp_path / "reachbook.db"):
        await write(engine, WRITTEN)
        assert wal.stat().st_size > WRITTEN

    for _ in range(5):
        await write(engine, 100)

    assert wal.stat().st_size <= MAX_WAL_BYTES
    assert await engine._writer.run(lambda connection: connection.pragma("busy_timeout")) == 10_000
