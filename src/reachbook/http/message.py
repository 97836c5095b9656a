"""What comes in and what goes out: a request as a handler sees it, and its answer."""

from __future__ import annotations

import asyncio
from typing import cast

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from reachbook.credential import Caller, Representation
from reachbook.errors import Kind, Reason, Refusal
from reachbook.service import Asking, Service
from reachbook.wire import refusal
from reachbook.wire.request import Options

MAX_BODY_BYTES = 1024 * 1024
STORE_SECONDS = 1.8
NO_CONTENT = 204

Headers = list[tuple[bytes, bytes]]


class Answer(Struct):
    """A response: its status, its body, and the headers beside the usual ones."""

    status: int
    body: bytes
    headers: Headers = []
    content_type: bytes = b"application/json"

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it whole; a HEAD is told the length and spared the body."""
        headers = self.headers
        if self.status != NO_CONTENT:
            headers = [
                (b"content-type", self.content_type),
                (b"content-length", str(len(self.body)).encode()),
                (b"vary", b"Authorization"),
                *headers,
            ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


class Request(Struct):
    """What a handler is given: a verified caller, and what they sent."""

    service: Service
    caller: Caller
    options: Options
    scope: Scope
    receive: Receive
    deadline: asyncio.Timeout

    @property
    def representation(self) -> Representation:
        """How ids are spelled in the answer."""
        return self.options.representation or self.caller.representation

    @property
    def asking(self) -> Asking:
        """On whose behalf a use case runs."""
        return Asking(self.caller.team_id, self.caller.credential_id, self.scope["request_id"])

    def path(self, name: str) -> str:
        """A part of the path, as it was sent."""
        return cast("str", self.scope["path_params"][name])

    async def body(self) -> bytes:
        """The body, refused as soon as it is known to be too large."""
        self.deadline.reschedule(None)  # the connection has a deadline of its own for this
        declared = header(self.scope, b"content-length")
        if declared is not None and int(declared) > MAX_BODY_BYTES:
            raise _too_large()
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Refusal(Reason.MALFORMED_JSON, "The connection ended before the body did.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > MAX_BODY_BYTES:
                raise _too_large()
            more = message.get("more_body", False)
        self.deadline.reschedule(asyncio.get_running_loop().time() + STORE_SECONDS)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def answer(self, value: object, headers: Headers | None = None) -> Answer:
        """A 200 with a value in the caller's representation."""
        return Answer(200, msgspec.json.encode(value), headers or [])


def refused(no: Refusal, scope: Scope, representation: Representation) -> Answer:
    """A refusal as an answer, with the headers that its status calls for."""
    kind = no.reason.kind
    headers: Headers = []
    if kind is Kind.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    if kind is Kind.TOO_LARGE:
        headers.append((b"connection", b"close"))
    if no.retry_after is not None:
        headers.append((b"retry-after", str(no.retry_after).encode()))
    scope["refused"] = no.reason.code
    body = refusal.body(no, representation, scope["request_id"])
    return Answer(refusal.STATUS[kind], msgspec.json.encode(body), headers)


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of a name, given in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return cast("bytes", value).decode("latin-1")
    return None


def _too_large() -> Refusal:
    return Refusal(
        Reason.BODY_TOO_LARGE,
        f"The body is over {MAX_BODY_BYTES} bytes, which is the most we read.",
    )
