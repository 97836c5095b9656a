"""Structured logs: JSON lines on standard error, never an address, a token or a key.

A line is queued, and a thread writes it. The reader of standard error can be slow, stalled or gone,
and the event loop must not wait for it.
"""

from __future__ import annotations

import atexit
import logging
import os
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from reachbook.domain import escaping

if TYPE_CHECKING:
    import structlog

MAX_LINES = 4096
RESUME_LINES = 4
GATHER_SECONDS = 0.01
FLUSH_SECONDS = 0.5
MAX_FRAMES = 30
MAX_CHARACTERS = 2000

# POSIX writes at most this much to a pipe in one piece; a longer write could be interleaved with
# another worker's line.
_PIECE_BYTES = select.PIPE_BUF
_STANDARD_ERROR = 2


def configure(
    dropped: Callable[[int], object] = lambda _lines: None, *, lazily: bool = False
) -> None:
    """Send the program's events and the warnings of libraries to standard error as JSON lines.

    `dropped` is called with the number of lines when some are dropped. If `lazily`, structlog is
    imported with the first event that needs it.
    """
    _lines.file, _lines.dropped = sys.stderr.fileno(), dropped
    _lines.is_configured = True
    if not lazily:
        _configure_structlog()
    _lines.start()
    handler = _Handler()
    handler.setFormatter(_Line())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)


class EventLogger:
    """Writes events with structlog.

    A module can make one without importing structlog, which imports rich and so takes longer than
    the rest of the framework.
    """

    def info(self, event: str, **facts: object) -> None:
        """Write an event."""
        _structlog_logger().info(event, **facts)

    def warning(self, event: str, **facts: object) -> None:
        """Write an event that an operator should see."""
        _structlog_logger().warning(event, **facts)

    def error(self, event: str, **facts: object) -> None:
        """Write an event that is a fault of this program."""
        _structlog_logger().error(event, **facts)


def _structlog_logger() -> structlog.stdlib.BoundLogger:
    import structlog

    if _lines.is_configured and not structlog.is_configured():
        _configure_structlog()
    logger: structlog.stdlib.BoundLogger = structlog.get_logger()
    return logger


def _configure_structlog() -> None:
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _render,
        ],
        logger_factory=_Logger,
        cache_logger_on_first_use=True,
    )


class RequestLine(Struct):
    """The log line of a request; `error_code` is that of a refusal.

    It is encoded as a struct: structlog's chain of processors takes four times as long, and a
    request writes no other line.
    """

    request_id: str
    method: str
    route: str
    status: int
    error_code: str | None
    credential: str | None
    milliseconds: float
    client: str | None
    event: str = "request"
    level: str = "info"
    timestamp: str = ""

    def write(self) -> None:
        """Queue the line with the time of now, if the log is configured."""
        if _lines.is_configured:
            self.timestamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            _lines.put(_encoded(self))


def flush(seconds: float = FLUSH_SECONDS) -> bool:
    """Wait until the queued lines are written, at most `seconds`; returns whether they were."""
    return _lines.flush(seconds)


