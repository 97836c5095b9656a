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
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from reachbook.domain import timestamps
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.response import error_response
from reachbook.sandbox.clock import MAX_ADVANCE_SECONDS, SandboxClock
from reachbook.sandbox.faults import Faults
from reachbook.sandbox.journal import Journal
from reachbook.sandbox.store import SandboxStore
from reachbook.wire.parse import decode

MAX_BODY_BYTES = 65_536
BODY_SECONDS = 10
MAX_OFFSET_SECONDS = 100 * 366 * 86_400

_NAME = re.compile(r"[a-z0-9-]{1,64}")
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)

Handler = Callable[[Request], Awaitable[object]]


class Advance(Struct, forbid_unknown_fields=True):
    """The body of POST /sandbox/clock: by how much the clock is moved forward."""

    advance_seconds: Annotated[int, Meta(ge=1, le=MAX_ADVANCE_SECONDS)]


class Controls:
    """The handlers of the routes; `token` is what a request must send as its bearer token."""

    def __init__(self, token: str, store: SandboxStore, clock: SandboxClock) -> None:
        self._token = token
        self._store = store
        self._clock = clock
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
                POST=self._advance_clock,
                DELETE=self._reset_clock,
            ),
            self._route(
                "/sandbox/faults",
                GET=self._list_faults,
                POST=self._add_fault,
                DELETE=self._drop_faults,
            ),
            self._route("/sandbox/journal", GET=self._show_journal, DELETE=self._clear_journal),
        ]

    def _route(self, path: str, **handlers: Handler) -> Route:
        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                self.check(scope)
                handle = _handler(handlers, scope)
                found = await handle(Request(scope, receive))
            except Refusal as refusal:
                response: Any = error_response(refusal, scope, Representation.STRING_IDS)
            else:
                response = Response(msgspec.json.encode(found), media_type="application/json")
            await response(scope, receive, send)

        return Route(path, _Endpoint(respond))

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

    async def _reset(self, _request: Request) -> object:
        await self._store.restore()
        self._clock.offset_seconds = 0
        self.faults.queued.clear()
        self.journal.entries.clear()
        return {"ok": True}

    async def _list_snapshots(self, _request: Request) -> object:
        return {"snapshots": self._store.names()}

    async def _take_snapshot(self, request: Request) -> object:
        await self._store.take_snapshot(_name(request))
        return {"ok": True}

    async def _restore(self, request: Request) -> object:
        await self._store.restore(_name(request))
        return {"ok": True}

    async def _delete_snapshot(self, request: Request) -> object:
        self._store.delete(_name(request))
        return {"ok": True}

    async def _show_clock(self, _request: Request) -> object:
        return {
            "now": timestamps.format_micros(self._clock.now()),
            "offset_seconds": self._clock.offset_seconds,
        }

    async def _advance_clock(self, request: Request) -> object:
        offset = self._clock.offset_seconds + decode(await _body(request), Advance).advance_seconds
        if offset > MAX_OFFSET_SECONDS:
            raise Refusal(
                Reason.BAD_VALUE,
                "The clock can be at most 100 years ahead; DELETE /sandbox/clock sets it back.",
                fields={"advance_seconds": "too far"},
            )
        self._clock.offset_seconds = offset
        return await self._show_clock(request)

    async def _reset_clock(self, request: Request) -> object:
        self._clock.offset_seconds = 0
        return await self._show_clock(request)

    async def _list_faults(self, _request: Request) -> object:
        return {"faults": self.faults.queued}

    async def _add_fault(self, request: Request) -> object:
        return self.faults.add(await _body(request))

    async def _drop_faults(self, _request: Request) -> object:
        self.faults.queued.clear()
        return {"ok": True}

    async def _show_journal(self, request: Request) -> object:
        after = request.query_params.get("after", "0")
        if not re.fullmatch("[0-9]{1,15}", after):
            raise Refusal(
                Reason.BAD_VALUE,
                "after must be the number of an entry, like 12.",
                fields={"after": "not a number"},
            )
        return {"entries": self.journal.after(int(after))}

    async def _clear_journal(self, _request: Request) -> object:
        self.journal.entries.clear()
        return {"ok": True}


class _Endpoint:
    """Starlette takes an object for an ASGI application, and a function for a view."""

    def __init__(self, respond: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._respond(scope, receive, send)


def _handler(handlers: dict[str, Handler], scope: Scope) -> Handler:
    handler = handlers.get(scope["method"])
    if handler is None:
        raise Refusal(Reason.WRONG_METHOD, f"This path has the methods {', '.join(handlers)}.")
    return handler


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    if _NAME.fullmatch(name):
        return name
    raise Refusal(
        Reason.BAD_VALUE,
        "The name of a snapshot must be 1 to 64 of a-z, 0-9 and -, like before-import.",
        fields={"name": "must be 1 to 64 of a-z, 0-9 and -"},
    )


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _bounded(request)
    except (TimeoutError, ClientDisconnect):
        raise Refusal(Reason.MALFORMED_REQUEST, "The body did not arrive in time.") from None


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise Refusal(Reason.BODY_TOO_LARGE, f"The body is over {MAX_BODY_BYTES} bytes.")
    return bytes(body)
