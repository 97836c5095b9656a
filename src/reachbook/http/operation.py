"""One path and its methods: their declarations, and the order of the checks.

A decorator declares the body, the success and the errors of a handler; it makes the `Operation`
that a route serves and that the description (`http/openapi`) is made from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Generic, Literal, TypeVar

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from reachbook.domain.credential import Caller, Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.compression import compress
from reachbook.http.headers import header
from reachbook.http.preconditions import check_if_none_match
from reachbook.http.request import STORE_SECONDS, Renderer, RequestContext, carries_body
from reachbook.http.response import (
    NO_CONTENT,
    ApiResponse,
    error_response,
    replay_response,
    timeout_error,
    to_stored,
)
from reachbook.http.state import AppState
from reachbook.service import AlreadyAnsweredError
from reachbook.wire.parse import reject_unexpected_body
from reachbook.wire.query import Options, parse_strict_query
from reachbook.wire.query import parse_options as read_options

JSON = "application/json"
ERROR = 400


class PublicRequest(Struct, frozen=True):
    """The argument of the handler of a public path, which needs no credential."""

    state: AppState
    scope: Scope


Handler = Callable[[RequestContext], Awaitable[object]]
PublicHandler = Callable[[PublicRequest], Awaitable[ApiResponse]]
HandlerT = TypeVar("HandlerT", bound=Callable[..., Awaitable[object]])

# ── the declaration of an operation ──────────────────────────────────────────────────────────


class RequestBody(Struct, frozen=True):
    """The JSON body of a request: the type it is decoded into, and named examples."""

    type: type[Struct]
    examples: Mapping[str, object] = {}


class Success(Struct, frozen=True):
    """A success: its body's types (one for each representation where they differ), and examples.

    `render` makes the response from the result of the handler; by default the result is the body.
    """

    meaning: str
    types: tuple[Any, ...]
    examples: Mapping[str, object] = {}
    content_types: tuple[str, ...] = (JSON,)
    render: Renderer = RequestContext.json


class Parameter(Struct, frozen=True):
    """A part of the query, the path or the head of a request that an operation reads."""

    name: str
    type: Any
    meaning: str
    where: Literal["query", "path", "header"] = "query"


class Header(Struct, frozen=True):
    """A header of a success, or of `refusals` too, beside those that every response has."""

    name: str
    type: Any
    meaning: str
    always: bool = False
    refusals: bool = False


class Operation(Struct, Generic[HandlerT], frozen=True):
    """The handler of one method of a path, and its declaration."""

    handle: HandlerT
    spec: OperationSpec[HandlerT]


class OperationSpec(Struct, Generic[HandlerT], frozen=True, kw_only=True):
    """The declaration of an operation, beside its docstring; it decorates the handler.

    `etag` is true if the response shows one contact at one revision, and has its ETag.
    `compressible` must be true if the operation returns a list, which may be long.
    `writes_if` is set if the operation writes only if its body asks for it; it takes the body.
    `query` is the struct of a path under /x, which rejects unknown parameters; without it the
    options of /v2 are read. `seconds` is the time limit of the store; if it is longer than
    `STORE_SECONDS`, the store is pinged first. `errors`, `parameters` and `headers` are only
    those of this operation: the description adds the shared ones, `contactID` and `channelType`.
    """

    success: Success
    writes: bool = False
    writes_if: Callable[[bytes], bool] | None = None
    etag: bool = False
    compressible: bool = False
    query: type[Struct] | None = None
    seconds: float = STORE_SECONDS
    request_body: RequestBody | None = None
    errors: tuple[Reason, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[Header, ...] = ()

    @property
    def may_write(self) -> bool:
        """Whether a request can write."""
        return self.writes or self.writes_if is not None

    def __call__(self, handle: HandlerT) -> Operation[HandlerT]:
        """Returns the operation of a handler."""
        return Operation(handle, self)


# `reads` accepts read-only credentials, whatever the method, `writes` refuses them, and `public`
# needs no credential.
reads = OperationSpec[Handler]
writes: Final = partial(OperationSpec[Handler], writes=True)
public = OperationSpec[PublicHandler]


# ── the path ─────────────────────────────────────────────────────────────────────────────────


class BaseEndpoint(Generic[HandlerT]):
    """The methods of a path, as an ASGI application that a route ends in."""

    def __init__(self, **operations: Operation[HandlerT]) -> None:
        self.operations: dict[str, Operation[HandlerT]] = operations
        # RFC 9110, 9.3.2: HEAD is GET without the body; the response object leaves it out.
        if "GET" in operations:
            self.operations = {**operations, "HEAD": operations["GET"]}
        allow = ", ".join(sorted([*self.operations, "OPTIONS"]))
        self._allow_header = (b"allow", allow.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, whatever its method."""
        if scope["method"] == "OPTIONS":
            response = ApiResponse(NO_CONTENT, b"", [self._allow_header])
        elif scope["method"] in self.operations:
            response = await self.respond(self.operations[scope["method"]], scope, receive)
        else:
            response = self._wrong_method(scope)
        await response(scope, receive, send)

    async def respond(
        self, operation: Operation[HandlerT], scope: Scope, receive: Receive
    ) -> ApiResponse:
        """Returns the response of one operation to one request."""
        raise NotImplementedError

    def _wrong_method(self, scope: Scope) -> ApiResponse:
        allow = self._allow_header[1].decode()
        refusal = Refusal(
            Reason.WRONG_METHOD, f"This path does not take {scope['method']}; it takes {allow}."
        )
        response = error_response(refusal, scope, Representation.STRING_IDS)
        response.headers.append(self._allow_header)
        return response


