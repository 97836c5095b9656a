"""A request as a handler sees it, and its response."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing, suppress
from typing import Any, cast
from uuid import uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from starlette.types import Receive, Scope, Send

from reachbook.domain.channel import ChannelList
from reachbook.domain.credential import Caller, Representation
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.domain.incarnation import Incarnation
from reachbook.http import preconditions
from reachbook.service import IdempotencyKey, Service, StoredResponse, WriteContext
from reachbook.wire import errors
from reachbook.wire.query import Options, Query, parse_strict_query

MAX_BODY_BYTES = 1024 * 1024
MAX_EXPECTED_BYTES = 64 * 1024
EXPECTED_SECONDS = 1.0
STORE_SECONDS = 1.8
READ_SECONDS = 10.0
BUFFER_BYTES = 1024 * 1024
NO_CONTENT = 204
NOT_MODIFIED = 304

HEADERS = "reachbook.headers"
BODY_BEGUN = "reachbook.body_begun"
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,128}")

Headers = list[tuple[bytes, bytes]]


class ApiResponse(Struct):
    """A response: its status, its body, and the headers beside the usual ones.

    `contact_uuids` are the contacts that it mentions. A response that is stored for a retry must
    name all of them, because an erasure deletes the stored responses that name the contact.
    """

    status: int
    body: bytes
    headers: Headers = []
    content_type: bytes = b"application/json"
    contact_uuids: frozenset[str] = frozenset()
    vary: bytes = b"Authorization"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it whole; a HEAD is told the length and spared the body."""
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

    `body` is the start of the body, and `rest` generates the remainder. Without a `length` it is
    sent in chunks. If the remainder fails, or does not have that length, the connection is closed
    before the end, so that no client takes a part for the whole.
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
        leaving = asyncio.create_task(_until_gone(receive))
        sent, piece = 0, self.body
        try:
            while piece and not leaving.done():
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
            leaving.cancel()
        return not piece and self.length in (None, sent)


Renderer = Callable[["RequestContext", Any], ApiResponse]


class RequestContext(Struct):
    """The argument of a handler: a verified caller and the request.

    `render` makes the response from the result of the handler. `stores_apart` is set by a handler
    whose effect is not one commit: its response is stored for a retry after it was made.
    """

    service: Service
    incarnation: Incarnation
    caller: Caller
    options: Options
    scope: Scope
    receive: Receive
    deadline: asyncio.Timeout
    render: Renderer
    key: IdempotencyKey | None = None
    stores_apart: bool = False
    sent: bytes | None = None
    rendered: tuple[object, ApiResponse] | None = None

    @property
    def representation(self) -> Representation:
        """How ids are spelled in the answer."""
        return self.options.representation or self.caller.representation

    def path(self, name: str) -> str:
        """A part of the path, as it was sent."""
        return cast("str", self.scope["path_params"][name])

    def query(self, shape: type[Query]) -> Query:
        """Returns the query parameters of a path under /x; raises if one is unknown."""
        return parse_strict_query(self.scope["query_string"], shape)

    def context(self) -> WriteContext:
        """Return on whose behalf a use case runs, with the key of the request."""
        return WriteContext(
            self.caller.team_id,
            self.caller.credential_id,
            self.scope["request_id"],
            preconditions.revisions(header(self.scope, b"if-match"), self.incarnation),
            self.options.on_conflict,
            self.key,
            self._respond,
        )

    def context_of_row(self, index: int, render: Renderer) -> WriteContext:
        """Return the same for one row of many, whose response is stored under a key of its own.

        No caller's key holds a space, so none can be taken for a row's.
        """
        context = self.context()
        if context.key is None:
            return context
        key = replace(context.key, key=f"{context.key.key} {index}")
        return replace(context, key=key, respond=lambda saved: to_stored(render(self, saved)))

    def respond(self, result: object) -> ApiResponse:
        """Return the response to a result, which a handler may have made itself.

        The result of a commit was rendered to be stored with it, and is not rendered again.
        """
        if isinstance(result, ApiResponse):
            return result
        if self.rendered is None or self.rendered[0] is not result:
            self.rendered = (result, self.render(self, result))
        return self.rendered[1]

    def _respond(self, result: object) -> StoredResponse:
        return to_stored(self.respond(result))

    async def body(self) -> bytes:
        """The body, refused as soon as it is known to be too large.

        The connection has a deadline of its own for this; the store's stands still meanwhile.
        """
        if self.sent is None:
            loop = asyncio.get_running_loop()
            # A slow upload is bounded by the protocol; it must not use up the time of the store.
            left = (self.deadline.when() or 0.0) - loop.time()
            self.deadline.reschedule(None)
            self.sent = await _read_body(self.scope, self.receive)
            self.deadline.reschedule(loop.time() + left)
        return self.sent

    async def take_time(self, seconds: float) -> None:
        """Set the deadline of the store to `seconds` from now, after a check that it answers."""
        await self.service.ping()
        self.deadline.reschedule(asyncio.get_running_loop().time() + seconds)

    async def take_key(self, key: str) -> None:
        """Take the Idempotency-Key, with the hash of the request."""
        preconditions.check_key(key)
        parts = (
            self.scope["method"].encode(),
            self.scope["raw_path"],
            self.scope["query_string"],
            self.representation.encode(),
            await self.body(),
        )
        # Each part with its length: without it the end of one could be the start of the next.
        digest = hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()
        self.key = self.service.idempotency_key(key, digest)

    def answer(self, value: object, contact_uuids: Iterable[str] = ()) -> ApiResponse:
        """Returns a 200 with a value in the caller's representation that mentions the contacts."""
        return ApiResponse(
            200, msgspec.json.encode(value), [], contact_uuids=frozenset(contact_uuids)
        )

    def tagged(
        self, channel_list: ChannelList, value: object, headers: Headers | None = None
    ) -> ApiResponse:
        """The same for one contact at one revision: with its ETag, or 304 when that is known."""
        shown = (channel_list.rev, self.representation, self.incarnation)
        tag = preconditions.make_etag(*shown)
        headers = [(b"etag", tag.encode()), *(headers or [])]
        known = header(self.scope, b"if-none-match")
        # The result of a write is always sent; If-None-Match does not apply to it.
        is_read = self.scope["method"] in ("GET", "HEAD")
        if is_read and preconditions.matches(known, *shown):
            return ApiResponse(NOT_MODIFIED, b"", headers)
        named = frozenset((channel_list.uuid,))
        return ApiResponse(200, msgspec.json.encode(value), headers, contact_uuids=named)


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


