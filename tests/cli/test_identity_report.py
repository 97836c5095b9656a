"""Migrating identities and names of the previous release, in separate processes."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from reachbook.domain.address.parsing import IDENTITY_VERSION, stand_in
from tests.support.commands import PROGRAM
from tests.support.home import Home
from tests.support.previous_release import CREATED, Planted, plant, uuid
from tests.support.raw_sql import sql_runner
from tests.support.waiting import wait_until

MANY = 3_000
PAIR = [
    Planted(1, "telegram", "ann", "ann", CREATED + 1),
    Planted(2, "telegram", "@Ann", "@Ann"),
    Planted(3, "phone", "6465550123", "6465550123"),
    Planted(4, "whatsapp", "447700900401 (work)", "447700900401 (work)"),
]


@pytest.fixture(params=["sqlite", "postgres"])
def old_home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A data directory with an empty database, for rows of the previous release."""
    database = f"sqlite:///{tmp_path}/data/reachbook.db"
    if request.param == "postgres":
        database = str(request.getfixturevalue("empty_postgres"))
    return Home(tmp_path / "data").having(database=database)


def query(home: Home, statement: str) -> list[tuple[Any, ...]]:
    async def run() -> list[tuple[Any, ...]]:
        return await sql_runner(home.database)(statement)

    return asyncio.run(run())


def plant_channels(home: Home, channels: list[Planted], region: str | None = None) -> None:
    home.directory.mkdir(parents=True, exist_ok=True)
    asyncio.run(plant(home.database, channels, region))


def is_postgres(home: Home) -> bool:
    return home.database.startswith("postgres")


def test_migrate_reports_collisions_and_both_channels_remain_reachable(old_home: Home) -> None:
    """The doctor reports the same pair, and both channels are reachable over HTTP."""
    plant_channels(old_home, PAIR, "US")

    report = old_home.json("migrate")["identities"]
    second = old_home.json("migrate")

    assert "identities" not in second
    assert (report["channels"], report["refused"], report["collision_count"]) == (4, 1, 1)
    assert report["collisions"] == [
        {
            "team_id": 1,
            "channel_type": "telegram",
            "keeper": {"contact_id": uuid(2), "id": 2, "channel_id": "@Ann"},
            "other": {"contact_id": uuid(1), "id": 1, "channel_id": "ann"},
        }
    ]
    [reading] = report["read_differently"]
    assert (reading["team_id"], reading["region"], reading["count"]) == (1, "US", 1)
    found = old_home.run("doctor", "--json")
    shared = [finding for finding in json.loads(found.out) if finding["kind"] == "shared_address"]
    assert [finding["contact_id"] for finding in shared] == [uuid(1)]
    assert uuid(2) in shared[0]["what"]
    key = old_home.json("key", "create", "--team", "1")["api_key"]
    with old_home.serve() as server, server.client(key) as client:
        assert_both_are_reachable(client)
        assert_a_now_invalid_address_is_reachable(client)
    assert old_home.json("doctor") == []


def assert_both_are_reachable(client: httpx.Client) -> None:
    """Each channel is found by its stored value, and a write to one leaves the other unchanged."""
    for number, name in ((1, "ann"), (2, "@Ann")):
        path = f"/v2/contact/{uuid(number)}/channel"
        found = client.get(f"{path}/telegram", params={"channel_id": name})
        assert (found.status_code, found.json()["channel_id"]) == (200, name)
        for method in ("POST", "PUT"):
            body = {"channel_type": "telegram", "channel_id": name, "channel_handle": method}
            changed = client.request(method, path, json=body)
            assert changed.status_code == 200, changed.text
            [channel] = changed.json() if isinstance(changed.json(), list) else [changed.json()]
            assert (channel["channel_id"], channel["channel_handle"]) == (name, method)
    stranger = client.post("/v2/contact", json={}).json()["uuid"]
    body = {"channel_type": "telegram", "channel_id": "ANN"}
    taken = client.post(f"/v2/contact/{stranger}/channel", json=body)
    assert taken.json()["conflicting_contact_id"] == uuid(2)
    path = f"/v2/contact/{uuid(1)}/channel/telegram"
    assert client.delete(path, params={"channel_id": "ann"}).status_code == 200
    assert client.get(f"/v2/contact/{uuid(2)}/channel/telegram").status_code == 200


def assert_a_now_invalid_address_is_reachable(client: httpx.Client) -> None:
    path = f"/v2/contact/{uuid(4)}/channel/whatsapp"
    named = {"channel_id": "447700900401 (work)"}
    assert client.get(path, params=named).json()["channel_id"] == named["channel_id"]
    assert client.get(path, params={"channel_id": "447700900401 (home)"}).status_code == 400
    unknown = f"/v2/contact/{uuid(99)}/channel/whatsapp"
    for method in ("GET", "DELETE"):
        assert client.request(method, unknown, params=named).status_code == 400
    assert client.delete(path, params=named).status_code == 200


