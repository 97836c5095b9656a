"""The API in this process, and the people in the tests.

Bob sends requests for his team, Alice is a contact of it, and Charlie is in another team. `Api`
is the real application on a real store, called without a socket.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette

from reachbook.domain import timestamps
from reachbook.domain.credential import Credential, Representation
from reachbook.http import app
from reachbook.http.rate_limit import RateLimiter
from reachbook.http.state import AppState
from reachbook.metrics import Metrics
from reachbook.service import Service, TeamKeys
from reachbook.service.administration import Administration, CredentialOptions
from reachbook.service.authentication import Authenticator
from reachbook.storage import Store, Team, open_store

ALICE = "a1b2c3d4-e5f6-7890-abcd-ef1234567890"
NOBODY = "00000000-0000-4000-8000-000000000000"
MASTER_KEY = b"m" * 32


class Clock:
    """A clock that changes only when a test sets it; in microseconds since the epoch."""

    def __init__(self) -> None:
        self.now = timestamps.now()

    def __call__(self) -> int:
        return self.now

    def set(self, iso: str) -> None:
        from datetime import datetime

        self.now = int(datetime.fromisoformat(iso).timestamp()) * timestamps.SECOND

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * timestamps.SECOND)


@dataclass
class TeamClient:
    """A team with its credentials."""

    team: Team
    secret: Credential
    secret_key: str
    key: Credential
    api_key: str
    clock: Clock

    def by_key(self) -> dict[str, str]:
        """Return the headers of a client of seed 000, with an API key."""
        return {"authorization": f"Bearer {self.api_key}"}

    def by_jwt(self) -> dict[str, str]:
        """Return the headers of a client of seeds 001 and 002, with a signed JWT."""
        return {"authorization": f"Bearer {self.token()}"}

    def token(self, *, age: float = 0, **claims: object) -> str:
        issued = self.clock() // timestamps.SECOND - age
        return sign(
            {"iss": self.secret.id, "iat": issued, **claims}, self.secret.id, self.secret_key
        )


@dataclass
class Api:
    """The application with its store, a clock, and two teams."""

    app: Starlette
    client: httpx.AsyncClient
    store: Store
    service: Service
    administration: Administration
    clock: Clock
    bob: TeamClient
    charlie: TeamClient
    database: str
    extra: dict[str, Any] = field(default_factory=dict)

    async def request(
        self, method: str, path: str, body: object = None, *, by: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a request, with Bob's API key unless `by` has other headers."""
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        headers = self.bob.by_key() if by is None else by
        return await self.client.request(method, path, content=content, headers=headers)

    async def contact(self, *channels: tuple[str, str], by: dict[str, str] | None = None) -> str:
        """Create a contact and return its UUID."""
        body = {
            "contact_channels": [
                {"channel_type": kind, "channel_id": value} for kind, value in channels
            ]
        }
        answer = await self.request("POST", "/v2/contact", body, by=by)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["uuid"])


@asynccontextmanager
async def open_api(database: str, *, per_minute: int = 0) -> AsyncIterator[Api]:
    """Open the API on a database, with Bob's team and Charlie's."""
    metrics = Metrics()
    store = await open_store(database, metrics)
    clock = Clock()
    administration = Administration(store, clock)
    service = Service(store, TeamKeys(store, (MASTER_KEY,)), clock)
    access = Authenticator(store, (MASTER_KEY,), clock, metrics)
    state = AppState(service, access, RateLimiter(per_minute), metrics, await store.incarnation())

    @asynccontextmanager
    async def open_state() -> AsyncIterator[AppState]:
        yield state

    application = app.build(open_state)
    transport = httpx.ASGITransport(application)
    async with (
        application.router.lifespan_context(application),
        httpx.AsyncClient(transport=transport, base_url="http://book") as client,
    ):
        bob = await create_team_client(administration, "Bob's team", clock)
        charlie = await create_team_client(administration, "Charlie's team", clock)
        yield Api(
            application, client, store, service, administration, clock, bob, charlie, database
        )
    await access.close()
    await store.close()


async def create_team_client(
    administration: Administration, name: str, clock: Clock, *, region: str | None = None
) -> TeamClient:
    """Create a team with an API secret and an API key."""
    team = await administration.create_team(name, region)
    secret, secret_key = await administration.create_secret(
        team.team_id, CredentialOptions(Representation.INTEGER_IDS), MASTER_KEY
    )
    key, api_key = await administration.create_key(
        team.team_id, CredentialOptions(Representation.STRING_IDS)
    )
    return TeamClient(team, secret, secret_key, key, api_key, clock)


def sign(
    claims: dict[str, object],
    secret_id: str,
    secret_key: str,
    header: dict[str, object] | None = None,
) -> str:
    """Return a JWT that is signed as seed 001 describes."""
    head = _encode(header or {"alg": "HS256", "typ": "JWT"})
    body = f"{head}.{_encode(claims)}"
    signature = hmac.digest(f"{secret_id}||{secret_key}".encode(), body.encode(), hashlib.sha256)
    return f"{body}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _encode(value: object) -> str:
    text = json.dumps(value, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")
