"""Log lines are queued and written by a thread, so a slow reader cannot delay a request."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from reachbook import logs
from tests.support.clients import connected_socket
from tests.support.home import Home
from tests.support.metrics import samples
from tests.support.server_process import STOP_SECONDS, Server, worker_arguments
from tests.support.waiting import wait_until

DROPPED = "reachbook_log_lines_dropped_total"
PIPELINED = 500
REQUEST = b"GET /v1/team HTTP/1.1\r\nHost: book\r\n\r\n"


class Lines(logs._Lines):
    """A queue of lines that ends in a pipe of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.file = os.pipe()
        fcntl.fcntl(self.file, fcntl.F_SETPIPE_SZ, 4096)
        self.lost = 0
        self.dropped = self.count

    def count(self, lines: int) -> None:
        self.lost += lines

    def read(self, seconds: float = 5) -> list[bytes]:
        """Return all lines that have been written, until no more are queued."""
        parts: list[bytes] = []
        os.set_blocking(self.out, False)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            flushed = self.flush(0.01)
            try:
                while part := os.read(self.out, 65536):
                    parts.append(part)
            except BlockingIOError:
                if flushed:
                    break
        return b"".join(parts).splitlines()


@pytest.fixture
def lines() -> Iterator[Lines]:
    opened = Lines()
    yield opened
    os.close(opened.out)
    opened.flush(1)
    os.close(opened.file)


def test_lines_are_written_whole_and_in_order(lines: Lines) -> None:
    written = [b"%d %s\n" % (number, b"x" * number) for number in range(300)]
    for line in written:
        lines.put(line)

    assert lines.read() == [line.rstrip(b"\n") for line in written]
    assert lines.lost == 0


def test_put_does_not_block_and_the_queue_is_bounded(lines: Lines) -> None:
    slowest = 0.0
    for number in range(3 * logs.MAX_LINES):
        start = time.monotonic()
        lines.put(b"%06d %s\n" % (number, b"x" * 200))
        slowest = max(slowest, time.monotonic() - start)

    written = lines.read()

    assert slowest < 0.2
    assert lines.lost >= logs.MAX_LINES
    # Written lines are in order; lines between them have the number of dropped lines.
    numbers = [int(line[:6]) for line in written if line[:1] == b"0"]
    assert numbers == sorted(numbers)
    assert len(numbers) + lines.lost == 3 * logs.MAX_LINES
    lines.put(b"one more\n")
    counts = re.findall(rb"(\d+) log lines were dropped", b"".join([*written, *lines.read()]))
    assert sum(map(int, counts)) == lines.lost


def test_lines_of_two_writers_to_one_pipe_are_not_mixed(lines: Lines) -> None:
    """Workers share standard error, so each write is at most as large as a pipe's atomic write."""
    other = Lines()
    os.close(other.out)
    os.close(other.file)
    other.file = lines.file
    for number in range(400):
        lines.put(b"a%04d%s\n" % (number, b"a" * 300))
        other.put(b"b%04d%s\n" % (number, b"b" * 300))

    written = lines.read()
    assert other.flush(5)
    written += lines.read()

    assert len(written) == 800
    assert all(line[5:] == line[:1] * 300 for line in written)


def test_flush_returns_false_after_its_timeout(lines: Lines) -> None:
    for _ in range(100):
        lines.put(b"x" * 200 + b"\n")
    began = time.monotonic()

    assert lines.flush(0.1) is False
    assert time.monotonic() - began < 1


def test_lines_are_written_to_a_non_blocking_file(lines: Lines) -> None:
    """Another process that shares standard error may have made it non-blocking."""
    os.set_blocking(lines.file, False)
    for number in range(200):
        lines.put(b"%03d %s\n" % (number, b"x" * 200))

    assert [int(line[:3]) for line in lines.read()] == list(range(200))
    assert lines.lost == 0


def test_lines_that_cannot_be_written_are_counted(lines: Lines) -> None:
    os.close(lines.file)
    lines.file = os.open("/dev/full", os.O_WRONLY)
    for _ in range(5):
        lines.put(b"x\n")

    assert lines.flush(5)
    assert lines.lost == 5