def where(error: BaseException) -> dict[str, object]:
    """Returns the type of an error and its innermost frames.

    Its text is left out: drivers quote the row that they complain about, addresses included.
    """
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    return {
        "error": type(error).__qualname__,
        "where": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


class _Lines:
    """A bounded queue of lines, and the thread that writes them to a file descriptor.

    A forked child has none of its parent's threads, so its first line starts a new one.
    `SimpleQueue.put` never blocks and is reentrant, which is needed if the garbage collector runs
    within it and causes another line.
    """

    def __init__(self) -> None:
        self.file = _STANDARD_ERROR
        self.is_configured = False
        self.dropped: Callable[[int], object] = lambda _lines: None
        self.renew()

    def renew(self) -> None:
        """Reset the queue, without a thread and without lines; called in a forked child."""
        self._queue: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._lost = 0
        self._torn = False

    def put(self, line: bytes) -> None:
        """Queue a line, or drop it when too many are queued."""
        if self._queue.qsize() >= MAX_LINES:
            self._drop(1)
            return
        self._queue.put(line)
        if self._thread is None:
            self.start()

    def flush(self, seconds: float) -> bool:
        """Wait until the queued lines are written; returns whether they were written in time."""
        if self._thread is None:
            return True
        written = threading.Event()
        self._queue.put(written)
        return written.wait(seconds)

    def start(self) -> None:
        """Start the thread if it does not run."""
        if not self._starting.acquire(blocking=False):
            return  # another thread starts it, or this call interrupted one that does
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="reachbook-logs", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:
            pass  # the system cannot start a thread; the next line tries again
        finally:
            self._starting.release()

    def _run(self) -> None:
        """Write queued lines until the process ends.

        If several lines were queued, the process is busy. The thread then sleeps shortly, so that
        more lines are queued without waking it: a wake-up for each line would cost the event loop
        more than writing the line itself.
        """
        while True:
            first = self._queue.get()
            several = self._queue.qsize() > RESUME_LINES
            with suppress(Exception):  # no line may end the thread that writes all others
                self._write(first)
            if several:
                time.sleep(GATHER_SECONDS)

    def _write(self, first: bytes | threading.Event) -> None:
        """Write everything that is queued, in pieces of whole lines."""
        self._tell_of_dropped_lines()
        piece = b""
        waiting: bytes | threading.Event | None = first
        while waiting is not None:
            if isinstance(waiting, threading.Event):
                self._write_lines(piece)
                piece = b""
                waiting.set()
            elif piece and len(piece) + len(waiting) > _PIECE_BYTES:
                self._write_lines(piece)
                piece = waiting
            else:
                piece += waiting
            waiting = self._next()
        self._write_lines(piece)

    def _next(self) -> bytes | threading.Event | None:
        try:
            return self._queue.get_nowait()
        except Empty:
            return None

    def _tell_of_dropped_lines(self) -> None:
        lost = self._lost
        if lost and self._send(_notice(lost)):
            self._lost -= lost

    def _write_lines(self, piece: bytes) -> None:
        if not self._send(piece):
            self._drop(piece.count(b"\n"))

    def _send(self, piece: bytes) -> bool:
        """Write a piece, however long its reader takes; returns False if an error ended it."""
        rest = b"\n" + piece if self._torn and piece else piece
        try:
            while rest:
                rest = rest[self._write_some(rest) :]
        except OSError:
            # A part of a line was written; the next piece must begin on a new line.
            self._torn = self._torn or len(rest) < len(piece)
            return False
        self._torn = False
        return True

    def _write_some(self, piece: bytes) -> int:
        try:
            return os.write(self.file, piece)
        except BlockingIOError:  # another process that shares the file made it non-blocking
            ready = select.poll()
            ready.register(self.file, select.POLLOUT)
            ready.poll()
            return 0

    def _drop(self, lines: int) -> None:
        self._lost += lines
        self.dropped(lines)


_lines = _Lines()
os.register_at_fork(after_in_child=_lines.renew)
atexit.register(_lines.flush, FLUSH_SECONDS)


class _Logger:
    """The logger that structlog writes its lines to."""

    def __init__(self, *_named: object) -> None:
        pass

    def info(self, line: bytes) -> None:
        """Queue a line."""
        _lines.put(line)

    warning = error = info


class _Handler(logging.Handler):
    """Queues the records of libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record as one line."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a library's placeholders may not match its arguments
            _lines.put(_encoded({"event": "a log record cannot be read", "logger": record.name}))
        else:
            _lines.put(line.encode())


class _Line(logging.Formatter):
    """Formats a log record of a library as a JSON line."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as JSON."""
        line: dict[str, object] = {
            "event": record.getMessage()[:MAX_CHARACTERS],
            "logger": record.name,
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        task = getattr(record, "task", None)
        if task is not None:
            line["task"] = task
        if record.exc_info and record.exc_info[1]:
            line |= where(record.exc_info[1])
        return _encoded(line).decode()


def _render(_logger: object, _method: str, event: Any) -> bytes:
    return _encoded(event)


def _notice(lost: int) -> bytes:
    """Returns a line that says how many lines were dropped."""
    return _encoded(
        {
            "event": f"{lost} log lines were dropped",
            "level": "warning",
            "timestamp": datetime.now(UTC).isoformat(),
        }
    )


def _encoded(line: object) -> bytes:
    """Returns a line of JSON in which unsafe characters are escaped."""
    text = msgspec.json.encode(line, enc_hook=repr)
    return escaping.in_json(text) + b"\n"
