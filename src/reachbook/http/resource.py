"""One path and its methods: the order in which a request is judged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from reachbook.credential import Caller, Representation
from reachbook.errors import Reason, Refusal
from reachbook.http.desk import Desk
from reachbook.http.message import NO_CONTENT, STORE_SECONDS, Answer, Request, header, refused
from reachbook.wire.request import options as read_options

Handler = Callable[[Request], Awaitable[Answer]]
OpenHandler = Callable[[Desk], Awaitable[Answer]]


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


Does = TypeVar("Does")


class Methods(Generic[Does]):
    """What the methods of a path do. An instance is an ASGI application: a route ends in it."""

    def __init__(self, **operations: Does) -> None:
        self.operations = operations
        if "GET" in operations:
            self.operations = {**operations, "HEAD": operations["GET"]}
        allow = ", ".join(sorted([*self.operations, "OPTIONS"]))
        self._allow_header = (b"allow", allow.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever comes of it."""
        if scope["method"] == "OPTIONS":
            answer = Answer(NO_CONTENT, b"", [self._allow_header])
        elif scope["method"] in self.operations:
            answer = await self.judge(self.operations[scope["method"]], scope, receive)
        else:
            answer = self._wrong_method(scope)
        await answer(scope, receive, send)

    async def judge(self, operation: Does, scope: Scope, receive: Receive) -> Answer:
        """The answer of one operation to one request."""
        raise NotImplementedError

    def _wrong_method(self, scope: Scope) -> Answer:
        allow = self._allow_header[1].decode()
        no = Refusal(
            Reason.WRONG_METHOD, f"This path does not take {scope['method']}; it takes {allow}."
        )
        answer = refused(no, scope, Representation.STRING_IDS)
        answer.headers.append(self._allow_header)
        return answer


class Resource(Methods[Operation]):
    """A path for those who show a credential."""

    async def judge(self, operation: Operation, scope: Scope, receive: Receive) -> Answer:
        """The order of judgement is the contract's (section 2), and is these lines."""
        desk: Desk = scope["app"].state.desk
        representation = Representation.STRING_IDS
        try:
            async with asyncio.timeout(STORE_SECONDS) as deadline:
                caller = await desk.access.caller(header(scope, b"authorization"))
                representation = caller.representation
                _permit(caller, operation)
                await desk.allowance.spend(caller.credential_id, scope)
                options = read_options(scope["query_string"])
                representation = options.representation or representation
                answer = await operation.handle(
                    Request(desk.service, caller, options, scope, receive, deadline)
                )
        except Refusal as no:
            answer = refused(no, scope, representation)
        except TimeoutError:
            answer = refused(_too_slow(), scope, representation)
        spelled = (b"x-representation", representation.encode())
        answer.headers = [spelled, *answer.headers, *scope.get("allowance", ())]
        return answer


class Open(Methods[OpenHandler]):
    """A path for everyone: probes and descriptions."""

    async def judge(self, operation: OpenHandler, scope: Scope, receive: Receive) -> Answer:  # noqa: ARG002 - nobody's body is read here
        """Answer from the desk alone."""
        try:
            return await operation(scope["app"].state.desk)
        except Refusal as no:
            return refused(no, scope, Representation.STRING_IDS)


def _permit(caller: Caller, operation: Operation) -> None:
    if operation.writes and caller.read_only:
        raise Refusal(
            Reason.READ_ONLY, "This credential is read-only; use one that may write for this."
        )


def _too_slow() -> Refusal:
    return Refusal(
        Reason.STORE_UNAVAILABLE,
        f"The store did not answer within {STORE_SECONDS} s. Nothing was half done; look again "
        "before you repeat a write.",
        retry_after=1,
    )