def test_lines_of_concurrent_threads_are_all_written(lines: Lines) -> None:
    def put() -> None:
        for _ in range(100):
            lines.put(b"x\n")

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert lines.read() == [b"x"] * 800


FORKED = """
import logging, os
from reachbook import logs
logs.configure()
log = logging.getLogger("family")
log.warning("of the parent")
child = os.fork()
log.warning("of the child" if not child else "of the parent again")
if child:
    os.waitpid(child, 0)
else:
    assert logs.flush(5)
    os._exit(0)
"""


def test_a_forked_process_writes_its_own_lines() -> None:
    """Each process writes the lines queued in it.

    Python 3.12 and newer warn of a fork in a process with several threads, as this one.
    """
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert sorted(events) == ["of the child", "of the parent", "of the parent again"]


LIBRARIES = """
import logging, sys, threading, warnings
from reachbook import logs
logs.configure()
logging.getLogger("a.library").warning("%d", "not a number")
warnings.warn("old", stacklevel=1)
print(sys.stderr.isatty(), threading.active_count())
"""


def test_log_records_and_warnings_of_libraries_are_json_lines() -> None:
    """`logging` itself would print a record that cannot be formatted to standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", LIBRARIES],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    logged = [json.loads(line) for line in done.stderr.splitlines()]
    assert [record["logger"] for record in logged] == ["a.library", "py.warnings"]


def test_control_characters_are_escaped() -> None:
    """A client's address may come from a proxy's header, and contain any character."""
    hostile = "\x1b[2J\x7f\x9b31m\u202egnp\u2028"

    line = logs._encoded({"event": "request", "client": hostile, "first": "José"})

    assert json.loads(line) == {"event": "request", "client": hostile, "first": "José"}
    assert line.decode().rstrip("\n").isprintable()


# ── a server whose standard error is not read ────────────────────────────────────────────────────


@contextmanager
def serving_with_full_stderr(database: str, tmp_path: Path, *arguments: str) -> Iterator[Server]:
    """Run a server whose standard error is a full pipe without a reader."""
    pipe = tmp_path / "unread"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        home = Home(tmp_path / "data").having(database=database)
        home.json("team", "create", "Bob's team")
        with home.serve(*arguments, errors=pipe) as server:
            yield server
    finally:
        os.close(reader)


def count_responses(server: Server, requests: int) -> int:
    """Send requests on one connection, and return the number of responses."""
    with connected_socket(server.port) as connection:
        found = 0
        for _ in range(requests // PIPELINED):
            connection.sendall(REQUEST * PIPELINED)
            found += _statuses(connection, PIPELINED)
        return found


def _statuses(connection: socket.socket, wanted: int) -> int:
    received = b""
    while received.count(b"HTTP/1.1 401 ") < wanted or not received.endswith(b"}"):
        part = connection.recv(65536)
        if not part:
            break
        received += part
    return received.count(b"HTTP/1.1 401 ")


def dropped(server: Server) -> float:
    return samples(httpx.get(f"{server.url}/metrics", timeout=STOP_SECONDS).text)[DROPPED]


def test_a_server_whose_standard_error_is_not_read_continues(database: str, tmp_path: Path) -> None:
    requests = 2 * logs.MAX_LINES - 2 * logs.MAX_LINES % PIPELINED
    with serving_with_full_stderr(database, tmp_path, *worker_arguments(database)) as server:
        began = time.monotonic()
        assert count_responses(server, requests) == requests

        assert time.monotonic() - began < 30
        assert wait_until(lambda: dropped(server)) > requests - logs.MAX_LINES - 100
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(STOP_SECONDS) == 0
        assert time.monotonic() - began < STOP_SECONDS - 5


def test_queued_lines_are_written_before_the_server_exits(tmp_path: Path) -> None:
    with Home(tmp_path / "data").serve() as server:
        assert count_responses(server, PIPELINED) == PIPELINED
        assert server.stop() == 0

    assert len(server.errors.read_text().splitlines()) == PIPELINED
