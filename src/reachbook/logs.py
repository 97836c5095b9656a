"""Structured logs: JSON lines on standard error, never an address, a token or a key."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog


def configure() -> None:
    """Send our own events, and what libraries warn of, to standard error as JSON lines."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _render,
        ],
        logger_factory=_StandardError,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def where(error: BaseException) -> dict[str, object]:
    """What kind of error it was and where it came from.

    Its text is left out: drivers quote the row that they complain about, addresses included.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__qualname__,
        "where": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }


class _StandardError:
    """Writes each line at once. One that cannot be written is lost; the request it tells of is not.

    A disk can be full, and whoever read our standard error can be gone.
    """

    def __init__(self, *_named: object) -> None:
        self._file = sys.stderr.fileno()

    def info(self, line: bytes) -> None:
        """Write a line: past Python's buffer, which keeps one that failed and fails the next."""
        with suppress(OSError):
            os.write(self._file, line + b"\n")

    warning = error = info


def _render(_logger: object, _method: str, event: Any) -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)


class _Line(logging.Formatter):
    """A library's log record as one of our lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        line: dict[str, object] = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        if record.exc_info and record.exc_info[1]:
            line |= where(record.exc_info[1])
        return msgspec.json.encode(line).decode()
