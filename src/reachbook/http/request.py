"""A request as a handler sees it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from starlette.types import Receive, Scope

from reachbook.domain.channel import ChannelList
from reachbook.domain.credential import Caller, Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.incarnation import Incarnation
from reachbook.http import preconditions
from reachbook.http.headers import Headers, header
from reachbook.http.response import BODY_BEGUN, NOT_MODIFIED, ApiResponse, to_stored
from reachbook.service import IdempotencyKey, Service, StoredResponse, WriteContext
from reachbook.wire.query import Options, Query, parse_strict_query

MAX_BODY_BYTES = 1024 * 1024
STORE_SECONDS = 1.8


Renderer = Callable[["RequestContext", Any], ApiResponse]


class RequestContext(Struct):
    """The argument of a handler: a verified caller and the request.

    `render` makes the response from the result of the handler. A handler whose effect is not one
    commit must set `stores_separately`: its response is then stored after its effect.
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
    stores_separately: bool = False
    sent: bytes | None = None
    rendered: tuple[object, ApiResponse] | None = None

    @property
    def representation(self) -> Representation:
        """The form of ids in the response."""
        return self.options.representation or self.caller.representation

    def path(self, name: str) -> str:
        """Returns a part of the path, as it was sent."""
        return cast("str", self.scope["path_params"][name])

    def query(self, shape: type[Query]) -> Query:
        """Returns the query parameters of a path under /x; raises if one is unknown."""
        return parse_strict_query(self.scope["query_string"], shape)

    def context(self) -> WriteContext:
        """Returns the context of a use case: the caller, the preconditions and the key."""
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
        """Returns the context of one row of many, whose response is stored under its own key.

        The key of a row contains a space. No key of a caller does, so the two cannot be equal.
        """
        context = self.context()
        if context.key is None:
            return context
        key = replace(context.key, key=f"{context.key.key} {index}")
        return replace(context, key=key, respond=lambda saved: to_stored(render(self, saved)))

    def respond(self, result: object) -> ApiResponse:
        """Returns the response for the result of a handler, which may be a response itself.

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
        """Returns the body; raises as soon as it is known to be too large.

        The deadline of the store is suspended meanwhile.
        """
        if self.sent is None:
            loop = asyncio.get_running_loop()
            # The server's protocol limits a slow upload; it must not use up the time of the store.
            left = (self.deadline.when() or 0.0) - loop.time()
            self.deadline.reschedule(None)
            self.sent = await read_body(self.scope, self.receive)
            self.deadline.reschedule(loop.time() + left)
        return self.sent

    async def take_time(self, seconds: float) -> None:
        """Ping the store, then set its deadline to `seconds` from now."""
        await self.service.ping()
        self.deadline.reschedule(asyncio.get_running_loop().time() + seconds)

    async def take_key(self, key: str) -> None:
        """Set the key of the context from an Idempotency-Key and the hash of the request."""
        preconditions.check_key(key)
        parts = (
            self.scope["method"].encode(),
            self.scope["raw_path"],
            self.scope["query_string"],
            self.representation.encode(),
            await self.body(),
        )
        # Each part has its length before it, so that two different requests never hash the same
        # bytes.
        digest = hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()
        self.key = self.service.idempotency_key(key, digest)

    def json(self, value: object, contact_uuids: Iterable[str] = ()) -> ApiResponse:
        """Returns a 200 with a value as JSON, which mentions the contacts."""
        return ApiResponse(
            200, msgspec.json.encode(value), [], contact_uuids=frozenset(contact_uuids)
        )

    def json_with_etag(
        self, channel_list: ChannelList, value: object, headers: Headers | None = None
    ) -> ApiResponse:
        """Returns the same with the ETag of a contact, or 304 if the caller has that revision."""
        shown = (channel_list.rev, self.representation, self.incarnation)
        tag = preconditions.make_etag(*shown)
        headers = [(b"etag", tag.encode()), *(headers or [])]
        # The result of a write is always sent; If-None-Match does not apply to it.
        if self.scope["method"] in ("GET", "HEAD"):
            known = header(self.scope, b"if-none-match")
            if preconditions.matches(known, *shown):
                return ApiResponse(NOT_MODIFIED, b"", headers)
        named = frozenset((channel_list.uuid,))
        return ApiResponse(200, msgspec.json.encode(value), headers, contact_uuids=named)


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


async def read_body(scope: Scope, receive: Receive) -> bytes:
    """Returns the body of a request; raises if it is encoded or over `MAX_BODY_BYTES`."""
    _check_encoding(scope)
    declared = header(scope, b"content-length")
    scope[BODY_BEGUN] = True
    if declared is not None and int(declared) > MAX_BODY_BYTES:
        raise _too_large_error()
    body = bytearray()
    more = True
    while more:
        message = await receive()
        # An incomplete body must not be parsed: a JSON number that is cut is another number.
        if message["type"] == "http.disconnect":
            raise Refusal(Reason.MALFORMED_JSON, "The connection ended before the body did.")
        body += message.get("body", b"")
        # A chunked body declares no length, so its bytes are counted.
        if len(body) > MAX_BODY_BYTES:
            raise _too_large_error()
        more = message.get("more_body", False)
    return bytes(body)


def _too_large_error() -> Refusal:
    return Refusal(
        Reason.BODY_TOO_LARGE,
        f"The body must have at most {MAX_BODY_BYTES} bytes.",
    )
