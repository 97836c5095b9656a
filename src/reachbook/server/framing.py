"""Splits received bytes into pieces that end no later than the request that they belong to.

httptools parses all the bytes that it is given, and a callback cannot make it stop. A single read
can hold thousands of requests, so the protocol feeds the parser one piece at a time and can stop
after each request. httptools alone decides where a request ends: `Framing` only finds a position
that is not after that end. A piece that is too short costs one more call, and is no error.
"""

from __future__ import annotations

from collections.abc import Callable

import httptools

NOTED_FIELDS = frozenset({b"host", b"expect", b"content-length", b"transfer-encoding"})

_BLANK_LINE = b"\r\n\r\n"
_LINE_BEGINS_WITH_0 = b"\n0"
_LF, _ZERO = b"\n0"
# httptools also accepts HTTP/0.9 (no version), HTTP/2.0, RTSP/1.0 and ICE/1.0.
_VERSIONS = (b" HTTP/1.1\r\n", b" HTTP/1.0\r\n")
_CONNECT = b"CONNECT "
_LENGTH_DIGITS = 20  # of the largest length that httptools can count

Fields = list[tuple[bytes, bytes]]


class MalformedRequestError(Exception):
    """The received bytes are not an HTTP request that is accepted; the text says why."""


def head_end(data: bytes, most: int) -> int:
    """Returns the end of the head that `data` begins with.

    Returns 0 if the head does not end within `most` bytes, or if only `Framing` can decide.
    """
    line_end = data.find(b"\n")
    if data.startswith(_VERSIONS, line_end - 10) and not data.startswith(_CONNECT):
        blank_line = data.find(_BLANK_LINE, line_end - 1, most)
        return blank_line + len(_BLANK_LINE) if blank_line > 0 else 0
    return 0


class Framing:
    """Finds how many of the received bytes of one request the parser may be given at once."""

    _line: bytes | None = b""
    _tail = b""
    left: int = 0  # bytes of a body of known length
    is_chunked: bool = False
    _near_end = False

    def begin_body(self, fields: Fields) -> None:
        """Expect the body that the head announces with these fields."""
        for name, value in fields:
            if name == b"content-length":
                self.left = int(value)
            else:
                self.is_chunked = self._near_end = True

    def piece_end(self, data: bytes, start: int, stop: int) -> int:
        """Returns where the piece of `data` ends that begins at `start`; `stop` at the latest.

        Raises `MalformedRequestError` if the piece holds a request line that is not accepted.
        """
        if self.left:
            end = min(start + self.left, stop)
            self.left -= end - start
            return end
        if self.is_chunked:
            return self._end_of_chunks(data, start, stop)
        end = self._end_of_blank_line(data, start, stop)
        if self._line is not None:
            self._check_request_line(data, start, end)
        return end

    def _check_request_line(self, data: bytes, start: int, end: int) -> None:
        """Check the request line when it is complete; empty lines may precede it."""
        line = ((self._line or b"") + data[start:end]).lstrip(b"\r\n")
        length = line.find(b"\n") + 1
        if not length:
            self._line = line
            return
        if fault := _fault_of(line[:length]):
            raise MalformedRequestError(fault)
        self._line = None

    def _end_of_blank_line(self, data: bytes, start: int, stop: int) -> int:
        """Returns the end of the first blank line, or `stop` if there is none.

        A blank line can be spread over several reads, so the last bytes of a piece without one
        are kept.
        """
        if self._tail:
            found = (self._tail + data[start : min(start + 3, stop)]).find(_BLANK_LINE)
            if found >= 0:
                end = start + found + len(_BLANK_LINE) - len(self._tail)
                self._tail = b""
                return end
        found = data.find(_BLANK_LINE, start, stop)
        if found >= 0:
            self._tail = b""
            return found + len(_BLANK_LINE)
        self._tail = (self._tail + data[max(start, stop - 3) : stop])[-3:]
        return stop

    def _end_of_chunks(self, data: bytes, start: int, stop: int) -> int:
        """Returns the end of the first blank line that can end the message, or `stop`.

        The size of the last chunk is a line that begins with 0, and the message ends with the
        first blank line after it. If chunk data contains such lines, the piece is only shorter.
        """
        if not self._near_end:
            zero = data.find(_LINE_BEGINS_WITH_0, start, stop)
            if zero < 0:
                self._near_end = data[stop - 1] == _LF
                return stop
            start = zero + 1
        end = self._end_of_blank_line(data, start, stop)
        self._near_end = end == stop or data[end] == _ZERO
        return end


