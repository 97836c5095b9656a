"""The routes, the middleware and the lifespan of the application. Start reading here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import lru_cache, partial

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.middleware import RequestLogMiddleware
from reachbook.http.operation import Endpoint, PublicEndpoint
from reachbook.http.ops import docs, probes
from reachbook.http.response import error_response
from reachbook.http.routing import ExactRoute
from reachbook.http.state import AppState
from reachbook.http.v2 import bulk, channels, contacts
from reachbook.http.x import channel_detail, history, resolve
from reachbook.metrics import Metrics

OpenState = Callable[[], AbstractAsyncContextManager[AppState]]


# Starlette tries the routes in this order, so the most frequent come first.
ROUTES: list[Route] = [
    ExactRoute(
        "/v2/contact/{contactID}/channel/{channelType}",
        Endpoint(GET=channels.get, DELETE=channels.remove),
    ),
    ExactRoute(
        "/v2/contact/{contactID}/channel",
        Endpoint(POST=channels.add, PUT=channels.replace),
    ),
    ExactRoute("/v2/contact/{contactID}/channels", Endpoint(GET=channels.list_all)),
    ExactRoute("/x/resolve", Endpoint(POST=resolve.one)),
    ExactRoute(
        "/v2/contact/{contactID}",
        Endpoint(GET=contacts.get, PUT=contacts.update, DELETE=contacts.delete),
    ),
    ExactRoute("/v2/contact", Endpoint(POST=contacts.create)),
    ExactRoute("/v2/contacts/list", Endpoint(POST=bulk.page)),
    ExactRoute("/v2/contacts/search", Endpoint(POST=bulk.search)),
    ExactRoute("/v2/contacts", Endpoint(POST=bulk.write_many, DELETE=bulk.delete_many)),
    ExactRoute("/v1/team", Endpoint(GET=contacts.team)),
    ExactRoute("/v1/inboxes", Endpoint(GET=contacts.inboxes)),
    ExactRoute("/x/resolve/batch", Endpoint(POST=resolve.batch)),
    ExactRoute("/x/suppression", Endpoint(DELETE=resolve.end_suppression)),
    ExactRoute("/x/events", Endpoint(GET=history.feed)),
    ExactRoute("/x/contact/{contactID}/channels", Endpoint(GET=channel_detail.list_all)),
    ExactRoute(
        "/x/contact/{contactID}/channel/{id}",
        Endpoint(GET=channel_detail.get, PATCH=channel_detail.patch, DELETE=channel_detail.remove),
    ),
    ExactRoute(
        "/x/contact/{contactID}/channel/{id}/primary", Endpoint(POST=channel_detail.make_primary)
    ),
    ExactRoute("/x/contact/{contactID}/history", Endpoint(GET=history.of_contact)),
    ExactRoute("/x/contact/{contactID}/export", Endpoint(GET=history.export)),
    ExactRoute("/x/contact/{contactID}/erase", Endpoint(DELETE=history.erase)),
    ExactRoute("/healthz", PublicEndpoint(GET=probes.health)),
    ExactRoute("/readyz", PublicEndpoint(GET=probes.ready)),
    ExactRoute("/openapi.json", PublicEndpoint(GET=docs.description)),
    ExactRoute("/docs", PublicEndpoint(GET=docs.page)),
    ExactRoute("/docs/assets/{name}", PublicEndpoint(GET=docs.asset)),
]
METRICS = ExactRoute("/metrics", PublicEndpoint(GET=probes.metrics))


def build(
    open_state: OpenState,
    *,
    shows_metrics: bool = True,
    base_path: str = "",
    pages: Sequence[Route] = (),
) -> Starlette:
    """Returns the application; `open_state` opens the store for as long as the application lives.

    `base_path` is the prefix under which a proxy serves it, for the description. `pages` are routes
    that are not part of the API, and are not described.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Metrics]]:
        async with open_state() as app.state.state:
            yield {"metrics": app.state.state.metrics}

    app = Starlette(
        routes=[*_routes(shows_metrics=shows_metrics), *pages],
        lifespan=lifespan,
    )
    # Starlette's own middleware turns exceptions into responses, which takes a tenth of the time of
    # a short request. RequestLogMiddleware does the same.
    app.middleware_stack = RequestLogMiddleware(app.router)
    app.router.default = _no_route
    # Starlette would answer a POST to a path with a trailing slash with a redirect (307), which
    # clients of this API do not expect. Such a path is another path, so the response is 404.
    app.router.redirect_slashes = False
    app.state.description = partial(_description, shows_metrics=shows_metrics, base_path=base_path)
    return app


def _routes(*, shows_metrics: bool) -> list[Route]:
    # Otherwise the metrics are served on a port of their own: see server/metrics_server.py.
    return [*ROUTES, METRICS] if shows_metrics else ROUTES


# Made when it is needed, and once for all applications of a process: it takes longer than the rest.
@lru_cache(maxsize=8)
def _description(*, shows_metrics: bool, base_path: str) -> bytes:
    from reachbook.http.openapi import document

    return document.document(_routes(shows_metrics=shows_metrics), base_path)


async def _no_route(scope: Scope, receive: Receive, send: Send) -> None:
    refusal = Refusal(
        Reason.NO_ROUTE,
        "There is nothing at this path; the README lists the routes. "
        "A path with a trailing slash is another path.",
    )
    await error_response(refusal, scope, Representation.STRING_IDS)(scope, receive, send)
