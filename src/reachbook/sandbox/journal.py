"""The journal: the last requests as they were received, without credentials."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import suppress
from urllib.parse import unquote_plus

from msgspec import Struct, field
from starlette.types import Message, Receive, Scope, Send

from reachbook.domain import timestamps
from reachbook.http.headers import header
from reachbook.http.request import carries_body

MAX_ENTRIES = 1000
MAX_BODY_CHARACTERS = 16_384
MAX_BODY_BYTES = 4 * MAX_BODY_CHARACTERS  # a character of UTF-8 has at most four bytes
READ_AHEAD_SECONDS = 1.0
REDACTED = "********"

_SECRET_NAME = re.compile(r"auth|cookie|token|secret|password|(?<!idempotency-)key", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(r"auth|cookie|token|secret|password|key", re.IGNORECASE)
# The length of a name is bounded, so that the time is in proportion to the length of the text.
_SECRET_FIELD = re.compile(
    r'("(?:[^"\\]|\\.){0,100}?(?:auth|cookie|token|secret|password|(?:api|private)[-_]?key)'
    r'(?:[^"\\]|\\.){0,100}"\s{0,100}:\s{0,100}")(?:[^"\\]|\\.)*',
    re.IGNORECASE,
)
_CREDENTIAL = re.compile(
    r"rbk(?:_|%5F)[0-9]+(?:_|%5F)[0-9a-f]{16}(?:_|%5F)[0-9a-f]{40}|eyJ[\w-]*\.[\w-]+\.[\w-]*|\b[0-9a-f]{64}\b",
    re.IGNORECASE,
)


class Entry(Struct):
    """A request; `status` is None while there is no response, and `fault` the fault it met.

    `number` counts the requests since the start, `at` is in seconds of RFC 3339. A body is cut to
    `MAX_BODY_CHARACTERS`.
    """

    number: int
    at: str
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: str = ""
    status: int | None = None
    fault: str | None = None


class Journal(Struct):
    """At most `MAX_ENTRIES` requests; the oldest are dropped."""

    entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=MAX_ENTRIES))
    received: int = 0

    def add(self, scope: Scope) -> Entry:
        """Add the head of a request, and return its entry."""
        self.received += 1
        entry = Entry(
            self.received,
            timestamps.format_micros(timestamps.now()),
            scope["method"],
            redact(scope["path"]),
            "&".join(map(_parameter, scope["query_string"].decode("latin-1").split("&"))),
            [
                _header(name.decode("latin-1"), value.decode("latin-1"))
                for name, value in scope["headers"]
            ],
        )
        self.entries.append(entry)
        return entry

    def after(self, number: int) -> list[Entry]:
        """Returns the entries after a number, oldest first."""
        return [entry for entry in self.entries if entry.number > number]


class Recorder:
    """The `receive` and `send` of a request, which write its body and its status into an entry.

    An application may respond before it has read the body, and a server passes on no body after the
    response. So the start of the body is read before the response is sent, and kept for the
    application. A request that expects `100 Continue` is excepted: to read its body asks for it.
    """

    def __init__(self, entry: Entry, scope: Scope, receive: Receive, send: Send) -> None:
        self.entry = entry
        self._receive = receive
        self._send = send
        self._has_more = carries_body(scope)
        self._reads_ahead = header(scope, b"expect") is None
        self._ahead: deque[Message] = deque()
        self._start = bytearray()

    async def receive(self) -> Message:
        """Returns the next message of the request."""
        if self._ahead:
            return self._ahead.popleft()
        return await self._receive_next()

    async def send(self, message: Message) -> None:
        """Send a message of the response."""
        if message["type"] == "http.response.start":
            await self.read_ahead()
            self.entry.status = message["status"]
        await self._send(message)

    async def read_ahead(self) -> None:
        """Read the start of the body, as far as it arrives within `READ_AHEAD_SECONDS`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(READ_AHEAD_SECONDS):
                while self._reads_ahead and self._has_more and not self._is_full():
                    self._ahead.append(await self._receive_next())
        self._write_body()

    async def _receive_next(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request":
            self._has_more = False
        elif not self._is_full():
            self._start += message.get("body", b"")[: MAX_BODY_BYTES - len(self._start)]
            self._has_more = message.get("more_body", False)
            if self._is_full() or not self._has_more:
                self._write_body()
        return message

    def _is_full(self) -> bool:
        return len(self._start) >= MAX_BODY_BYTES

    def _write_body(self) -> None:
        text = redact(self._start.decode("utf-8", "replace"))
        self.entry.body = text[:MAX_BODY_CHARACTERS]


def redact(text: str) -> str:
    """Returns a text without API keys, JWTs and keys of API secrets."""
    return _SECRET_FIELD.sub(rf"\1{REDACTED}", _CREDENTIAL.sub(REDACTED, text))


def _parameter(text: str) -> str:
    """Returns a parameter of a query as it was sent, or without its value if that is a secret."""
    name, equals, _ = text.partition("=")
    decoded = unquote_plus(text)
    if equals and _SECRET_PARAMETER.search(unquote_plus(name)):
        return f"{name}={REDACTED}"
    return text if redact(decoded) == decoded else f"{redact(unquote_plus(name))}={REDACTED}"


def _header(name: str, value: str) -> tuple[str, str]:
    return name, REDACTED if _SECRET_NAME.search(name) else redact(value)
