"""One path and its methods: the order in which a request is judged, and how it is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import msgspec
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from reachbook.credential import Caller, Representation
from reachbook.errors import Kind, Reason, Refusal
from reachbook.http.desk import Desk
from reachbook.service import Asking, Service
from reachbook.wire import refusal
from reachbook.wire.request import Options
from reachbook.wire.request import options as read_options

MAX_BODY_BYTES = 1024 * 1024
NO_CONTENT = 204

Headers = list[tuple[bytes, bytes]]


class Answer(Struct):
    """A response: its status, its body, and the headers beside the usual ones."""

    status: int
    body: bytes
    headers: Headers = []

    async def send(self, scope: Scope, send: Send) -> None:
        """Send it whole; a HEAD is told the length and spared the body."""
        headers = self.headers
        if self.status != NO_CONTENT:
            headers = [
                (b"content-type", b"application/json"),
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
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def answer(self, value: object, headers: Headers | None = None) -> Answer:
        """A 200 with a value in the caller's representation."""
        spelled = (b"x-representation", self.representation.encode())
        return Answer(200, msgspec.json.encode(value), [spelled, *(headers or [])])


Handler = Callable[[Request], Awaitable[Answer]]


class Operation(Struct, frozen=True):
    """What one method of a path does, and whether it writes."""

    handle: Handler
    writes: bool


def reads(handle: Handler) -> Operation:
    """An operation that a read-only credential may use, whatever its method."""
    return Operation(handle, writes=False)


def writes(handle: Handler) -> Operation:
    """An operation that a read-only credential may not use."""
    return Operation(handle, writes=True)


class Resource:
    """A path's methods. An instance is an ASGI application, so a route can end in it."""

    def __init__(self, **operations: Operation) -> None:
        self.operations = operations
        if "GET" in operations:
            self.operations = {**operations, "HEAD": operations["GET"]}
        self._allow = ", ".join(sorted([*self.operations, "OPTIONS"]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever comes of it."""
        if scope["method"] == "OPTIONS":
            answer = Answer(NO_CONTENT, b"", [self._allow_header])
        else:
            answer = await self._judge(scope, receive)
        await answer.send(scope, send)

    async def _judge(self, scope: Scope, receive: Receive) -> Answer:
        """The order of judgement is the contract's (section 2), and is these lines."""
        desk: Desk = scope["app"].state.desk
        representation = Representation.STRING_IDS
        try:
            operation = self._operation(scope["method"])
            caller = await desk.access.caller(header(scope, b"authorization"))
            representation = caller.representation
            _permit(caller, operation)
            desk.allowance.spend(caller.credential_id)
            options = read_options(scope["query_string"])
            representation = options.representation or representation
            return await operation.handle(Request(desk.service, caller, options, scope, receive))
        except Refusal as no:
            answer = refused(no, scope, representation)
            if no.reason is Reason.WRONG_METHOD:
                answer.headers.append(self._allow_header)
            return answer

    def _operation(self, method: str) -> Operation:
        operation = self.operations.get(method)
        if operation is None:
            raise Refusal(
                Reason.WRONG_METHOD, f"This path does not take {method}; it takes {self._allow}."
            )
        return operation

    @property
    def _allow_header(self) -> tuple[bytes, bytes]:
        return (b"allow", self._allow.encode())


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


def _permit(caller: Caller, operation: Operation) -> None:
    if operation.writes and caller.read_only:
        raise Refusal(
            Reason.READ_ONLY, "This credential is read-only; use one that may write for this."
        )


def _too_large() -> Refusal:
    return Refusal(
        Reason.BODY_TOO_LARGE,
        f"The body is over {MAX_BODY_BYTES} bytes, which is the most we read.",
    )
