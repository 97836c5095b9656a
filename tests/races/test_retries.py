"""Retries with an Idempotency-Key have one effect, even if the server is killed between them."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.clients import Client, ConnectionLostError, Response
from tests.support.full_size import scaled
from tests.support.personas import Api
from tests.support.raw_sql import locked, sql_runner
from tests.support.server_process import serving_async, worker_arguments
from tests.support.teams import create_api_key
from tests.support.waiting import wait_until_async

pytestmark = pytest.mark.anyio

CLIENTS = 16
KEYS = scaled(100, 1000)
RETRIES = 10
KILLS = scaled(1, 5)
PATIENCE_SECONDS = scaled(60, 900)


@dataclass
class Retries:
    """The waiting requests, and the responses of each key."""

    waiting: deque[int]
    responses_by_key: defaultdict[int, list[Response]] = field(
        default_factory=lambda: defaultdict(list)
    )
    lost: int = 0

    async def work(self, client: Client) -> None:
        """Send requests until none waits or the server is killed; lost requests are sent again."""
        while self.waiting:
            number = self.waiting.popleft()
            method, path, body = _request(number)
            try:
                response = await client.request(method, path, body, idempotency_key=f"key-{number}")
            except ConnectionLostError:
                self.lost += 1
                self.waiting.append(number)
                return
            if response.status == 409 and response.json()["error_code"] == "in_progress":
                self.waiting.append(number)
                continue
            assert response.status == 200, response.body
            self.responses_by_key[number].append(response)


def _request(number: int) -> tuple[str, str, object]:
    """Return a write that is not idempotent by itself: a POST of a contact, or a resolve."""
    if number % 2:
        return "POST", "/v2/contact", {"first": f"Person {number}"}
    create = {"first": f"Person {number}"}
    return "POST", "/x/resolve", {"channel_id": f"1510555{number:04d}", "create": create}


async def test_each_key_has_one_effect(database: str, tmp_path: Path) -> None:
    """Concurrent retries of each key, while the server is killed."""
    key = await create_api_key(database)
    numbers = [number for number in range(KEYS) for _ in range(RETRIES)]
    random.Random(4).shuffle(numbers)
    retries = Retries(deque(numbers))
    async with asyncio.timeout(PATIENCE_SECONDS):
        for kill in range(KILLS + 1):
            left = len(numbers) * (KILLS - kill) // (KILLS + 1)
            await _serve_until_killed(tmp_path, database, key, retries, left)

    assert retries.lost >= KILLS
    assert not retries.waiting
    for number in range(KEYS):
        received = retries.responses_by_key[number]
        assert len(received) == RETRIES
        assert len({response.body for response in received}) == 1
        assert sum("idempotent-replayed" not in response.headers for response in received) <= 1
    for table in ("contact", "event", "idempotency"):
        assert await sql_runner(database)(f"SELECT count(*) FROM {table}") == [(KEYS,)]


async def _serve_until_killed(
    directory: Path, database: str, key: str, retries: Retries, left: int
) -> None:
    """Serve until at most `left` requests wait, then kill the server; with 0, serve all of them."""
    async with serving_async(directory, database, *worker_arguments(database)) as server:
        clients = [Client(server.port, key) for _ in range(CLIENTS)]
        working = [asyncio.create_task(retries.work(client)) for client in clients]
        if left:
            await wait_until_async(
                lambda: len(retries.waiting) <= left,
                PATIENCE_SECONDS,
                "enough requests have responses",
            )
            await asyncio.to_thread(server.kill)
        await asyncio.gather(*working)
        for client in clients:
            client.close()


async def test_a_concurrent_duplicate_waits_and_replays(api: Api) -> None:
    headers = {**api.bob.by_key(), "idempotency-key": "one"}
    responses = await asyncio.gather(
        *(api.request("POST", "/v2/contact", {"first": "Alice"}, by=headers) for _ in range(8))
    )

    assert {response.status_code for response in responses} == {200}
    assert len({response.content for response in responses}) == 1
    assert len({response.headers["etag"] for response in responses}) == 1
    assert sum("idempotent-replayed" not in response.headers for response in responses) == 1


async def test_a_concurrent_request_with_a_used_key_is_refused(api: Api) -> None:
    """Of two different requests with one key, the second gets 422."""
    headers = {**api.bob.by_key(), "idempotency-key": "two"}
    responses = await asyncio.gather(
        *(api.request("POST", "/v2/contact", {"first": name}, by=headers) for name in ("A", "B"))
    )

    assert sorted(response.status_code for response in responses) == [200, 422]


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
async def test_a_duplicate_gets_409_while_the_first_request_runs(api: Api) -> None:
    """On SQLite writes are in one queue, so a duplicate never runs concurrently with the first."""
    headers = {**api.bob.by_key(), "idempotency-key": "slow"}
    first = (
        "INSERT INTO idempotency (team_id, key, request_hash, status, headers, body, created) "
        f"VALUES ({api.bob.team.team_id}, 'slow', '', 200, '[]', '', {api.clock()})"
    )
    async with locked(api.database, first):
        waited = await api.request("POST", "/v2/contact", {"first": "Alice"}, by=headers)
    again = await api.request("POST", "/v2/contact", {"first": "Alice"}, by=headers)

    assert (waited.status_code, waited.json()["error_code"]) == (409, "in_progress")
    assert again.status_code == 200
    assert "idempotent-replayed" not in again.headers


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
@pytest.mark.parametrize("key", [{}, {"idempotency-key": "held"}], ids=["no key", "key"])
async def test_a_write_to_a_contact_locked_for_too_long_gets_503(
    api: Api, key: dict[str, str]
) -> None:
    uuid = await api.contact()
    lock = f"SELECT id FROM contact WHERE uuid = '{uuid}' FOR UPDATE"
    body = {"channel_type": "phone", "channel_id": "15105553344"}
    headers = {**api.bob.by_key(), **key}

    async with locked(api.database, lock):
        refused = await api.request("POST", f"/v2/contact/{uuid}/channel", body, by=headers)
    again = await api.request("POST", f"/v2/contact/{uuid}/channel", body, by=headers)

    assert (refused.status_code, refused.json()["error_code"]) == (503, "contended")
    assert again.status_code == 200
    assert len(again.json()) == 1
