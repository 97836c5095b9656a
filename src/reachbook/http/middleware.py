"""What surrounds every request, routes that do not exist included."""

from __future__ import annotations

import asyncio
import re
import time
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reachbook import logs
from reachbook.credential import Representation
from reachbook.errors import Reason, Refusal
from reachbook.http.message import header, refused

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,128}")

NO_ROUTE = "none"
REFUSED = 400
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.stdlib.get_logger()


class Observe:
    """Gives each request an id and a log line; turns a bug into a 500 without a stack trace.

    Probes are counted, but not logged while they succeed: they come every second, and would be
    most of the log. What they are told is never cached.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and say in one line what came of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = scope["request_id"] = _request_id(header(scope, b"x-request-id"))
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
                if _route(scope) in PROBES:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:  # told to stop, we have waited for it as long as we may
            if not status:
                await refused(_stopping(), scope, Representation.STRING_IDS)(
                    scope, _nothing, send_with_id
                )
        except Exception as error:  # noqa: BLE001 - the last net: a bug is a 500
            log.error("bug", request_id=request_id, **logs.where(error))  # noqa: TRY400 - no text
            if not status:
                await _apologise(scope, send_with_id)
        _tell(scope, status, time.perf_counter() - started)


def _tell(scope: Scope, status: int, seconds: float) -> None:
    """Log and count what came of a request."""
    route = _route(scope)
    if route not in PROBES or status >= REFUSED:
        log.info(
            "request",
            request_id=scope["request_id"],
            method=scope["method"],
            route=route,
            status=status,
            error_code=scope.get("refused"),
            credential=scope.get("credential"),
            milliseconds=round(seconds * 1000, 2),
            client=scope["client"][0] if scope.get("client") else None,
        )
    measures = scope["app"].state.desk.measures
    measures.request(scope["method"], route, status, seconds)
    if "refused" in scope:
        measures.refusal(scope["refused"])


def _route(scope: Scope) -> str:
    """The template of the route, never the path: paths hold ids, and there is no end of them."""
    return getattr(scope.get("route"), "path", NO_ROUTE)


def _request_id(given: str | None) -> str:
    return given if given and _VISIBLE_ASCII.fullmatch(given) else str(uuid4())


def _stopping() -> Refusal:
    return Refusal(
        Reason.STOPPING,
        "This process is being stopped and cannot wait for the rest of the request; send it again.",
        retry_after=1,
    )


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


async def _apologise(scope: Scope, send: Send) -> None:
    no = Refusal(
        Reason.BUG, "Something is wrong on our side; the log has it under this request id."
    )
    await refused(no, scope, Representation.STRING_IDS)(scope, _nothing, send)
