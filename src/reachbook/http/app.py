"""Three lists: routes, middleware, lifespan. Start reading here."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Route

from reachbook.credential import Representation
from reachbook.errors import Reason, Refusal
from reachbook.http import (
    contact,
    contact_channel,
    contacts,
    docs,
    history,
    known_channel,
    openapi,
    probes,
    resolve,
)
from reachbook.http.desk import Desk
from reachbook.http.message import Answer, refused
from reachbook.http.middleware import Observe
from reachbook.http.resource import Open, Resource
from reachbook.measures import Measures

OpenDesk = Callable[[], AbstractAsyncContextManager[Desk]]


class Exactly(Route):
    """A route whose path ends where it ends: Starlette's `$` lets a final newline through."""

    def __init__(self, path: str, endpoint: Resource | Open) -> None:
        super().__init__(path, endpoint)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")


ROUTES: list[Route] = [
    Exactly(
        "/v2/contact/{contactID}/channel/{channelType}",
        Resource(GET=contact_channel.get, DELETE=contact_channel.remove),
    ),
    Exactly(
        "/v2/contact/{contactID}/channel",
        Resource(POST=contact_channel.add, PUT=contact_channel.replace),
    ),
    Exactly("/v2/contact/{contactID}/channels", Resource(GET=contact_channel.list_all)),
    Exactly(
        "/v2/contact/{contactID}",
        Resource(GET=contact.get, PUT=contact.update, DELETE=contact.delete),
    ),
    Exactly("/v2/contact", Resource(POST=contact.create)),
    Exactly("/v2/contacts/list", Resource(POST=contacts.page)),
    Exactly("/v2/contacts/search", Resource(POST=contacts.search)),
    Exactly("/v2/contacts", Resource(POST=contacts.write_many, DELETE=contacts.delete_many)),
    Exactly("/v1/team", Resource(GET=contact.team)),
    Exactly("/v1/inboxes", Resource(GET=contact.inboxes)),
    Exactly("/x/resolve", Resource(POST=resolve.one)),
    Exactly("/x/resolve/batch", Resource(POST=resolve.batch)),
    Exactly("/x/suppression", Resource(DELETE=resolve.end_suppression)),
    Exactly("/x/events", Resource(GET=history.feed)),
    Exactly("/x/contact/{contactID}/channels", Resource(GET=known_channel.list_all)),
    Exactly(
        "/x/contact/{contactID}/channel/{id}",
        Resource(GET=known_channel.get, PATCH=known_channel.patch, DELETE=known_channel.remove),
    ),
    Exactly(
        "/x/contact/{contactID}/channel/{id}/primary", Resource(POST=known_channel.make_primary)
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
    app.state.description = openapi.document(routes, base_path)
    return app


async def _no_route(request: Request, _error: Exception) -> Answer:
    no = Refusal(
        Reason.NO_ROUTE,
        "There is nothing at this path; the README lists the routes. "
        "A trailing slash makes another path.",
    )
    return refused(no, request.scope, Representation.STRING_IDS)
