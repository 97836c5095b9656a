"""Responses: whole and streamed ones, those of errors, and those that are stored for a retry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.http.headers import Headers, header
from reachbook.service import StoredResponse
from reachbook.wire import errors

MAX_EXPECTED_BYTES = 64 * 1024
EXPECTED_SECONDS = 1.0
READ_SECONDS = 10.0
BUFFER_BYTES = 1024 * 1024
NO_CONTENT = 204
NOT_MODIFIED = 304
BODY_BEGUN = "reachbook.body_begun"


class ApiResponse(Struct):
    """A response with a complete body.

    `headers` are sent in addition to Vary, Content-Type and Content-Length. `contact_uuids` are the
    contacts that the response mentions. A response that is stored for a retry must name all of
    them, because an erasure deletes the stored responses that name the contact.
    """

    status: int
    body: bytes
    headers: Headers = []
    content_type: bytes = b"application/json"
    contact_uuids: frozenset[str] = frozenset()
    vary: bytes = b"Authorization"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response; to HEAD, without the body but with its length."""
        if header(scope, b"expect") is not None:
            await _receive_expected_body(scope, receive)
        headers = [(b"vary", self.vary), *self.headers]
        if self.status not in (NO_CONTENT, NOT_MODIFIED):
            length = str(len(self.body)).encode()
            headers += [(b"content-type", self.content_type), (b"content-length", length)]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


class StreamedResponse(ApiResponse, kw_only=True):
    """A response whose body is generated while it is sent, so that it is never in memory whole.

    `body` is the start of the body, and `rest` generates the remainder. Without a `length` the body
    is sent in chunks. If the generator fails, or the body does not have that length, the connection
    is closed before the end, so that the client notices that the body is incomplete.
    """

    rest: AsyncGenerator[bytes, None]
    length: int | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response piece by piece, until it ends or the client disconnects."""
        if header(scope, b"expect") is not None:
            await _receive_expected_body(scope, receive)
        headers = [(b"vary", self.vary), *self.headers, (b"content-type", self.content_type)]
        if self.length is not None:
            headers.append((b"content-length", str(self.length).encode()))
        async with aclosing(self.rest):
            await send({"type": "http.response.start", "status": self.status, "headers": headers})
            if scope["method"] == "HEAD" or await self._send_pieces(scope, receive, send):
                await send({"type": "http.response.body", "body": b""})

    async def _send_pieces(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Returns whether all of the body was sent."""
        disconnect = asyncio.create_task(_wait_for_disconnect(receive))
        sent, piece = 0, self.body
        try:
            while piece and not disconnect.done():
                sent += len(piece)
                if self.length is not None and sent > self.length:
                    return False
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                async with asyncio.timeout(READ_SECONDS):
                    piece = await anext(self.rest, b"")
        except (Refusal, TimeoutError) as error:
            scope["refused"] = (
                error if isinstance(error, Refusal) else timeout_error()
            ).reason.code
            return False
        finally:
            disconnect.cancel()
        return not piece and self.length in (None, sent)


async def streamed(scope: Scope, pieces: Callable[[], AsyncGenerator[bytes, None]]) -> ApiResponse:
    """Returns a 200 with a JSON body that is generated in pieces, none of them empty.

    A body of at most `BUFFER_BYTES` is sent with its length. HTTP/1.0 has no chunks, so a longer
    body is generated twice there, first to measure its length.
    """
    rest = pieces()
    body = bytearray()
    async for piece in rest:
        body += piece
        if len(body) > BUFFER_BYTES:
            break
    else:
        return ApiResponse(200, bytes(body))
    if scope["http_version"] != "1.0":
        return StreamedResponse(200, bytes(body), rest=rest)
    length = len(body) + sum([len(piece) async for piece in rest])
    rest = pieces()
    return StreamedResponse(200, await anext(rest), rest=rest, length=length)


async def _wait_for_disconnect(receive: Receive) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _receive_expected_body(scope: Scope, receive: Receive) -> None:
    """Receive a small body that a client sends only after 100 Continue.

    The response is ready without the body, and RFC 9110 (10.1.1) allows a server to send it at
    once. But then curl, PHP and Java close the connection, because they have announced a body and
    will not send it, and Ruby sends its next request in the place of that body. Receiving a small
    body costs less than a new connection. A large body is not requested. Bytes that do not arrive
    in time are read and dropped by the server's protocol, like any body that was not read.
    """
    declared = header(scope, b"content-length")
    if scope.get(BODY_BEGUN) or scope.get("http_version") != "1.1" or declared is None:
        return
    if not 0 < int(declared) <= MAX_EXPECTED_BYTES:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(EXPECTED_SECONDS):
            while (await receive()).get("more_body", False):
                pass


def replay_response(stored: StoredResponse) -> ApiResponse:
    """Returns a stored response, marked as a replay."""
    headers = [(name.encode(), value.encode()) for name, value in stored.headers]
    return ApiResponse(stored.status, stored.body, [*headers, (b"idempotent-replayed", b"true")])


def to_stored(response: ApiResponse) -> StoredResponse:
    """Returns a response in the form in which it is stored for a retry."""
    headers = [(name.decode(), value.decode()) for name, value in response.headers]
    uuids = tuple(sorted(response.contact_uuids))
    return StoredResponse(response.status, headers, response.body, uuids)


def error_response(refusal: Refusal, scope: Scope, representation: Representation) -> ApiResponse:
    """Returns the response for a refusal, with the headers that its status requires."""
    kind = refusal.reason.kind
    headers: Headers = []
    if kind is Kind.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.reason is Reason.UNSUPPORTED_ENCODING:
        headers.append((b"accept-encoding", b"identity"))  # RFC 9110, 15.5.16
    if kind is Kind.TOO_LARGE:
        # The rest of the body is not read, so nothing that follows it could be parsed.
        headers.append((b"connection", b"close"))
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    scope["refused"] = refusal.reason.code
    body = errors.body(refusal, representation, scope["request_id"])
    return ApiResponse(errors.status(refusal.reason), msgspec.json.encode(body), headers)


def timeout_error() -> Refusal:
    """Returns the refusal for a store that did not respond within its time limit."""
    return Refusal(
        Reason.STORE_UNAVAILABLE,
        "The store did not answer in time. No contact was half changed; look again before you "
        "repeat a write.",
        retry_after=1,
    )
