"""The server's protocol: deadlines and limits for connections and for the requests on them.

Uvicorn has no deadline for a request that never ends, and no limit of its head, of pipelined
requests and of connections. `BoundedProtocol` adds them; docs/decisions/0007 gives the reasons.
Requests are parsed by httptools, and responses are sent by uvicorn.
"""

from __future__ import annotations

import asyncio
from typing import Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from reachbook import logs
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.headers import request_id
from reachbook.http.request import MAX_BODY_BYTES
from reachbook.server.connection import (
    FlowControl,
    IdleConnections,
    ReadingClient,
    ResponseTransport,
    refusal_response,
)
from reachbook.server.framing import (
    NOTED_FIELDS,
    BodyParser,
    Fields,
    Framing,
    MalformedRequestError,
    check_field,
    check_hosts,
    feed_head,
    head_end,
    reason_of,
    request_parser,
)

REQUEST_SECONDS = 10.0
CHECK_SECONDS = 2.0
IDLE_SECONDS = 65
LAST_REQUEST_SECONDS = 0.5
LINGER_SECONDS = 2.0
DROP_SECONDS = 0.05
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_MESSAGE_BYTES = 2 * MAX_BODY_BYTES  # a body, the framing of its chunks, and a head
MAX_PIPELINED = 16
MAX_CONNECTIONS = 1000

_NOT_WAITING = 0.0

log: Final = logs.EventLogger()


