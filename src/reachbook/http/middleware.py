"""Middleware around every request: request id, log line, metrics, and 500 after a bug."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reachbook import logs
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.headers import request_id
from reachbook.http.response import error_response

NO_ROUTE = "none"
REFUSED = 400
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})

log: Final = logs.EventLogger()


class RequestLogMiddleware:
    """Gives each request an id and a log line; responds to a bug with 500, without a stack trace.

    Probes are counted, but not logged if they succeed: they are sent every second, and would be
    most of the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and log one line with its result."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        own_id = scope["request_id"] = request_id(scope)
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Appended here and not by each response: a response of Starlette has it as well.
                message["headers"].append((b"x-request-id", own_id.encode()))
                if _route(scope) in PROBES:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            # The server stops, and the request did not end within the time for draining. A response
            # that has begun cannot be replaced; its connection is closed before its end.
            if not status:
                await error_response(_stopping(), scope, Representation.STRING_IDS)(
                    scope, _no_body, send_with_id
                )
        except Exception as error:  # noqa: BLE001 - any bug is a 500
            log.error("bug", request_id=own_id, **logs.where(error))  # noqa: TRY400 - no text
            if not status:
                await _send_500(scope, send_with_id)
        _log_request(scope, status, time.perf_counter() - started)


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    """Log and count the result of a request."""
    route = _route(scope)
    if route not in PROBES or status >= REFUSED:
        logs.RequestLine(
            request_id=scope["request_id"],
            method=scope["method"],
            route=route,
            status=status,
            error_code=scope.get("refused"),
            credential=scope.get("credential"),
            milliseconds=round(seconds * 1000, 2),
            client=scope["client"][0] if scope.get("client") else None,
        ).write()
    metrics = scope["app"].state.state.metrics
    metrics.request(scope["method"], route, status, seconds)
    if "refused" in scope:
        metrics.refusal(scope["refused"])


def _route(scope: Scope) -> str:
    """Returns the template of the route, and not the path: the number of paths has no bound."""
    return getattr(scope.get("route"), "path", NO_ROUTE)


def _stopping() -> Refusal:
    return Refusal(
        Reason.STOPPING,
        "This process is being stopped and could not finish; look again before you repeat a write.",
        retry_after=1,
    )


async def _no_body() -> Message:
    return {"type": "http.disconnect"}


async def _send_500(scope: Scope, send: Send) -> None:
    refusal = Refusal(
        Reason.BUG, "Something is wrong on our side; the log has it under this request id."
    )
    await error_response(refusal, scope, Representation.STRING_IDS)(scope, _no_body, send)
