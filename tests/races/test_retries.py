"""Retries with an Idempotency-Key: one effect each, whatever dies in between."""

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
from tests.support.raw_sql import beside, locked
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
    """The requests that wait, and the responses of each key."""

    waiting: deque[int]
    answers: defaultdict[int, list[Response]] = field(default_factory=lambda: defaultdict(list))
    cut: int = 0

    async def work(self, client: Client) -> None:
        """Send until no request waits or the server is killed; lost requests are sent again."""
        while self.waiting:
            number = self.waiting.popleft()
            method, path, body = _request(number)
            try:
                answer = await client.request(method, path, body, idempotency_key=f"key-{number}")
            except ConnectionLostError:
                self.cut += 1
                self.waiting.append(number)
                return
            if answer.status == 409 and answer.json()["error_code"] == "in_progress":
                self.waiting.append(number)
                continue
            assert answer.status == 200, answer.body
            self.answers[number].append(answer)


def _request(number: int) -> tuple[str, str, object]:
    """A write that is not repeatable by itself; every other one through resolve."""
    if number % 2:
        return "POST", "/v2/contact", {"first": f"Person {number}"}
    create = {"first": f"Person {number}"}
    return "POST", "/x/resolve", {"channel_id": f"1510555{number:04d}", "create": create}


async def test_it_works(database: str, tmp_path: Path) -> None:
    """Many retries under each key, side by side, with the server killed while they wait."""
    key = await create_api_key(database)
    chosen = [number for number in range(KEYS) for _ in range(RETRIES)]
    random.Random(4).shuffle(chosen)
    retries = Retries(deque(chosen))
    async with asyncio.timeout(PATIENCE_SECONDS):
        for kill in range(KILLS + 1):
            left = len(chosen) * (KILLS - kill) // (KILLS + 1)
            await _until_killed(tmp_path, database, key, retries, left)

    assert retries.cut >= KILLS
    assert not retries.waiting
    for number in range(KEYS):
        told = retries.answers[number]
        assert len(told) == RETRIES
        assert len({one.body for one in told}) == 1
        assert sum("idempotent-replayed" not in one.headers for one in told) <= 1
    for table in ("contact", "event", "idempotency"):
        assert await beside(database)(f"SELECT count(*) FROM {table}") == [(KEYS,)]


async def _until_killed(
    directory: Path, database: str, key: str, retries: Retries, left: int
) -> None:
    """Serve until no more than `left` wait, then die at once; at 0 everything is answered."""
    async with serving_async(directory, database, *worker_arguments(database)) as server:
        some = [Client(server.port, key) for _ in range(CLIENTS)]
        working = [asyncio.create_task(retries.work(one)) for one in some]
        if left:
            await wait_until_async(
                lambda: len(retries.waiting) <= left, PATIENCE_SECONDS, "many are answered"
            )
            await asyncio.to_thread(server.kill)
        await asyncio.gather(*working)
        for one in some:
            one.close()


async def test_a_concurrent_duplicate_waits_and_replays(api: Api) -> None:
    headers = {**api.bob.by_key(), "idempotency-key": "one"}
    answers = await asyncio.gather(
        *(api.request("POST", "/v2/contact", {"first": "Alice"}, by=headers) for _ in range(8))
    )

    assert {one.status_code for one in answers} == {200}
    assert len({one.content for one in answers}) == 1
    assert len({one.headers["etag"] for one in answers}) == 1
    assert sum("idempotent-replayed" not in one.headers for one in answers) == 1


async def test_concurrent_requests_that_differ_share_no_key(api: Api) -> None:
    """One of two different requests has its effect; the other is told that the key is used."""
    headers = {**api.bob.by_key(), "idempotency-key": "two"}
    answers = await asyncio.gather(
        *(api.request("POST", "/v2/contact", {"first": name}, by=headers) for name in ("A", "B"))
    )

    assert sorted(one.status_code for one in answers) == [200, 422]


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
async def test_a_duplicate_that_does_not_end_in_time_is_in_progress(api: Api) -> None:
    """On SQLite every write waits in one queue, so that a duplicate is never beside the first."""
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
async def test_a_contact_that_somebody_holds_too_long_is_contended(
    api: Api, key: dict[str, str]
) -> None:
    uuid = await api.contact()
    hold = f"SELECT id FROM contact WHERE uuid = '{uuid}' FOR UPDATE"
    body = {"channel_type": "phone", "channel_id": "15105553344"}
    headers = {**api.bob.by_key(), **key}

    async with locked(api.database, hold):
        refused = await api.request("POST", f"/v2/contact/{uuid}/channel", body, by=headers)
    again = await api.request("POST", f"/v2/contact/{uuid}/channel", body, by=headers)

    assert (refused.status_code, refused.json()["error_code"]) == (503, "contended")
    assert again.status_code == 200
    assert len(again.json()) == 1
