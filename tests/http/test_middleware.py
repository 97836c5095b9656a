"""Middleware: the request id, and the responses to internal errors."""

from __future__ import annotations

from urllib.parse import urlsplit
from uuid import UUID

import apsw
import asyncpg
import httpx
import pytest

from reachbook.http.state import AppState
from reachbook.service import Service, TeamKeys
from reachbook.storage.sqlite.engine import Sqlite
from tests.conftest import with_name
from tests.support.personas import MASTER_KEY, NOBODY, Api

pytestmark = pytest.mark.anyio

VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
PHONE = {"channel_type": "phone", "channel_id": "15105553344"}


async def request_with_id(fresh_api: Api, given: str | bytes) -> str:
    """Sends a request with an id, and returns the id of the response."""
    raw = given if isinstance(given, bytes) else given.encode()
    by = {**fresh_api.bob.by_key(), "x-request-id": raw}
    response = await fresh_api.client.request("GET", "/v1/team", headers=by)  # type: ignore[arg-type]
    assert response.status_code == 200
    return str(response.headers["x-request-id"])


@pytest.mark.parametrize(
    ("method", "path", "status", "authenticated"),
    [
        ("GET", "/v1/team", 200, True),
        ("HEAD", "/v1/team", 200, True),
        ("OPTIONS", "/v1/team", 204, False),
        ("POST", "/v2/contact/1/channel", 400, True),
        ("GET", "/v1/team", 401, False),
        ("GET", f"/v2/contact/{NOBODY}/channels", 404, True),
        ("GET", "/nowhere", 404, False),
        ("HEAD", "/nowhere", 404, False),
        ("GET", "/v1/team/", 404, False),
        ("DELETE", "/v1/team", 405, False),
    ],
)
async def test_every_response_has_a_request_id(
    fresh_api: Api, method: str, path: str, status: int, authenticated: bool
) -> None:
    by = fresh_api.bob.by_key() if authenticated else {}

    generated = await fresh_api.request(method, path, by=by)
    echoed = await fresh_api.request(method, path, by={**by, "x-request-id": "mine"})

    assert (generated.status_code, echoed.status_code) == (status, status)
    assert str(UUID(generated.headers["x-request-id"])) == generated.headers["x-request-id"]
    assert echoed.headers.get_list("x-request-id") == ["mine"]
    if echoed.content and status != 200:
        assert generated.json()["request_id"] == generated.headers["x-request-id"]
        assert echoed.json()["request_id"] == "mine"


async def test_generated_request_ids_are_unique(fresh_api: Api) -> None:
    ids = {(await fresh_api.request("GET", "/nowhere")).headers["x-request-id"] for _ in range(20)}

    assert len(ids) == 20


@pytest.mark.parametrize("given", ["a", "x" * 128, VISIBLE, '"\\', "<script>"])
async def test_a_request_id_of_visible_ascii_is_returned(fresh_api: Api, given: str) -> None:
    assert await request_with_id(fresh_api, given) == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "x" * 129,
        "a b",
        "a\tb",
        "\x7f",
        "é",
        b"\xff",
        "a\n",
        "a\r\nset-cookie: a=b",
        "\x00",
    ],
)
async def test_any_other_request_id_is_replaced(fresh_api: Api, given: str | bytes) -> None:
    generated = await request_with_id(fresh_api, given)

    assert str(UUID(generated)) == generated


# ── internal errors ──────────────────────────────────────────────────────────────────────────


def failing_clock() -> int:
    raise RuntimeError("the clock fell off the wall")


async def test_a_bug_is_a_500_without_a_stack_trace(fresh_api: Api) -> None:
    uuid = await fresh_api.contact()
    before: AppState = fresh_api.app.state.state
    fresh_api.app.state.state = AppState(
        Service(fresh_api.store, TeamKeys(fresh_api.store, (MASTER_KEY,)), failing_clock),
        before.authenticator,
        before.rate_limiter,
        before.metrics,
        before.incarnation,
    )

    response = await fresh_api.request("POST", f"/v2/contact/{uuid}/channel", PHONE)

    assert response.status_code == 500
    error = response.json()
    assert (error["error"], error["error_code"]) == ("server_error", "server_error")
    assert error["request_id"] == response.headers["x-request-id"]
    for secret in ("Traceback", "RuntimeError", "clock", ".py"):
        assert secret not in response.text
    fresh_api.app.state.state = before
    assert (await fresh_api.request("GET", f"/v2/contact/{uuid}/channels")).json() == []


async def execute_outside(fresh_api: Api, *statements: str) -> None:
    """Run statements on the PostgreSQL server, outside the database of the API."""
    outside = await asyncpg.connect(with_name(fresh_api.database, "postgres"))
    try:
        for statement in statements:
            await outside.execute(statement)
    finally:
        await outside.close()


async def make_unavailable(fresh_api: Api) -> None:
    """Limits SQLite to its current pages, or drops the PostgreSQL database."""
    if isinstance(fresh_api.store.engine, Sqlite):
        await fresh_api.store.engine._writer.run(_limit_pages)
    else:
        name = urlsplit(fresh_api.database).path[1:]
        await execute_outside(fresh_api, f"DROP DATABASE {name} WITH (FORCE)")


def _limit_pages(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1")


async def write_until_refused(fresh_api: Api, uuid: str) -> httpx.Response:
    """Adds channels until a response is an error, and returns that response."""
    for number in range(2000):
        wanted = {"channel_type": "facebook", "channel_id": f"{number:0255d}"}
        response = await fresh_api.request("POST", f"/v2/contact/{uuid}/channel", wanted)
        if response.status_code != 200:
            return response
    raise AssertionError("the store accepted everything")


async def test_a_store_that_is_full_or_missing_is_a_503(fresh_api: Api) -> None:
    uuid = await fresh_api.contact()
    await make_unavailable(fresh_api)

    response = await write_until_refused(fresh_api, uuid)

    assert response.status_code == 503
    error = response.json()
    assert (error["error"], error["error_code"]) == ("unavailable", "store_unavailable")
    assert int(response.headers["retry-after"]) >= 1
    assert error["request_id"] == response.headers["x-request-id"]
    assert fresh_api.database not in response.text


async def test_no_write_is_partial_when_the_store_is_full(fresh_api: Api) -> None:
    if not isinstance(fresh_api.store.engine, Sqlite):
        pytest.skip("the PostgreSQL database is dropped, so its contents cannot be checked")
    uuid = await fresh_api.contact()
    await make_unavailable(fresh_api)

    await write_until_refused(fresh_api, uuid)

    contact = (await fresh_api.request("GET", f"/v2/contact/{uuid}")).json()
    assert contact["rev"] == 1 + len(contact["contact_channels"])


async def test_a_database_that_is_closed_for_maintenance_is_a_503(fresh_api: Api) -> None:
    if isinstance(fresh_api.store.engine, Sqlite):
        pytest.skip("a SQLite file cannot be closed to its own process")
    name = urlsplit(fresh_api.database).path[1:]
    uuid = await fresh_api.contact()
    await execute_outside(
        fresh_api,
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )

    statuses = {
        (await fresh_api.request("GET", f"/v2/contact/{uuid}")).status_code for _ in range(3)
    }

    assert statuses == {503}
