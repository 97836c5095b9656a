"""The one place that touches the server's protocol: slow clients, large heads, full houses.

Uvicorn has no deadline for a request that never ends, no bound on its head and no cap on
connections (docs/decisions/0007 says what was weighed). This adds the three, and leaves the
parsing and the answering to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from reachbook.credential import Representation
from reachbook.errors import Reason, Refusal
from reachbook.http.message import MAX_BODY_BYTES, request_id
from reachbook.wire import refusal

REQUEST_SECONDS = 10.0
LOOK_SECONDS = 2.0
IDLE_SECONDS = 65
FAREWELL_SECONDS = 0.5
LINGER_SECONDS = 2.0
DROP_SECONDS = 0.05
PIECE_BYTES = 8 * 1024
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_MESSAGE_BYTES = 2 * MAX_BODY_BYTES  # a body, what chunks wrap around it, and a head
MAX_CONNECTIONS = 1000

_NOT_WAITING = 0.0

log = structlog.stdlib.get_logger()


class BoundedProtocol(HttpToolsProtocol):
    """A connection on which a request must arrive in time, and an answer be read in time.

    One timer per connection looks at the clock now and then; a request costs a few assignments.
    """

    _receiving_since = _NOT_WAITING
    _unread_since = _NOT_WAITING
    _message_bytes = 0
    _in_head = False
    _draining = False
    _lingering = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or say that the house is full."""
        super().connection_made(transport)
        self._seen = _Transport(transport, self._part)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(
                Refusal(
                    Reason.TOO_MANY_CONNECTIONS,
                    f"This process serves {MAX_CONNECTIONS} connections, and all are taken.",
                    retry_after=1,
                )
            )
            transport.close()
        self._receiving_since = self.loop.time()
        self._timer = self.loop.call_later(LOOK_SECONDS, self._look_at_the_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless what is being received has grown past its bounds.

        A read can hold many small requests or a part of a large one: it is fed in pieces, so that
        a head is never more than two of them over its bound.
        """
        if not self._receiving_since:
            self._receiving_since = self.loop.time()
        for start in range(0, len(data), PIECE_BYTES):
            if self._lingering or self.transport.is_closing():
                self._drop()
                return
            piece = data[start : start + PIECE_BYTES]
            self._message_bytes += len(piece)
            super().data_received(piece)
            most = MAX_HEAD_BYTES if self._in_head else MAX_MESSAGE_BYTES
            if self._message_bytes > most:
                self.send_400_response(f"it is over {most} bytes.")
            elif self.headers and len(self.headers) > MAX_HEADERS:
                self.send_400_response(f"it has over {MAX_HEADERS} headers.")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._receiving_since = self.loop.time()
        self._message_bytes, self._in_head = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is here."""
        if len(self.headers) > MAX_HEADERS:
            raise ValueError(MAX_HEADERS)  # the parser stops, and `send_400_response` is called
        self._in_head = False
        super().on_headers_complete()
        self.cycle.transport = self._seen  # type: ignore[assignment]
        if self._draining:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """All of it is here; whoever sends the next one has read the last answer."""
        self._receiving_since = self._unread_since = _NOT_WAITING
        self._message_bytes = 0
        super().on_message_complete()

    def shutdown(self) -> None:
        """Drain: a request that is half received is under way, and so may be one that is sent now.

        A client whose connection ends in that moment cannot know what became of its request. So
        each has a little time to ask once more, and is told with the answer that it was the last.
        """
        self._draining = True
        self.loop.call_later(FAREWELL_SECONDS, self._end_if_idle)

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is refused in our words, with a request id.

        A whole request before it on the same connection is answered first, and then that is all.
        """
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not (cycle.more_body or cycle.response_complete):
            cycle.keep_alive = False
            self.flow.pause_reading()
        elif self._in_head or cycle is None or not cycle.response_started:
            no = Refusal(Reason.MALFORMED_REQUEST, f"This is not a request we can read: {msg}")
            self._refuse(no)
            self._linger()
        else:
            self._linger()

    def _end_if_idle(self) -> None:
        if not self._in_head:
            super().shutdown()

    def _part(self) -> None:
        """End the connection after an answer, unless the client has yet to read it."""
        if self._receiving_since:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Let a client that is still sending read our answer: to close at once would reset it.

        What it sends is read past the parser and dropped, without haste.
        """
        if not self._lingering and not self.transport.is_closing():
            self._lingering = True
            cycle: RequestResponseCycle | None = self.cycle
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True  # what it would answer goes nowhere
                cycle.message_event.set()
            self.transport.write_eof()
            self._drop()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _drop(self) -> None:
        self.flow.pause_reading()
        self.loop.call_later(DROP_SECONDS, self._drop_more)

    def _drop_more(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _look_at_the_clock(self) -> None:
        now = self.loop.time()
        if not self.transport.get_write_buffer_size():
            self._unread_since = _NOT_WAITING
        elif not self._unread_since:
            self._unread_since = now
        since = min(self._receiving_since or now, self._unread_since or now)
        if now - since >= REQUEST_SECONDS:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(LOOK_SECONDS, self._look_at_the_clock)

    def _refuse(self, no: Refusal) -> None:
        own_id = request_id({"headers": self.headers or []})
        self.app_state["measures"].refusal(no.reason.code)
        client = self.client[0] if self.client else None
        log.info("refused", request_id=own_id, error_code=no.reason.code, client=client)
        body = msgspec.json.encode(refusal.body(no, Representation.STRING_IDS, own_id))
        headers: list[tuple[str, Any]] = [
            ("content-type", "application/json"),
            ("content-length", len(body)),
            ("x-request-id", own_id),
            ("connection", "close"),
        ]
        if no.retry_after is not None:
            headers.append(("retry-after", no.retry_after))
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        status = refusal.STATUS[no.reason.kind]
        self.transport.write(STATUS_LINE[status] + head.encode() + b"\r\n" + body)


class _Transport:
    """As much of the transport as a request uses; to close it is the protocol's to do."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close
