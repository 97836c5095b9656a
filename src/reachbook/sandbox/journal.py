"""The journal: the last requests as they were received, without credentials."""

from __future__ import annotations

import re
from collections import deque

from msgspec import Struct, field
from starlette.types import Message, Receive, Scope, Send

from reachbook.domain import timestamps

MAX_ENTRIES = 1000
MAX_BODY_CHARACTERS = 16_384
REDACTED = "********"

_SECRET_NAME = re.compile(r"auth|cookie|token|secret|password|api[-_]?key", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(
    r"(?<![^?&])([^=&]*(?:auth|token|secret|password|key)[^=&]*=)[^&]*", re.IGNORECASE
)
_SECRET_FIELD = re.compile(
    r'("[^"]*(?:token|secret|password|api_key)[^"]*"\s*:\s*")[^"]*', re.IGNORECASE
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
            redact(
                _SECRET_PARAMETER.sub(rf"\1{REDACTED}", scope["query_string"].decode("latin-1"))
            ),
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


def recording(entry: Entry, receive: Receive, send: Send) -> tuple[Receive, Send]:
    """Returns `receive` and `send` that write the body and the status into an entry."""

    async def receive_body() -> Message:
        message = await receive()
        if message["type"] == "http.request" and len(entry.body) < MAX_BODY_CHARACTERS:
            text = message.get("body", b"").decode("utf-8", "replace")
            entry.body = redact(entry.body + text)[:MAX_BODY_CHARACTERS]
        return message

    async def send_status(message: Message) -> None:
        if message["type"] == "http.response.start":
            entry.status = message["status"]
        await send(message)

    return receive_body, send_status


def redact(text: str) -> str:
    """Returns a text without API keys, JWTs and keys of API secrets."""
    return _SECRET_FIELD.sub(rf"\1{REDACTED}", _CREDENTIAL.sub(REDACTED, text))


def _header(name: str, value: str) -> tuple[str, str]:
    return name, REDACTED if _SECRET_NAME.search(name) else redact(value)
