"""Three lists: routes, middleware, lifespan. Start reading here."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.middleware import Observe
from reachbook.http.openapi import document
from reachbook.http.operation import Open, Resource
from reachbook.http.ops import docs, probes
from reachbook.http.request import Answer, refused
from reachbook.http.state import Desk
from reachbook.http.v2 import bulk, channels, contacts
from reachbook.http.x import channel_detail, history, resolve
from reachbook.metrics import Measures

OpenDesk = Callable[[], AbstractAsyncContextManager[Desk]]


class Exactly(Route):
    """A route whose path ends where it ends: Starlette's `$` lets a final newline through."""

    def __init__(self, path: str, endpoint: Resource | Open) -> None:
        super().__init__(path, endpoint)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")


ROUTES: list[Route] = [
    Exactly(
        "/v2/contact/{contactID}/channel/{channelType}",
        Resource(GET=channels.get, DELETE=channels.remove),
    ),
    Exactly(
        "/v2/contact/{contactID}/channel",
        Resource(POST=channels.add, PUT=channels.replace),
    ),
    Exactly("/v2/contact/{contactID}/channels", Resource(GET=channels.list_all)),
    Exactly(
        "/v2/contact/{contactID}",
        Resource(GET=contacts.get, PUT=contacts.update, DELETE=contacts.delete),
    ),
    Exactly("/v2/contact", Resource(POST=contacts.create)),
    Exactly("/v2/contacts/list", Resource(POST=bulk.page)),
    Exactly("/v2/contacts/search", Resource(POST=bulk.search)),
    Exactly("/v2/contacts", Resource(POST=bulk.write_many, DELETE=bulk.delete_many)),
    Exactly("/v1/team", Resource(GET=contacts.team)),
    Exactly("/v1/inboxes", Resource(GET=contacts.inboxes)),
    Exactly("/x/resolve", Resource(POST=resolve.one)),
    Exactly("/x/resolve/batch", Resource(POST=resolve.batch)),
    Exactly("/x/suppression", Resource(DELETE=resolve.end_suppression)),
    Exactly("/x/events", Resource(GET=history.feed)),
    Exactly("/x/contact/{contactID}/channels", Resource(GET=channel_detail.list_all)),
    Exactly(
        "/x/contact/{contactID}/channel/{id}",
        Resource(GET=channel_detail.get, PATCH=channel_detail.patch, DELETE=channel_detail.remove),
    ),
    Exactly(
        "/x/contact/{contactID}/channel/{id}/primary", Resource(POST=channel_detail.make_primary)
    ),
    Exactly("/x/contact/{contactID}/history", Resource(GET=history.of_contact)),
    Exactly("/x/contact/{contactID}/export", Resource(GET=history.export)),
    Exactly("/x/contact/{contactID}/erase", Resource(DELETE=history.erase)),
    Exactly("/healthz", Open(GET=probes.health)),
    Exactly("/readyz", Open(GET=probes.ready)),
    Exactly("/openapi.json", Open(GET=docs.description)),
    Exactly("/docs", Open(GET=docs.page)),
    Exactly("/docs/assets/{name}", Open(GET=docs.asset)),
]
METRICS = Exactly("/metrics", Open(GET=probes.metrics))

MIDDLEWARE = [Middleware(Observe)]


def build(open_desk: OpenDesk, *, shows_metrics: bool = True, base_path: str = "") -> Starlette:
    """The application; `open_desk` opens the store for as long as the application lives.

    `base_path` is where a proxy shows us, as the description tells it.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Measures]]:
        async with open_desk() as app.state.desk:
            yield {"measures": app.state.desk.measures}

    routes = [*ROUTES, METRICS] if shows_metrics else ROUTES
    app = Starlette(
        routes=routes,
        middleware=MIDDLEWARE,
        lifespan=lifespan,
        exception_handlers={404: _no_route},  # type: ignore[dict-item]  # any ASGI app will do
    )
    app.router.redirect_slashes = False
    app.state.description = document.document(routes, base_path)
    return app


async def _no_route(request: Request, _error: Exception) -> Answer:
    no = Refusal(
        Reason.NO_ROUTE,
        "There is nothing at this path; the README lists the routes. "
        "A trailing slash makes another path.",
    )
    return refused(no, request.scope, Representation.STRING_IDS)
