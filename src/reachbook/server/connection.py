"""Parts of a connection: flow control, the speed of readers, idle connections."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import sys
import termios
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from uvicorn.protocols.http import flow_control
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Refusal
from reachbook.wire import errors

MIN_READ_BYTES_PER_SECOND = 16 * 1024

_HEAD = b"HTTP/1.1 "


class FlowControl(flow_control.FlowControl):
    """Uvicorn's flow control, which does not resume reading while it is held."""

    is_held: bool = False

    def hold_reading(self) -> None:
        """Stop reading until `is_held` is false and reading is resumed."""
        self.is_held = True
        self.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading, unless it is held."""
        if not self.is_held:
            super().resume_reading()


class ResponseTransport:
    """The transport methods that a response needs; `close` is called instead of closing it.

    Uvicorn writes the head of a response and then its body. A system call for each takes a
    twentieth of the time of a short request, so the head is written together with the body.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        close: Callable[[], None],
    ) -> None:
        self.written_bytes: int = 0
        self.is_closing: Final = transport.is_closing
        self._write = transport.write
        self._loop = loop
        self._close = close
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write and count bytes; a head is written with the body, or in the next loop iteration."""
        self.written_bytes += len(data)
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(_HEAD):
            self._head = data
            self._loop.call_soon(self.flush)
            return
        self._write(data)

    def flush(self) -> None:
        """Write a head without a body, or before its body."""
        if self._head:
            data, self._head = self._head, b""
            self._write(data)

    def close(self) -> None:
        """Write the pending head, and close the connection."""
        self.flush()
        self._close()


class ReadingClient:
    """Measures how fast a client reads its responses."""

    def __init__(self, transport: asyncio.Transport, responses: ResponseTransport) -> None:
        self.is_stalled: bool = False
        self._transport = transport
        self._responses = responses
        self._read_bytes = 0
        self._unread_since: float | None = None

    def begin_unread(self, now: float) -> None:
        """Record that responses wait to be sent; otherwise the next measurement detects it."""
        if self._unread_since is None:
            self.seconds_behind(now)

    def seconds_behind(self, now: float) -> float:
        """Returns for how long the client has read less than `MIN_READ_BYTES_PER_SECOND`.

        Call it periodically while the connection is open. `is_stalled` is then true if the client
        has read nothing since the last call, and the kernel accepts no more bytes for it.
        """
        unsent = self._transport.get_write_buffer_size()
        if not unsent:
            self.is_stalled = False
            self._unread_since = None
            return 0.0
        read = self._responses.written_bytes - unsent - _queued_bytes(self._transport)
        seconds = (read - self._read_bytes) / MIN_READ_BYTES_PER_SECOND
        self.is_stalled = read == self._read_bytes
        self._read_bytes = read
        since = now if self._unread_since is None else self._unread_since
        self._unread_since = min(now, since + seconds)
        return now - self._unread_since


class Connection(Protocol):
    """A connection that can be closed."""

    transport: asyncio.Transport


class IdleConnections(OrderedDict[Connection, None]):
    """The idle connections of a process; the first has been idle longest.

    A connection is idle from its last response, or from its beginning, until the head of a request
    is complete.
    """

    @classmethod
    def of(cls, server_state: ServerState) -> IdleConnections:
        """Returns the idle connections of the process that `server_state` belongs to."""
        idle: IdleConnections = vars(server_state).setdefault("idle_connections", cls())
        return idle

    def close_longest(self) -> Connection | None:
        """Close the connection that has been idle longest, and return it."""
        if not self:
            return None
        connection, _ = self.popitem(last=False)
        connection.transport.abort()
        return connection


def refusal_response(refusal: Refusal, request_id: str) -> bytes:
    """Returns the bytes of a response that refuses a request and ends the connection."""
    body = msgspec.json.encode(errors.body(refusal, Representation.STRING_IDS, request_id))
    headers: list[tuple[str, Any]] = [
        ("content-type", "application/json"),
        ("content-length", len(body)),
        ("x-request-id", request_id),
        ("connection", "close"),
    ]
    if refusal.retry_after is not None:
        headers.append(("retry-after", refusal.retry_after))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return STATUS_LINE[errors.STATUS[refusal.reason.kind]] + head.encode() + b"\r\n" + body


def _queued_bytes(transport: asyncio.Transport) -> int:
    """Returns how many bytes the kernel holds that the client has not acknowledged.

    The kernel accepts megabytes at a time, and then nothing until the client has read most of them.
    Without this number a client that reads steadily would seem to pause for seconds. Returns 0 if
    the system does not report the number.
    """
    connection: socket.socket = transport.get_extra_info("socket")
    try:
        queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int.from_bytes(queued, sys.byteorder)
