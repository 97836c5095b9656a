"""The web console in this process, with a user who is signed in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx

from reachbook.console.attempts import SignInAttempts
from reachbook.console.routes import ROUTES
from reachbook.console.state import ConsoleState
from reachbook.domain.user import Role, User
from reachbook.http import app
from reachbook.http.state import AppState
from tests.support.personas import MASTER_KEY, Api

HOST = "http://book"
MAX_REDIRECTS = 5


@dataclass
class Visitor:
    """A browser without JavaScript: it stores cookies, and sends the CSRF token of each form."""

    client: httpx.AsyncClient
    csrf: str = ""

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """Load a page, and store the token of its forms."""
        response = await self.client.get(path, **options)
        self._store_token(response)
        return response

    async def post(self, path: str, form: dict[str, str] | None = None) -> httpx.Response:
        """Send a form, and follow its redirects."""
        response = await self.client.post(path, data={"csrf": self.csrf, **(form or {})})
        self._store_token(response)
        for _ in range(MAX_REDIRECTS):
            if response.status_code != 303:
                break
            response = await self.get(response.headers["location"])
        return response

    def _store_token(self, response: httpx.Response) -> None:
        if found := re.search(r'name="csrf" value="([0-9a-f]{64})"', response.text):
            self.csrf = found[1]


@dataclass
class Console:
    """The console with the API, and the users of Bob's team.

    Their email addresses contain the team's id, because tests on PostgreSQL share a database.
    """

    api: Api
    state: ConsoleState
    admin: User
    member: User

    @asynccontextmanager
    async def visitor(self, user: User | None = None) -> AsyncIterator[Visitor]:
        """Open a browser in which the user, if given, is signed in."""
        transport = httpx.ASGITransport(self.api.app)
        async with httpx.AsyncClient(transport=transport, base_url=HOST) as client:
            visitor = Visitor(client)
            if user is not None:
                token = await self.state.service.users.new_link(user)
                await visitor.get(f"/console/link/{token}")
                response = await visitor.post(f"/console/link/{token}")
                assert user.email in response.text
            yield visitor


@asynccontextmanager
async def open_console(api: Api, **options: Any) -> AsyncIterator[Console]:
    """Serve the console of an API that is open, with an admin and a member of Bob's team."""

    async def master_key() -> bytes:
        return MASTER_KEY

    users, team_id = api.service.users, api.bob.team.team_id
    state = ConsoleState(
        api.service, api.administration, master_key, SignInAttempts(), api.clock, **options
    )
    old: AppState = api.app.state.state
    new = AppState(
        old.service, old.authenticator, old.rate_limiter, old.metrics, old.incarnation, state
    )

    @asynccontextmanager
    async def open_state() -> AsyncIterator[AppState]:
        yield new

    application = app.build(open_state, pages=ROUTES)
    async with application.router.lifespan_context(application):
        api.app = application
        yield Console(
            api,
            state,
            await users.create(team_id, f"admin{team_id}@example.com", Role.ADMIN),
            await users.create(team_id, f"member{team_id}@example.com", Role.MEMBER),
        )


def text_of(response: httpx.Response) -> str:
    """Return the text of a page without its tags, with single spaces."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", response.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
