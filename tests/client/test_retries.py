"""Which requests are sent again, when, and how often: against a server that fails as it is told."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from reachbook.client import (
    AsyncClient,
    Client,
    ContactRequest,
    InProgressError,
    RateLimitedError,
    ReachbookError,
    Retries,
    UnavailableError,
)
from reachbook.client.request import read_retry_after
from reachbook.domain.errors import Reason
from reachbook.wire.models.error_table import status
from tests.support.personas import ALICE
from tests.support.scripted_server import BROKEN, HANGING, Scripted
from tests.support.server_process import free_port
from tests.support.typed_clients import CLIENTS, KEY, call, opened, scripted

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("kind", CLIENTS)]

TEAM = Scripted(200, b'{"id": 1, "name": "A", "members": []}')
DELETED = Scripted(200, b'"contact deleted"')
READ: tuple[Any, ...] = ("get_team",)
WRITE: tuple[Any, ...] = ("delete_contact", ALICE)


def refused(reason: Reason, **headers: str) -> Scripted:
    body = {
        "error": reason.kind,
        "error_code": reason.code,
        "message": "A sentence.",
        "request_id": "request-1",
    }
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(status(reason), json.dumps(body).encode(), named)


LIMITED = refused(Reason.TOO_MANY_REQUESTS)
UNAVAILABLE = refused(Reason.STORE_UNAVAILABLE)
PROXY_UNAVAILABLE = Scripted(503, b"<html>Service Unavailable</html>")
IN_PROGRESS = refused(Reason.IN_PROGRESS)
PASSING = [LIMITED, UNAVAILABLE, PROXY_UNAVAILABLE, IN_PROGRESS, BROKEN]


@pytest.mark.parametrize("failure", PASSING)
@pytest.mark.parametrize("operation", [READ, WRITE])
@pytest.mark.parametrize("honours", [True, False])
async def test_a_passing_failure_is_retried_where_that_is_safe(
    kind: type[Client | AsyncClient], failure: Scripted, operation: tuple[Any, ...], honours: bool
) -> None:
    is_safe = honours or operation == READ or failure == LIMITED
    success = TEAM if operation == READ else DELETED
    options: dict[str, Any] = {"honours_idempotency_keys": honours}
    async with scripted(kind, failure, success, **options) as (client, server):
        if is_safe:
            await call(client, *operation)
        else:
            with pytest.raises((ReachbookError, httpx.TransportError)):
                await call(client, *operation)

    assert len(server.requests) == (2 if is_safe else 1)


LASTING = [
    reason for reason in Reason if status(reason) not in (429, 503) and reason.code != "in_progress"
]


@pytest.mark.parametrize("operation", [READ, WRITE])
@pytest.mark.parametrize(
    "failure",
    [*map(refused, LASTING), Scripted(502, b"Bad Gateway"), Scripted(504), Scripted(307)],
    ids=lambda failure: failure.body[:80].decode() or failure.status,
)
async def test_any_other_failure_is_not(
    kind: type[Client | AsyncClient], failure: Scripted, operation: tuple[Any, ...]
) -> None:
    async with scripted(kind, failure) as (client, server):
        with pytest.raises(ReachbookError):
            await call(client, *operation)

    assert len(server.requests) == 1


async def test_a_timeout_is_not_retried(kind: type[Client | AsyncClient]) -> None:
    async with scripted(kind, HANGING, timeout=0.2) as (client, server):
        with pytest.raises(httpx.ReadTimeout):
            await call(client, *READ)

    assert len(server.requests) == 1


async def test_a_connection_that_cannot_be_made_is_retried_within_the_bounds(
    kind: type[Client | AsyncClient],
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with opened(kind, url, KEY, retries=Retries(attempts=2)) as client:
        with pytest.raises(httpx.ConnectError):
            await call(client, *WRITE)


async def test_all_attempts_of_a_write_have_one_key_and_two_writes_have_two(
    kind: type[Client | AsyncClient],
) -> None:
    async with scripted(kind, BROKEN, UNAVAILABLE, DELETED) as (client, server):
        await call(client, *WRITE)
        await call(client, *WRITE)

    first, second, third, other = [each.headers["idempotency-key"] for each in server.requests]
    assert first == second == third != other


async def test_a_read_has_no_key_whatever_its_method(kind: type[Client | AsyncClient]) -> None:
    async with scripted(kind, Scripted(200, b"[]")) as (client, server):
        await call(client, "list_contacts")

    [request] = server.requests
    assert (request.method, request.headers.get("idempotency-key")) == ("POST", None)


async def test_the_attempts_are_bounded(kind: type[Client | AsyncClient]) -> None:
    async with scripted(kind, UNAVAILABLE, retries=Retries(attempts=3)) as (client, server):
        with pytest.raises(UnavailableError) as raised:
            await call(client, *READ)

    assert raised.value.reason is Reason.STORE_UNAVAILABLE
    assert len(server.requests) == 3


async def test_retry_after_is_waited_for(kind: type[Client | AsyncClient]) -> None:
    limited = refused(Reason.TOO_MANY_REQUESTS, retry_after="1")
    async with scripted(kind, limited, TEAM) as (client, _):
        started = time.monotonic()
        await call(client, *READ)

    assert 1 <= time.monotonic() - started < 4


async def test_a_retry_after_beyond_the_time_is_not_waited_for(
    kind: type[Client | AsyncClient],
) -> None:
    limited = refused(Reason.TOO_MANY_REQUESTS, retry_after="60")
    async with scripted(kind, limited, retries=Retries(seconds=30)) as (client, server):
        started = time.monotonic()
        with pytest.raises(RateLimitedError) as raised:
            await call(client, *READ)

    assert time.monotonic() - started < 10
    assert raised.value.retry_after == 60
    assert len(server.requests) == 1


async def test_in_progress_that_does_not_end_is_raised(kind: type[Client | AsyncClient]) -> None:
    async with scripted(kind, IN_PROGRESS, retries=Retries(attempts=2)) as (client, server):
        with pytest.raises(InProgressError):
            await call(client, "create_contact", ContactRequest(first="Alice"))

    assert len(server.requests) == 2


async def test_the_bodies_of_all_attempts_are_the_same(kind: type[Client | AsyncClient]) -> None:
    created = Scripted(200, b'{"id": 7, "rev": 1, "uuid": "a1b2c3d4-e5f6-7890-abcd-ef1234567890"}')
    async with scripted(kind, BROKEN, created) as (client, server):
        await call(client, "create_contact", ContactRequest(first="Alice", last=None))

    assert [json.loads(each.body) for each in server.requests] == [
        {"first": "Alice", "last": None}
    ] * 2


def test_a_retry_after_is_seconds_or_a_date(kind: type[Client | AsyncClient]) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)

    assert read_retry_after("7") == 7
    assert 60 < (read_retry_after(soon) or 0) <= 90
    assert read_retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert read_retry_after("soon") is None
    assert read_retry_after(None) is None


@pytest.mark.parametrize(("bound", "value"), [("attempts", 0), ("seconds", -1.0)])
def test_bounds_that_cannot_be_are_refused(
    kind: type[Client | AsyncClient], bound: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=bound):
        Retries(**{bound: value})
