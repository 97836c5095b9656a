"""Authenticators, and headers for them."""

from __future__ import annotations

import pytest

from reachbook.domain.errors import Refusal
from reachbook.metrics import Metrics
from reachbook.service.authentication import Authenticator
from tests.support.personas import MASTER_KEY, Api, TeamClient, sign


def worker(api: Api, master_key: bytes = MASTER_KEY) -> Authenticator:
    """Return the authenticator of a new worker, whose caches are empty."""
    return Authenticator(api.store, (master_key,), api.clock, Metrics())


async def refusal(access: Authenticator, authorization: str | None) -> Refusal:
    """Return the refusal of a header."""
    with pytest.raises(Refusal) as caught:
        await access.caller(authorization)
    return caught.value


def by_jwt(team_client: TeamClient) -> str:
    """Return a header with a JWT that was issued now."""
    return team_client.by_jwt()["authorization"]


def by_key(team_client: TeamClient) -> str:
    """Return a header with the API key."""
    return team_client.by_key()["authorization"]


def signed(api: Api, issuer: str, secret_key: str) -> str:
    """Return a header with a JWT that names an issuer, signed with a key."""
    now = api.clock() // 1_000_000
    return f"Bearer {sign({'iss': issuer, 'iat': now}, issuer, secret_key)}"