def check_hosts(number: int, version: str) -> None:
    """Raises `MalformedRequestError` unless the number of Host headers is right for the version."""
    if number > 1:
        raise MalformedRequestError(
            f"The request has {number} Host headers; exactly one is accepted."
        )
    if not number and version != "1.0":
        raise MalformedRequestError("The request has no Host header, which HTTP/1.1 requires.")


def check_field(name: bytes, value: bytes) -> None:
    """Raises `MalformedRequestError` if a Content-Length or Transfer-Encoding is not accepted."""
    if name == b"content-length":
        if len(value.rstrip(b" \t")) > _LENGTH_DIGITS:
            raise MalformedRequestError(
                f"The Content-Length has more than {_LENGTH_DIGITS} digits; omit leading zeros."
            )
    elif value.strip(b" \t").lower() != b"chunked":
        raise MalformedRequestError("The only Transfer-Encoding that is accepted is chunked.")


class BodyParser:
    """Parses the body of a request whose head has been parsed, and drops its trailer fields."""

    def __init__(
        self, fields: Fields, on_body: Callable[[bytes], None], on_complete: Callable[[], None]
    ) -> None:
        self.on_body = on_body
        self.on_message_complete = on_complete
        self._parser = httptools.HttpRequestParser(self)
        self._head = b"".join(b"%b: %b\r\n" % field for field in fields)

    def begin(self) -> None:
        """Parse a head with the fields alone; an empty body is complete then."""
        self._parser.feed_data(b"POST / HTTP/1.1\r\n" + self._head + b"\r\n")

    def feed_data(self, data: bytes | memoryview) -> None:
        """Parse a part of the body."""
        self._parser.feed_data(data)


def _fault_of(request_line: bytes) -> str | None:
    """Returns the fault of a request line that httptools accepts, or None."""
    if request_line.startswith(_CONNECT):
        return "The method is CONNECT, which only a proxy can serve."
    if request_line.endswith(_VERSIONS):
        return None
    if b" HTTP/" in request_line:
        return "The request line must end with HTTP/1.1 or HTTP/1.0, which are the versions served."
    return (
        "The request line does not end with a version; it must end with HTTP/1.1 or HTTP/1.0, "
        "for example: GET /healthz HTTP/1.1"
    )


def request_parser(callbacks: object) -> httptools.HttpRequestParser:
    """Returns a parser like the one that uvicorn makes for a connection."""
    parser = httptools.HttpRequestParser(callbacks)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def feed_head(parser: httptools.HttpRequestParser, piece: bytes) -> bool:
    """Parse a piece of a head; return whether the head ends with it and offers an upgrade."""
    try:
        parser.feed_data(piece)
    except httptools.HttpParserUpgrade:
        return True
    return False


def reason_of(error: httptools.HttpParserError) -> str:
    """Returns why the parsed bytes are refused, as a sentence.

    An exception of a callback is the context of `error`. It is raised again if it is a bug.
    """
    if not isinstance(error, httptools.HttpParserCallbackError):
        return f"The bytes are not a valid HTTP/1.1 request: {error}."
    cause = error.__context__
    if isinstance(cause, MalformedRequestError):
        return str(cause)
    if isinstance(cause, httptools.HttpParserInvalidURLError | UnicodeDecodeError):
        return "The target in the request line is not a valid path or URL."
    raise cause or error