class Endpoint(BaseEndpoint[Handler]):
    """A path that needs a credential."""

    async def respond(
        self, operation: Operation[Handler], scope: Scope, receive: Receive
    ) -> ApiResponse:
        """Returns the response of one operation, with the headers that every response has."""
        scope["representation"] = Representation.STRING_IDS
        try:
            async with asyncio.timeout(STORE_SECONDS) as deadline:
                response = await self._check_and_handle(operation, scope, receive, deadline)
        except Refusal as refusal:
            response = error_response(refusal, scope, scope["representation"])
        except TimeoutError:
            response = error_response(timeout_error(), scope, scope["representation"])
        # After `_handle_once`: a stored response is not compressed, because the retry may accept
        # gzip although the first request did not, or the reverse.
        if operation.spec.compressible and response.status < ERROR:
            response = await compress(response, header(scope, b"accept-encoding"))
        shown = (b"x-representation", scope["representation"].encode())
        response.headers = [shown, *response.headers, *scope.get("rate_limit_headers", ())]
        return response

    async def _check_and_handle(
        self,
        operation: Operation[Handler],
        scope: Scope,
        receive: Receive,
        deadline: asyncio.Timeout,
    ) -> ApiResponse:
        """Check a request and call the handler, in the order of the contract (section 2)."""
        state: AppState = scope["app"].state.state
        spec = operation.spec
        # Before the credential is checked, because that may write its last use: a store of an
        # older release must not be written at all.
        await state.service.require_identities()
        caller = await state.authenticator.caller(header(scope, b"authorization"))
        scope["credential"] = caller.credential_id
        scope["representation"] = caller.representation
        _permit(caller, is_write=spec.writes)
        # After the permission, so that a denied request does not count.
        await state.rate_limiter.check(caller.credential_id, scope)
        options = _options(operation, scope)
        scope["representation"] = options.representation or caller.representation
        # Only the syntax, and only for reads: a write ignores If-None-Match.
        if spec.etag and not spec.writes:
            check_if_none_match(header(scope, b"if-none-match"))
        request = RequestContext(
            state.service,
            state.incarnation,
            caller,
            options,
            scope,
            receive,
            deadline,
            spec.success.render,
        )
        if spec.seconds > STORE_SECONDS:
            await request.take_time(spec.seconds)
        await _check_body(operation, request)
        return await _handle_once(operation, request)


class PublicEndpoint(BaseEndpoint[PublicHandler]):
    """A path for everyone: probes and descriptions."""

    async def respond(
        self,
        operation: Operation[PublicHandler],
        scope: Scope,
        receive: Receive,  # noqa: ARG002 - a public path reads no body
    ) -> ApiResponse:
        """Returns the response of one operation; the request needs no credential."""
        try:
            return await operation.handle(PublicRequest(scope["app"].state.state, scope))
        except Refusal as refusal:
            return error_response(refusal, scope, Representation.STRING_IDS)


def _options(operation: Operation[Handler], scope: Scope) -> Options:
    """Returns the options of the query; a path under /x has one representation."""
    if operation.spec.query is None:
        return read_options(scope["query_string"])
    parse_strict_query(scope["query_string"], operation.spec.query)
    return Options(Representation.STRING_IDS)


async def _check_body(operation: Operation[Handler], request: RequestContext) -> None:
    """Refuse a body that the operation does not read."""
    if operation.spec.request_body is None and carries_body(request.scope):
        reject_unexpected_body(await request.body(), lenient=operation.spec.query is None)


async def _handle_once(operation: Operation[Handler], request: RequestContext) -> ApiResponse:
    """Returns the response that is stored under the key, or else that of the handler."""
    spec, key = operation.spec, header(request.scope, b"idempotency-key")
    is_write = spec.writes or (spec.writes_if is not None and spec.writes_if(await request.body()))
    _permit(request.caller, is_write=is_write)
    stored = None
    if key is not None and is_write:
        await request.take_key(key)
        stored = await request.service.stored_response(request.context())
    if stored is None:
        try:
            response = request.respond(await operation.handle(request))
        except AlreadyAnsweredError as before:
            # A request with the same key was committed after the look-up above.
            return replay_response(before.response)
        if not request.stores_separately:
            return response
        stored = await request.service.store_response(request.context(), to_stored(response))
    return response if stored is None else replay_response(stored)


def _permit(caller: Caller, *, is_write: bool) -> None:
    if is_write and caller.read_only:
        raise Refusal(
            Reason.READ_ONLY, "This credential is read-only; use one that may write for this."
        )
