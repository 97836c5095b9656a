"""The routes under `/sandbox`, by which a test controls the server."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from reachbook.domain import timestamps
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.operation import BaseEndpoint, Operation, OperationSpec, Success
from reachbook.http.rate_limit import MINUTE
from reachbook.http.response import ApiResponse, error_response
from reachbook.http.routing import ExactRoute
from reachbook.sandbox.clock import MAX_ADVANCE_SECONDS, MICROSECONDS, SandboxClock
from reachbook.sandbox.faults import Faults
from reachbook.sandbox.journal import Journal
from reachbook.sandbox.store import SandboxStore
from reachbook.wire.parse import decode
from reachbook.wire.query import NoQuery, parse_strict_query, parse_timestamp

MAX_BODY_BYTES = 65_536
BODY_SECONDS = 10
MAX_OFFSET_SECONDS = 100 * 366 * 86_400
OK = 200

CLOCK_ACCEPTED = (
    'The body must be {"advance_seconds": 300}, which moves the clock forward, or '
    '{"at": "2027-01-01T00:00:00Z"}, which sets it.'
)

_NAME = re.compile(r"[a-z0-9-]{1,64}")
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)


class ControlRequest(Struct, frozen=True):
    """The argument of a handler: the request, and its query as the operation declares it."""

    http: Request
    query: Any


Handler = Callable[[ControlRequest], Awaitable[object]]


class JournalQuery(Struct, frozen=True):
    """The number of the entry after which the journal is shown."""

    after: Annotated[int, Meta(ge=0, le=2**53 - 1)] = 0


class ClockRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /sandbox/clock: by how much the clock is moved, or the time it is set to."""

    advance_seconds: Annotated[int, Meta(ge=1, le=MAX_ADVANCE_SECONDS)] | None = None
    at: str | None = None


class Controls:
    """The handlers of the routes; `token` is the bearer token that a request must send."""

    def __init__(self, token: str, store: SandboxStore, clock: SandboxClock) -> None:
        self._token = token
        self._store = store
        self._clock = clock
        self._counted_from = 0
        self.faults: Final = Faults()
        self.journal: Final = Journal()

    def routes(self) -> list[Route]:
        """Returns the routes, each with its methods."""
        return [
            self._route("/sandbox/reset", POST=self._reset),
            self._route("/sandbox/snapshots", GET=self._list_snapshots),
            self._route(
                "/sandbox/snapshots/{name}", PUT=self._take_snapshot, DELETE=self._delete_snapshot
            ),
            self._route("/sandbox/snapshots/{name}/restore", POST=self._restore),
            self._route(
                "/sandbox/clock",
                GET=self._show_clock,
                POST=self._move_clock,
                DELETE=self._reset_clock,
            ),
            self._route(
                "/sandbox/faults",
                GET=self._list_faults,
                POST=self._add_fault,
                DELETE=self._drop_faults,
            ),
            self._route(
                "/sandbox/journal",
                GET=_operation(self._show_journal, JournalQuery),
                DELETE=self._clear_journal,
            ),
        ]

    def _route(self, path: str, **handlers: Operation[Handler] | Handler) -> Route:
        operations = {
            method: handler if isinstance(handler, Operation) else _operation(handler)
            for method, handler in handlers.items()
        }
        return ExactRoute(path, ControlEndpoint(self.check, **operations))

    def check(self, scope: Scope) -> None:
        """Raises a refusal unless a local program that has the token sent the request.

        A web page can send requests to loopback: it has an Origin, or a Host that its own name
        server resolves to this machine.
        """
        headers = Request(scope).headers
        if "origin" in headers or not _LOOPBACK.fullmatch(headers.get("host", "")):
            raise Refusal(
                Reason.NOT_LOCAL,
                "The routes under /sandbox accept no Origin, and only a loopback Host such as "
                "127.0.0.1 or localhost.",
            )
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not token:
            raise Refusal(
                Reason.MISSING_CREDENTIAL,
                "The routes under /sandbox need the control token that the sandbox printed, as "
                "Authorization: Bearer TOKEN.",
            )
        if scheme.lower() != "bearer" or not hmac.compare_digest(
            token.encode(), self._token.encode()
        ):
            raise Refusal(Reason.BAD_CREDENTIAL, "This is not the control token of the sandbox.")

    async def _reset(self, _request: ControlRequest) -> object:
        await self._store.restore()
        self._clock.offset = self._counted_from = 0
        self.faults.queued.clear()
        self.journal.entries.clear()
        return {"ok": True}

    async def _list_snapshots(self, _request: ControlRequest) -> object:
        return {"snapshots": self._store.names()}

    async def _take_snapshot(self, request: ControlRequest) -> object:
        await self._store.take_snapshot(_name(request))
        return {"ok": True}

    async def _restore(self, request: ControlRequest) -> object:
        await self._store.restore(_name(request))
        return {"ok": True}

    async def _delete_snapshot(self, request: ControlRequest) -> object:
        self._store.delete(_name(request))
        return {"ok": True}

    async def _show_clock(self, _request: ControlRequest) -> object:
        return self._clock_state()

    async def _move_clock(self, request: ControlRequest) -> object:
        body = decode(await _body(request), ClockRequest)
        if (body.advance_seconds is None) == (body.at is None):
            raise Refusal(Reason.BAD_VALUE, CLOCK_ACCEPTED)
        if body.at is not None:
            return await self._set_offset(_offset_of(body.at))
        offset = self._clock.offset + (body.advance_seconds or 0) * MICROSECONDS
        if offset > MAX_OFFSET_SECONDS * MICROSECONDS:
            raise Refusal(
                Reason.BAD_VALUE,
                "The clock can be at most 100 years ahead; DELETE /sandbox/clock sets it back.",
                fields={"advance_seconds": "too far"},
            )
        return await self._set_offset(offset)

    async def _reset_clock(self, _request: ControlRequest) -> object:
        return await self._set_offset(0)

    async def _set_offset(self, offset: int) -> object:
        self._clock.offset = offset
        # The rate limiter counts by the clock of the host. Its counter is set to zero when a minute
        # has passed on the clock of the sandbox.
        if abs(offset - self._counted_from) >= MINUTE * MICROSECONDS:
            self._counted_from = offset
            await self._store.current.state.rate_limiter.clear()
        return self._clock_state()

    def _clock_state(self) -> object:
        seconds, rest = divmod(self._clock.offset, MICROSECONDS)
        return {
            "now": timestamps.format_micros(self._clock.now()),
            "offset_seconds": seconds if not rest else self._clock.offset / MICROSECONDS,
        }

    async def _list_faults(self, _request: ControlRequest) -> object:
        return {"faults": self.faults.queued}

    async def _add_fault(self, request: ControlRequest) -> object:
        return self.faults.add(await _body(request))

    async def _drop_faults(self, _request: ControlRequest) -> object:
        self.faults.queued.clear()
        return {"ok": True}

    async def _show_journal(self, request: ControlRequest) -> object:
        return {"entries": self.journal.after(request.query.after)}

    async def _clear_journal(self, _request: ControlRequest) -> object:
        self.journal.entries.clear()
        return {"ok": True}


