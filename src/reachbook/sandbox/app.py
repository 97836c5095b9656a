"""The application of the sandbox: the routes under `/sandbox`, and the API with faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.headers import request_id
from reachbook.http.middleware import RequestLogMiddleware
from reachbook.http.response import error_response
from reachbook.metrics import Metrics
from reachbook.sandbox import faults
from reachbook.sandbox.clock import SandboxClock
from reachbook.sandbox.control import Controls
from reachbook.sandbox.journal import Recorder
from reachbook.sandbox.store import SandboxStore
from reachbook.settings import Settings

PREFIX = "/sandbox"


class ControlState(Struct, frozen=True):
    """The state that the middleware needs."""

    metrics: Metrics


class SandboxApp:
    """Sends a request to the routes under `/sandbox`, or by the journal and faults to the API."""

    def __init__(self, settings: Settings, token: str) -> None:
        metrics, clock = Metrics(), SandboxClock()
        self._store = SandboxStore(settings, metrics, clock)
        self._controls = Controls(token, self._store, clock)

        @asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[dict[str, Metrics]]:
            await self._store.open()
            try:
                yield {"metrics": metrics}
            finally:
                await self._store.close()

        self._control_app = Starlette(routes=self._controls.routes(), lifespan=lifespan)
        self._control_app.state.state = ControlState(metrics)
        self._control_app.middleware_stack = RequestLogMiddleware(self._control_app.router)
        self._control_app.router.default = _no_route
        self._control_app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or the start and the end of the server."""
        if scope["type"] != "http" or f"{scope['path']}/".startswith(f"{PREFIX}/"):
            await self._control_app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["request_id"] = request_id(scope)
        entry = self._controls.journal.add(scope)
        recorder = Recorder(entry, scope, receive, send)
        # From here on: a request that a fault delays belongs to the store that it was sent to.
        with self._store.request(scope[faults.ABORT]) as (api, generation):
            fault = self._controls.faults.take(scope)
            if fault is None:
                await api(scope, recorder.receive, recorder.send)
                return
            entry.fault = fault.fault
            if fault.fault == "disconnect_after":
                await faults.execute_and_disconnect(api, scope, recorder)
            elif not await faults.apply(fault, scope, recorder, generation.is_aborted):
                await api(scope, recorder.receive, recorder.send)


async def _no_route(scope: Scope, receive: Receive, send: Send) -> None:
    refusal = Refusal(Reason.NO_ROUTE, "There is no such route under /sandbox.")
    await error_response(refusal, scope, Representation.STRING_IDS)(scope, receive, send)
