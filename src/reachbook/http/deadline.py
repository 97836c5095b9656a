"""The one place that touches the server's protocol: slow clients, large heads, full houses.

Uvicorn has no deadline for a request that never ends, no bound on its head and no cap on
connections (docs/decisions says what was weighed). This adds the three, and leaves the parsing
and the answering to it.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from reachbook.credential import Representation
from reachbook.errors import Reason, Refusal
from reachbook.wire import refusal

REQUEST_SECONDS = 10.0
IDLE_SECONDS = 65
MAX_HEAD_BYTES = 32 * 1024
MAX_CONNECTIONS = 1000

_NOTHING_RECEIVED = 0.0


class BoundedProtocol(HttpToolsProtocol):
    """A connection on which a request must arrive in time, and an answer be read in time.

    One timer per connection looks at the clock; a request costs two assignments.
    """

    _receiving_since = _NOTHING_RECEIVED
    _stuck_since = _NOTHING_RECEIVED
    _head_bytes = 0
    _in_head = False
    _draining = False
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or say that the house is full."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            self._refuse(
                Refusal(
                    Reason.TOO_MANY_CONNECTIONS,
                    f"This process serves {MAX_CONNECTIONS} connections, and all are taken.",
                    retry_after=1,
                )
            )
            return
        self._receiving_since = self.loop.time()
        self._timer = self.loop.call_later(REQUEST_SECONDS, self._look_at_the_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless the head of a request has grown past its bound."""
        if not self._receiving_since:
            self._receiving_since = self.loop.time()
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response(f"the head is over {MAX_HEAD_BYTES} bytes")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._receiving_since = self.loop.time()
        self._head_bytes, self._in_head = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is here."""
        self._in_head = False
        super().on_headers_complete()
        if self._draining and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """All of it is here."""
        self._receiving_since = _NOTHING_RECEIVED
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client does not read what we answer."""
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        self._stuck_since = _NOTHING_RECEIVED
        super().resume_writing()

    def shutdown(self) -> None:
        """Drain: a request whose head is half received is under way too."""
        self._draining = True
        if not self._in_head:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP is refused in our words, with a request id."""
        self._refuse(Refusal(Reason.MALFORMED_REQUEST, f"This is not a request we can read: {msg}"))

    def _look_at_the_clock(self) -> None:
        now = self.loop.time()
        since = min(self._receiving_since or now, self._stuck_since or now)
        if now - since >= REQUEST_SECONDS:
            self.transport.abort()
            return
        self._timer = self.loop.call_later(
            max(0.1, REQUEST_SECONDS - (now - since)), self._look_at_the_clock
        )

    def _refuse(self, no: Refusal) -> None:
        request_id = str(uuid4())
        body = msgspec.json.encode(refusal.body(no, Representation.STRING_IDS, request_id))
        headers: list[tuple[str, Any]] = [
            ("content-type", "application/json"),
            ("content-length", len(body)),
            ("x-request-id", request_id),
            ("connection", "close"),
        ]
        if no.retry_after is not None:
            headers.append(("retry-after", no.retry_after))
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        status = refusal.STATUS[no.reason.kind]
        self.transport.write(STATUS_LINE[status] + head.encode() + b"\r\n" + body)
        self.transport.close()