class BoundedProtocol(HttpToolsProtocol):
    """A connection with deadlines for receiving a request and for reading a response.

    Each connection has one timer, which checks the deadlines periodically, so that a request needs
    only a few assignments.
    """

    flow: FlowControl
    parser: httptools.HttpRequestParser
    _receiving_since = _NOT_WAITING
    _message_bytes = 0
    _unparsed = b""
    _parsed_to = 0
    _hosts = 0
    _body_fields: Fields
    _in_head = False
    _in_body = False
    _draining = False
    _is_ending = False  # nothing more is parsed
    _lingering = False
    _framing: Framing | None = None
    _body_parser: BodyParser | None = None
    _running: RequestResponseCycle | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection; if all are taken, close an idle one or refuse this one."""
        super().connection_made(transport)
        self.flow = FlowControl(transport)
        self._responses = ResponseTransport(transport, self.loop, self._close_after_response)
        self._client = ReadingClient(transport, self._responses)
        self._idle = IdleConnections.of(self.server_state)
        if len(self.connections) > MAX_CONNECTIONS and not self._close_idle():
            self._refuse(
                Refusal(
                    Reason.TOO_MANY_CONNECTIONS,
                    f"This process serves {MAX_CONNECTIONS} connections, and each of them has a "
                    "request under way.",
                    retry_after=1,
                )
            )
            self._responses.flush()
            transport.close()
        else:
            self._idle[self] = None
        self._receiving_since = self.loop.time()
        self._timer = self.loop.call_later(CHECK_SECONDS, self._check_deadlines)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer, and mark the request that is being answered as disconnected."""
        if self._timer is not None:
            self._timer.cancel()
        self._idle.pop(self, None)
        self._disconnect_running()
        self._body_parser = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data as far as `_parse` allows, and keep the rest."""
        if self._is_ending or self.transport.is_closing():
            self._drop()
            return
        start = 0
        if self._framing is None and not self.pipeline:
            start = self._parse_one(data)
        if start < len(data):
            if self._unparsed:
                data = self._unparsed[self._parsed_to :] + data
            self._unparsed, self._parsed_to = data, start
            self._parse()

    def on_message_begin(self) -> None:
        """Begin a request; line breaks before it are not part of it."""
        self._receiving_since = self.loop.time()
        self._in_head = True
        self._hosts = 0
        self._body_fields = []
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        name = name.lower()
        if name in NOTED_FIELDS:
            self._note(name, value)
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the request, or queue it until the request before it has its response."""
        if len(self.headers) > MAX_HEADERS:
            raise MalformedRequestError(_too_many_headers())
        if self._hosts != 1:
            check_hosts(self._hosts, self.parser.get_http_version())
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        if not self.pipeline:
            self._running = self.cycle
        self._idle.pop(self, None)
        self.cycle.transport = self._responses  # type: ignore[assignment]
        if self._draining:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Complete the request, unless it offers an upgrade: see `_begin_body`."""
        if not self.parser.should_upgrade():
            self._complete_message()

    def on_response_complete(self) -> None:
        """Start the next request, and parse as many more as `MAX_PIPELINED` allows."""
        self._responses.flush()  # a response without a body
        if self._lingering:
            return
        if self.pipeline:
            self._running = self.pipeline[-1][0]
            super().on_response_complete()
            if self._unparsed and not self.transport.is_closing():
                self._parse()
        else:
            super().on_response_complete()
            self._idle[self] = None

    def pause_writing(self) -> None:
        """Make the responses wait until the client has read more."""
        super().pause_writing()
        self._client.begin_unread(self.loop.time())

    def shutdown(self) -> None:
        """Close the connection if it is idle after `LAST_REQUEST_SECONDS`.

        A client may be sending a request now. If the connection were closed at once, the client
        could not know whether the request was executed. So one more request is accepted; its
        response has `Connection: close`.
        """
        self._draining = True
        self.loop.call_later(LAST_REQUEST_SECONDS, self._end_if_idle)

    def send_400_response(self, msg: str) -> None:
        """Respond to bytes that are no HTTP request, as JSON and with a request id.

        If earlier requests on the connection have no response yet, the connection is closed after
        their responses instead, because a client could take the error for one of these responses.
        """
        refusal = Refusal(Reason.MALFORMED_REQUEST, msg)
        if self._owes_earlier_response():
            self._record(refusal)
            self._end_after_earlier_responses()
        elif self._in_body and self.cycle.response_started:
            self._linger()
        else:
            self._refuse(refusal)
            self._linger()

    def _parse_one(self, data: bytes) -> int:
        """Parse the head that the data begins with, and its body if nothing follows it.

        Returns the end of the parsed bytes, or 0. Nearly every read is one request, and this is
        faster than `_parse`, which can do the same.
        """
        end = head_end(data, MAX_HEAD_BYTES)
        if end:
            self._message_bytes = end
            self._feed_head(data[:end])
            if self._framing is not None and 0 < self._framing.left == len(data) - end:
                self._feed_body(data[end:])
                return len(data)
        return end

    def _parse(self) -> None:
        """Parse the received bytes, until `MAX_PIPELINED` requests wait for earlier responses.

        The rest is parsed as responses are sent, and nothing more is read until then.
        """
        while self._parsed_to < len(self._unparsed) and not self._is_ending:
            in_message = self._in_head or self._in_body
            if len(self.pipeline) >= MAX_PIPELINED and not in_message:
                self.flow.hold_reading()
                return
            self._parse_piece()
        self._unparsed = b""
        if not self._is_ending:
            self.flow.is_held = False

    def _parse_piece(self) -> None:
        """Give the parser one piece of the received bytes."""
        data, start = self._unparsed, self._parsed_to
        most = MAX_MESSAGE_BYTES if self._in_body else MAX_HEAD_BYTES
        stop = min(start + most - self._message_bytes, len(data))
        if start == stop:
            self.send_400_response(_too_long(in_body=self._in_body))
            return
        if self._framing is None:
            self._framing = Framing()
        try:
            end = self._framing.piece_end(data, start, stop)
        except MalformedRequestError as error:
            self.send_400_response(str(error))
            return
        self._parsed_to = end
        self._message_bytes += end - start
        piece = data[start:end]
        if self._in_body:
            self._feed_body(piece)
        else:
            self._feed_head(piece)

    def _note(self, name: bytes, value: bytes) -> None:
        """Record a header that affects the framing of the request or its response."""
        if name == b"host":
            self._hosts += 1
        elif name != b"expect":
            check_field(name, value)
            self._body_fields.append((name, value))
        elif value.lower() == b"100-continue":
            self.expect_100_continue = True

    def _feed_body(self, piece: bytes) -> None:
        """Parse a piece of a body."""
        try:
            (self._body_parser or self.parser).feed_data(piece)
        except httptools.HttpParserError as error:
            self.send_400_response(reason_of(error))

    def _feed_head(self, piece: bytes) -> None:
        """Parse a piece of a head, and find out how to parse the body if the head ends with it."""
        try:
            is_offer = feed_head(self.parser, piece)
            if self._in_body:
                self._begin_body(is_offer=is_offer)
        except httptools.HttpParserError as error:
            self.send_400_response(reason_of(error))
        else:
            if self._in_head and len(self.headers) > MAX_HEADERS:
                self.send_400_response(_too_many_headers())

    def _begin_body(self, *, is_offer: bool) -> None:
        """Find out how the body is framed, and which parser reads it.

        After a head that offers an upgrade httptools expects another protocol, but offers are
        ignored. httptools also reports the trailer fields of a chunked body as headers. In both
        cases a second parser reads the body.
        """
        if self._framing is None:
            self._framing = Framing()
        self._framing.begin_body(self._body_fields)
        is_chunked = self._framing.is_chunked
        if is_chunked and not is_offer:
            self.parser = request_parser(self)  # the current parser is within the request
        if is_chunked or is_offer:
            self._body_parser = BodyParser(self._body_fields, self.on_body, self._complete_message)
            self._body_parser.begin()

    def _complete_message(self) -> None:
        self._receiving_since = _NOT_WAITING
        self._message_bytes = 0
        self._in_body = False
        self._framing = self._body_parser = None
        cycle: RequestResponseCycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def _is_answering(self) -> bool:
        """Returns whether the response to a request is not complete."""
        return self._running is not None and not self._running.response_complete

    def _owes_earlier_response(self) -> bool:
        """Returns whether a request before the one that is being received has no response yet."""
        return self._is_answering() and not (self._in_body and self.cycle is self._running)

    def _end_after_earlier_responses(self) -> None:
        self._is_ending = True
        self.flow.hold_reading()
        if self._in_body:
            self.pipeline.popleft()  # the request that is refused
        last = self.pipeline[0][0] if self.pipeline else self._running
        if last is not None:
            last.keep_alive = False

    def _close_idle(self) -> bool:
        """Close the connection that has been idle longest; returns whether there was one."""
        longest = self._idle.close_longest()
        if longest is None:
            return False
        self.connections.discard(longest)
        self.app_state["metrics"].idle_connections_closed.inc()
        return True

    def _end_if_idle(self) -> None:
        if not self._in_head:
            super().shutdown()

    def _close_after_response(self) -> None:
        """Close the connection; later, if the client may still be sending."""
        if self._receiving_since or self._is_ending or self._unparsed or self.flow.read_paused:
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Close the connection after `LINGER_SECONDS`, so that the client can read the response.

        If the client is still sending, closing at once would reset the connection, and the client
        might lose the response. Its further bytes are read and discarded.
        """
        if not self._lingering and not self.transport.is_closing():
            self._responses.flush()
            self._lingering = self._is_ending = True
            self._unparsed, self._parsed_to = b"", 0
            self.pipeline.clear()
            self.flow.is_held = False
            self._disconnect_running()
            self._idle[self] = None
            self.transport.write_eof()
            self._drop()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _disconnect_running(self) -> None:
        """Mark the request that is being answered as disconnected."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _drop(self) -> None:
        self.flow.pause_reading()
        self.loop.call_later(DROP_SECONDS, self._drop_more)

    def _drop_more(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _check_deadlines(self) -> None:
        now = self.loop.time()
        if self._receiving_since and self._owes_earlier_response():
            self._receiving_since = now  # its bytes may not have been read yet
        behind = max(self._client.seconds_behind(now), now - (self._receiving_since or now))
        if behind >= REQUEST_SECONDS:
            self.transport.abort()
            return
        if self._client.is_stalled:
            self._idle.setdefault(self)
        elif self._is_answering() and not self._lingering:
            self._idle.pop(self, None)
        self._timer = self.loop.call_later(CHECK_SECONDS, self._check_deadlines)

    def _refuse(self, refusal: Refusal) -> None:
        self._responses.write(refusal_response(refusal, self._record(refusal)))

    def _record(self, refusal: Refusal) -> str:
        """Log and count a refusal; returns the request id."""
        headers = self.headers if self._in_head or self._in_body else []
        own_id = request_id({"headers": headers})
        self.app_state["metrics"].refusal(refusal.reason.code)
        client = self.client[0] if self.client else None
        log.info("refused", request_id=own_id, error_code=refusal.reason.code, client=client)
        return own_id


def _too_many_headers() -> str:
    return f"The request has more than {MAX_HEADERS} headers; at most {MAX_HEADERS} are accepted."


def _too_long(*, in_body: bool) -> str:
    if in_body:
        return f"The request is longer than {MAX_MESSAGE_BYTES} bytes, chunk sizes included."
    return f"The request line and headers are longer than {MAX_HEAD_BYTES} bytes."