async def _until_gone(receive: Receive) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def carries_body(scope: Scope) -> bool:
    """Returns whether the head of a request declares a body."""
    length = header(scope, b"content-length")
    return length not in (None, "0") or header(scope, b"transfer-encoding") is not None


def _check_encoding(scope: Scope) -> None:
    """Refuse a body with a content coding; `identity` and an empty list mean no coding."""
    encoding = header(scope, b"content-encoding")
    if encoding is None or not carries_body(scope):
        return
    codings = {coding.strip(" \t").lower() for coding in encoding.split(",")}
    if codings <= {"identity", ""}:
        return
    raise Refusal(
        Reason.UNSUPPORTED_ENCODING,
        "Content-Encoding must be identity or absent: send the body as plain UTF-8 JSON; got "
        f"{encoding[:64]!a}.",
        fields={"Content-Encoding": "not identity"},
    )


async def _read_body(scope: Scope, receive: Receive) -> bytes:
    _check_encoding(scope)
    declared = header(scope, b"content-length")
    scope[BODY_BEGUN] = True
    if declared is not None and int(declared) > MAX_BODY_BYTES:
        raise _too_large_error()
    body = bytearray()
    more = True
    while more:
        message = await receive()
        # Half a body must never be parsed: a cut JSON number is another number.
        if message["type"] == "http.disconnect":
            raise Refusal(Reason.MALFORMED_JSON, "The connection ended before the body did.")
        body += message.get("body", b"")
        # A body in chunks declares no length, so it is counted as it arrives.
        if len(body) > MAX_BODY_BYTES:
            raise _too_large_error()
        more = message.get("more_body", False)
    return bytes(body)


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


def replay_response(answer: StoredResponse) -> ApiResponse:
    """An answer that was kept, as it was given the first time."""
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    return ApiResponse(answer.status, answer.body, [*headers, (b"idempotent-replayed", b"true")])


def to_stored(answer: ApiResponse) -> StoredResponse:
    """An answer as it is kept for a retry."""
    headers = [(name.decode(), value.decode()) for name, value in answer.headers]
    return StoredResponse(answer.status, headers, answer.body, tuple(sorted(answer.contact_uuids)))


def error_response(refusal: Refusal, scope: Scope, representation: Representation) -> ApiResponse:
    """A refusal as an answer, with the headers that its status calls for."""
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
    """The refusal when the store takes longer than it may."""
    return Refusal(
        Reason.STORE_UNAVAILABLE,
        "The store did not answer in time. No contact was half changed; look again before you "
        "repeat a write.",
        retry_after=1,
    )


def header(scope: Scope, name: bytes) -> str | None:
    """The header of a name, given in lower case; one sent on several lines is their list."""
    # Looked up up to ten times a request, so the list is made into a dict once.
    if HEADERS not in scope:
        scope[HEADERS] = _by_name(scope["headers"])
    # Latin-1 decodes any byte, so a header can never cause a 500; what it holds is checked by use.
    value: bytes | None = scope[HEADERS].get(name)
    return None if value is None else value.decode("latin-1")


def request_id(scope: Scope) -> str:
    """The caller's own id for the request, or a new one when it is not fit to be one."""
    given = header(scope, b"x-request-id")
    return given if given and _VISIBLE_ASCII.fullmatch(given) else str(uuid4())


def _by_name(pairs: Headers) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, padded in pairs:
        value = padded.strip(b" \t")
        found[name] = found[name] + b", " + value if name in found else value
    return found


def _too_large_error() -> Refusal:
    return Refusal(
        Reason.BODY_TOO_LARGE,
        f"The body is over {MAX_BODY_BYTES} bytes, which is the most we read.",
    )
