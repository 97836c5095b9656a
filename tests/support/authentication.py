"""A worker of the server that judges headers, and headers to be judged."""

from __future__ import annotations

import pytest

from reachbook.domain.errors import Refusal
from reachbook.metrics import Metrics
from reachbook.service.authentication import Authenticator
from tests.support.personas import MASTER_KEY, Asker, Book, sign


def worker(book: Book, master_key: bytes = MASTER_KEY) -> Authenticator:
    """A worker that has seen no token yet."""
    return Authenticator(book.store, (master_key,), book.clock, Metrics())


async def refusal(access: Authenticator, authorization: str | None) -> Refusal:
    """What a worker says to a header when it refuses."""
    with pytest.raises(Refusal) as caught:
        await access.caller(authorization)
    return caught.value


def by_jwt(asker: Asker) -> str:
    """A header with a JWT of this second."""
    return asker.by_jwt()["authorization"]


def by_key(asker: Asker) -> str:
    """A header with the API key."""
    return asker.by_key()["authorization"]


def signed(book: Book, issuer: str, secret_key: str) -> str:
    """A header with a JWT that says it is of an issuer, signed with some key."""
    now = book.clock() // 1_000_000
    return f"Bearer {sign({'iss': issuer, 'iat': now}, issuer, secret_key)}"
