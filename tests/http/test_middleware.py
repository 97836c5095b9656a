"""What surrounds every request: its id, and what is said when something of ours fails."""

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


async def with_id(fresh_api: Api, given: str | bytes) -> str:
    """The request id of an answer to a request that brings its own."""
    raw = given if isinstance(given, bytes) else given.encode()
    by = {**fresh_api.bob.by_key(), "x-request-id": raw}
    answer = await fresh_api.client.request("GET", "/v1/team", headers=by)  # type: ignore[arg-type]
    assert answer.status_code == 200
    return str(answer.headers["x-request-id"])


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
async def test_every_response_has_an_id(
    fresh_api: Api, method: str, path: str, status: int, authenticated: bool
) -> None:
    by = fresh_api.bob.by_key() if authenticated else {}

    made = await fresh_api.request(method, path, by=by)
    echoed = await fresh_api.request(method, path, by={**by, "x-request-id": "mine"})

    assert (made.status_code, echoed.status_code) == (status, status)
    assert str(UUID(made.headers["x-request-id"])) == made.headers["x-request-id"]
    assert echoed.headers.get_list("x-request-id") == ["mine"]
    if echoed.content and status != 200:
        assert made.json()["request_id"] == made.headers["x-request-id"]
        assert echoed.json()["request_id"] == "mine"


async def test_no_two_requests_get_the_same_id(fresh_api: Api) -> None:
    ids = {(await fresh_api.request("GET", "/nowhere")).headers["x-request-id"] for _ in range(20)}

    assert len(ids) == 20


@pytest.mark.parametrize("given", ["a", "x" * 128, VISIBLE, '"\\', "<script>"])
async def test_visible_ascii_comes_back(fresh_api: Api, given: str) -> None:
    assert await with_id(fresh_api, given) == given


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
async def test_anything_else_gets_a_new_id(fresh_api: Api, given: str | bytes) -> None:
    made = await with_id(fresh_api, given)

    assert str(UUID(made)) == made


# ── what fails on our side ───────────────────────────────────────────────────────────────────


def broken() -> int:
    raise RuntimeError("the clock fell off the wall")


async def test_a_bug_is_a_500_without_a_stack_trace(fresh_api: Api) -> None:
    uuid = await fresh_api.contact()
    before: AppState = fresh_api.app.state.state
    fresh_api.app.state.state = AppState(
        Service(fresh_api.store, TeamKeys(fresh_api.store, (MASTER_KEY,)), broken),
        before.access,
        before.rate_limiter,
        before.metrics,
        before.incarnation,
    )

    answer = await fresh_api.request("POST", f"/v2/contact/{uuid}/channel", PHONE)

    assert answer.status_code == 500
    said = answer.json()
    assert (said["error"], said["error_code"]) == ("server_error", "server_error")
    assert said["request_id"] == answer.headers["x-request-id"]
    for told in ("Traceback", "RuntimeError", "clock", ".py"):
        assert told not in answer.text
    fresh_api.app.state.state = before
    assert (await fresh_api.request("GET", f"/v2/contact/{uuid}/channels")).json() == []


async def beside(fresh_api: Api, *statements: str) -> None:
    """Run statements on the PostgreSQL server, outside the database of the API."""
    outside = await asyncpg.connect(with_name(fresh_api.database, "postgres"))
    try:
        for statement in statements:
            await outside.execute(statement)
    finally:
        await outside.close()


async def fill(fresh_api: Api) -> None:
    """SQLite may take no more pages; PostgreSQL is not there any more."""
    if isinstance(fresh_api.store.engine, Sqlite):
        await fresh_api.store.engine._writer.run(_full)
    else:
        name = urlsplit(fresh_api.database).path[1:]
        await beside(fresh_api, f"DROP DATABASE {name} WITH (FORCE)")


def _full(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA max_page_count = 1")


async def until_refused(fresh_api: Api, uuid: str) -> httpx.Response:
    """The first refusal; what still fits is taken."""
    for number in range(2000):
        wanted = {"channel_type": "facebook", "channel_id": f"{number:0255d}"}
        answer = await fresh_api.request("POST", f"/v2/contact/{uuid}/channel", wanted)
        if answer.status_code != 200:
            return answer
    raise AssertionError("the store took everything")


async def test_a_store_that_is_full_or_away_is_a_503(fresh_api: Api) -> None:
    uuid = await fresh_api.contact()
    await fill(fresh_api)

    answer = await until_refused(fresh_api, uuid)

    assert answer.status_code == 503
    said = answer.json()
    assert (said["error"], said["error_code"]) == ("unavailable", "store_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert said["request_id"] == answer.headers["x-request-id"]
    assert fresh_api.database not in answer.text


async def test_nothing_is_half_done_when_the_store_is_full(fresh_api: Api) -> None:
    if not isinstance(fresh_api.store.engine, Sqlite):
        pytest.skip("PostgreSQL is away in the test above, and cannot be asked what it kept")
    uuid = await fresh_api.contact()
    await fill(fresh_api)

    await until_refused(fresh_api, uuid)

    contact = (await fresh_api.request("GET", f"/v2/contact/{uuid}")).json()
    assert contact["rev"] == 1 + len(contact["contact_channels"])


async def test_a_database_that_is_closed_for_maintenance_is_a_503(fresh_api: Api) -> None:
    if isinstance(fresh_api.store.engine, Sqlite):
        pytest.skip("a SQLite file cannot be closed to its own process")
    name = urlsplit(fresh_api.database).path[1:]
    uuid = await fresh_api.contact()
    await beside(
        fresh_api,
        f"ALTER DATABASE {name} ALLOW_CONNECTIONS false",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
    )

    statuses = {
        (await fresh_api.request("GET", f"/v2/contact/{uuid}")).status_code for _ in range(3)
    }

    assert statuses == {503}