def test_the_report_is_printed_as_text(old_home: Home) -> None:
    plant_channels(old_home, PAIR, "US")

    output = old_home.run("migrate").succeeded()

    assert f"@Ann of contact {uuid(2)} keeps it; ann of contact {uuid(1)}" in output
    assert "Addresses that are refused now, and keep their identity: 1." in output
    assert "Team 1: 1 numbers are read differently" in output
    assert "The names of 4 contacts were indexed." in output


def test_a_killed_identity_migration_is_resumed(old_home: Home) -> None:
    """After kill -9 between batches, nothing is lost and nothing is migrated twice."""
    names = [f"{'@' * (n % 2)}User{n // 2}" for n in range(2, MANY + 2)]
    plant_channels(
        old_home, [Planted(n, "telegram", name, name) for n, name in enumerate(names, 1)]
    )
    cursor = "SELECT value FROM store_info WHERE name = 'identity_cursor'"
    process = subprocess.Popen([PROGRAM, "migrate"], env=old_home.environment)

    def has_begun() -> bool:
        try:
            return bool(query(old_home, cursor)[0][0])
        except Exception:  # noqa: BLE001 - the table is not there yet
            return False

    wait_until(has_begun, 30)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    version = "SELECT value FROM store_info WHERE name = 'identity_version'"
    assert query(old_home, version) == [("1",)]
    assert "reachbook migrate" in old_home.run("team", "list").refusal()

    report = old_home.json("migrate")["identities"]

    assert query(old_home, version) == [(str(IDENTITY_VERSION),)]
    found = query(old_home, "SELECT id, channel_id, identity FROM contact_channel ORDER BY id")
    assert [row[:2] for row in found] == list(enumerate(names, 1))
    assert [row[2] for row in found] == [
        stand_in(n) if n % 2 == 0 else f"user{(n + 1) // 2}" for n in range(1, MANY + 1)
    ]
    assert report["collision_count"] == MANY // 2


def test_a_killed_name_index_is_resumed(old_home: Home) -> None:
    """After kill -9 between batches, every contact's words are indexed."""
    plant_channels(
        old_home, [Planted(n, "phone", f"1510{n:07}", f"1510{n:07}") for n in range(1, MANY + 1)]
    )
    query(old_home, "UPDATE contact SET first = 'Person', last = 'No. ' || id")
    cursor = "SELECT value FROM store_info WHERE name = 'names_cursor'"
    process = subprocess.Popen([PROGRAM, "migrate"], env=old_home.environment)

    def has_begun() -> bool:
        try:
            return len(query(old_home, cursor)[0][0]) > len("{}")
        except Exception:  # noqa: BLE001 - the table is not there yet
            return False

    wait_until(has_begun, 30)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert query(old_home, cursor) != [("",)]

    assert old_home.json("migrate")["names"] == {"contacts": MANY}

    assert query(old_home, cursor) == [("",)]
    counts = "SELECT count(*), count(DISTINCT contact_id) FROM contact_name"
    assert query(old_home, counts) == [(3 * MANY, MANY)]
    assert "names" not in old_home.json("migrate")


def test_migrate_is_refused_while_the_database_is_in_use(old_home: Home) -> None:
    plant_channels(old_home, PAIR)
    if is_postgres(old_home):
        message = asyncio.run(migrate_beside_a_session(old_home))
        assert "stop every process" in message
    else:
        served = old_home.directory / "reachbook.db.serving"
        with served.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert "is being served" in old_home.run("migrate").refusal()
    [[version]] = query(old_home, "SELECT max(version) FROM schema_version")
    assert version == 4

    old_home.run("migrate").succeeded()


async def migrate_beside_a_session(home: Home) -> str:
    session = await asyncpg.connect(
        home.database, server_settings={"application_name": "reachbook"}
    )
    try:
        return (await asyncio.to_thread(home.run, "migrate")).refusal()
    finally:
        await session.close()


def test_serve_migrates_sqlite_but_not_postgresql(old_home: Home) -> None:
    """On PostgreSQL a server of the new release responds with 503 until the migration is done."""
    plant_channels(old_home, PAIR)
    if not is_postgres(old_home):
        with old_home.serve() as server:
            assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert query(old_home, "SELECT identity FROM contact_channel WHERE id = 2") == [("ann",)]
        return
    old_home.run("migrate").succeeded()
    _, api_key = old_home.team_with_key()
    asyncio.run(set_version(old_home, "1"))
    with old_home.serve() as server, server.client(api_key) as client:
        for path in ("/readyz", "/v1/team", f"/v2/contact/{uuid(1)}", "/x/events"):
            response = client.get(path)
            assert (response.status_code, response.json()["error_code"]) == (503, "store_unfit"), (
                path
            )
            assert "reachbook migrate" in response.json()["message"]
            assert response.headers["retry-after"]
        assert client.get("/healthz").status_code == 200
        asyncio.run(set_version(old_home, str(IDENTITY_VERSION)))
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/team").status_code == 200


async def set_version(home: Home, version: str) -> None:
    statement = f"UPDATE store_info SET value = '{version}' WHERE name = 'identity_version'"
    await sql_runner(home.database)(statement)
