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
from reachbook.http import contact, contact_channel, probes
from reachbook.http.desk import Desk
from reachbook.http.message import Answer, refused
from reachbook.http.middleware import Observe
from reachbook.http.resource import Open, Resource, reads, writes

OpenDesk = Callable[[], AbstractAsyncContextManager[Desk]]

CHANNEL = Resource(POST=writes(contact_channel.add), PUT=writes(contact_channel.replace))
CHANNELS = Resource(GET=reads(contact_channel.list_all))
CHANNEL_OF_TYPE = Resource(GET=reads(contact_channel.get), DELETE=writes(contact_channel.remove))
CONTACTS = Resource(POST=writes(contact.create))
CONTACT = Resource(GET=reads(contact.get), DELETE=writes(contact.delete))
TEAM = Resource(GET=reads(contact.team))


class Exactly(Route):
    """A route whose path ends where it ends: Starlette's `$` lets a final newline through."""

    def __init__(self, path: str, endpoint: Resource | Open) -> None:
        super().__init__(path, endpoint)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")


ROUTES = [
    Exactly("/v2/contact/{contactID}/channel/{channelType}", CHANNEL_OF_TYPE),
    Exactly("/v2/contact/{contactID}/channel", CHANNEL),
    Exactly("/v2/contact/{contactID}/channels", CHANNELS),
    Exactly("/v2/contact/{contactID}", CONTACT),
    Exactly("/v2/contact", CONTACTS),
    Exactly("/v1/team", TEAM),
    Exactly("/healthz", Open(GET=probes.health)),
    Exactly("/readyz", Open(GET=probes.ready)),
]
METRICS = Exactly("/metrics", Open(GET=probes.metrics))

MIDDLEWARE = [Middleware(Observe)]


def build(open_desk: OpenDesk, *, shows_metrics: bool = True) -> Starlette:
    """The application; `open_desk` opens the store for as long as the application lives."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with open_desk() as app.state.desk:
            yield

    app = Starlette(
        routes=[*ROUTES, METRICS] if shows_metrics else ROUTES,
        middleware=MIDDLEWARE,
        lifespan=lifespan,
        exception_handlers={404: _no_route},  # type: ignore[dict-item]  # any ASGI app will do
    )
    app.router.redirect_slashes = False
    return app


async def _no_route(request: Request, _error: Exception) -> Answer:
    no = Refusal(
        Reason.NO_ROUTE,
        "There is nothing at this path; the README lists the routes. "
        "A trailing slash makes another path.",
    )
    return refused(no, request.scope, Representation.STRING_IDS)