class ControlEndpoint(BaseEndpoint[Handler]):
    """The methods of a path under `/sandbox`; `check` raises a refusal of a caller."""

    def __init__(self, check: Callable[[Scope], None], **operations: Operation[Handler]) -> None:
        super().__init__(**operations)
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
        try:
            self._check(scope)
        except Refusal as refusal:
            await _refusal(refusal, scope)(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def respond(
        self, operation: Operation[Handler], scope: Scope, receive: Receive
    ) -> ApiResponse:
        """Returns the result of the handler as JSON."""
        try:
            query = parse_strict_query(scope["query_string"], operation.spec.query or NoQuery)
            found = await operation.handle(ControlRequest(Request(scope, receive), query))
        except Refusal as refusal:
            return _refusal(refusal, scope)
        return ApiResponse(OK, msgspec.json.encode(found))


def _refusal(refusal: Refusal, scope: Scope) -> ApiResponse:
    return error_response(refusal, scope, Representation.STRING_IDS)


def _operation(handle: Handler, query: type[Struct] = NoQuery) -> Operation[Handler]:
    success = Success("The result.", (dict[str, Any],))
    return OperationSpec[Handler](success=success, query=query)(handle)


def _offset_of(text: str) -> int:
    """Returns the offset of a clock that shows a time, in microseconds."""
    now, time = timestamps.now(), parse_timestamp("at", text)
    if 0 <= time <= now + MAX_OFFSET_SECONDS * MICROSECONDS:
        return time - now
    raise Refusal(
        Reason.BAD_VALUE,
        "at must be from 1970-01-01T00:00:00Z to 100 years from now.",
        fields={"at": "too far"},
    )


def _name(request: ControlRequest) -> str:
    name: str = request.http.path_params["name"]
    if _NAME.fullmatch(name):
        return name
    raise Refusal(
        Reason.BAD_VALUE,
        "The name of a snapshot must be 1 to 64 of a-z, 0-9 and -, like before-import.",
        fields={"name": "must be 1 to 64 of a-z, 0-9 and -"},
    )


async def _body(request: ControlRequest) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _bounded(request.http)
    except (TimeoutError, ClientDisconnect):
        raise Refusal(Reason.MALFORMED_REQUEST, "The body did not arrive in time.") from None


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(Reason.BODY_TOO_LARGE, f"The body is over {MAX_BODY_BYTES} bytes.")
    return bytes(body)
