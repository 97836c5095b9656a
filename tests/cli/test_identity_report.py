"""The migrations of identities and names by real processes, on a store of the previous release."""

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
from tests.support.raw_sql import beside
from tests.support.waiting import wait_until

MANY = 3_000
PAIR = [
    Planted(1, "telegram", "ann", "ann", CREATED + 1),
    Planted(2, "telegram", "@Ann", "@Ann"),
    Planted(3, "phone", "6465550123", "6465550123"),
    Planted(4, "whatsapp", "447700900401 (work)", "447700900401 (work)"),
]


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """The home of an empty store; the tests plant the store of an older release."""
    database = f"sqlite:///{tmp_path}/data/reachbook.db"
    if request.param == "postgres":
        database = str(request.getfixturevalue("empty_postgres"))
    return Home(tmp_path / "data").having(database=database)


def rows(home: Home, statement: str) -> list[tuple[Any, ...]]:
    async def run() -> list[tuple[Any, ...]]:
        return await beside(home.database)(statement)

    return asyncio.run(run())


def fill(home: Home, channels: list[Planted], region: str | None = None) -> None:
    home.directory.mkdir(parents=True, exist_ok=True)
    asyncio.run(plant(home.database, channels, region))


def is_postgres(home: Home) -> bool:
    return home.database.startswith("postgres")


def test_it_works(old: Home) -> None:
    """The report, the doctor's report, and both channels of a pair over HTTP."""
    fill(old, PAIR, "US")

    report = old.json("migrate")["identities"]
    again = old.json("migrate")

    assert "identities" not in again
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
    found = old.run("doctor", "--json")
    shared = [one for one in json.loads(found.out) if one["kind"] == "shared_address"]
    assert [one["contact_id"] for one in shared] == [uuid(1)]
    assert uuid(2) in shared[0]["what"]
    key = old.json("key", "create", "--team", "1")["api_key"]
    with old.serve() as server, server.client(key) as client:
        both_are_reached(client)
        an_address_that_is_refused_now_is_reached(client)
    assert old.json("doctor") == []


def both_are_reached(client: httpx.Client) -> None:
    """Each channel is found by its stored value; neither can take the other's."""
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


def an_address_that_is_refused_now_is_reached(client: httpx.Client) -> None:
    path = f"/v2/contact/{uuid(4)}/channel/whatsapp"
    named = {"channel_id": "447700900401 (work)"}
    assert client.get(path, params=named).json()["channel_id"] == named["channel_id"]
    assert client.get(path, params={"channel_id": "447700900401 (home)"}).status_code == 400
    nobody = f"/v2/contact/{uuid(99)}/channel/whatsapp"
    for method in ("GET", "DELETE"):
        assert client.request(method, nobody, params=named).status_code == 400
    assert client.delete(path, params=named).status_code == 200


def test_a_person_reads_the_report(old: Home) -> None:
    fill(old, PAIR, "US")

    said = old.run("migrate").succeeded()

    assert f"@Ann of contact {uuid(2)} keeps it; ann of contact {uuid(1)}" in said
    assert "Addresses that are refused now, and keep their identity: 1." in said
    assert "Team 1: 1 numbers read differently" in said
    assert "The names of 4 contacts were indexed." in said


def test_a_migration_that_is_killed_goes_on(old: Home) -> None:
    """After kill -9 between batches, nothing is lost and nothing is migrated twice."""
    names = [f"{'@' * (n % 2)}User{n // 2}" for n in range(2, MANY + 2)]
    fill(old, [Planted(n, "telegram", name, name) for n, name in enumerate(names, 1)])
    cursor = "SELECT value FROM store_info WHERE name = 'identity_cursor'"
    process = subprocess.Popen([PROGRAM, "migrate"], env=old.environment)

    def has_begun() -> bool:
        try:
            return bool(rows(old, cursor)[0][0])
        except Exception:  # noqa: BLE001 - the table is not there yet
            return False

    wait_until(has_begun, 30)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    version = "SELECT value FROM store_info WHERE name = 'identity_version'"
    assert rows(old, version) == [("1",)]
    assert "reachbook migrate" in old.run("team", "list").refusal()

    report = old.json("migrate")["identities"]

    assert rows(old, version) == [(str(IDENTITY_VERSION),)]
    found = rows(old, "SELECT id, channel_id, identity FROM contact_channel ORDER BY id")
    assert [row[:2] for row in found] == list(enumerate(names, 1))
    assert [row[2] for row in found] == [
        stand_in(n) if n % 2 == 0 else f"user{(n + 1) // 2}" for n in range(1, MANY + 1)
    ]
    assert report["collision_count"] == MANY // 2


def test_an_index_of_names_that_is_killed_goes_on(old: Home) -> None:
    """After kill -9 between batches, every contact has its words."""
    fill(old, [Planted(n, "phone", f"1510{n:07}", f"1510{n:07}") for n in range(1, MANY + 1)])
    rows(old, "UPDATE contact SET first = 'Person', last = 'No. ' || id")
    cursor = "SELECT value FROM store_info WHERE name = 'names_cursor'"
    process = subprocess.Popen([PROGRAM, "migrate"], env=old.environment)

    def has_begun() -> bool:
        try:
            return len(rows(old, cursor)[0][0]) > len("{}")
        except Exception:  # noqa: BLE001 - the table is not there yet
            return False

    wait_until(has_begun, 30)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    assert rows(old, cursor) != [("",)]

    assert old.json("migrate")["names"] == {"contacts": MANY}

    assert rows(old, cursor) == [("",)]
    counts = "SELECT count(*), count(DISTINCT contact_id) FROM contact_name"
    assert rows(old, counts) == [(3 * MANY, MANY)]
    assert "names" not in old.json("migrate")


def test_it_does_not_start_while_the_store_is_in_use(old: Home) -> None:
    fill(old, PAIR)
    if is_postgres(old):
        refused = asyncio.run(migrate_beside_a_session(old))
        assert "stop every process" in refused
    else:
        served = old.directory / "reachbook.db.serving"
        with served.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert "is being served" in old.run("migrate").refusal()
    [[version]] = rows(old, "SELECT max(version) FROM schema_version")
    assert version == 4

    old.run("migrate").succeeded()


async def migrate_beside_a_session(home: Home) -> str:
    session = await asyncpg.connect(
        home.database, server_settings={"application_name": "reachbook"}
    )
    try:
        return (await asyncio.to_thread(home.run, "migrate")).refusal()
    finally:
        await session.close()


def test_serve_migrates_sqlite_and_waits_for_postgresql(old: Home) -> None:
    """On PostgreSQL a server of the new release answers 503 until the migration is done."""
    fill(old, PAIR)
    if not is_postgres(old):
        with old.serve() as server:
            assert httpx.get(f"{server.url}/readyz").status_code == 200
        assert rows(old, "SELECT identity FROM contact_channel WHERE id = 2") == [("ann",)]
        return
    old.run("migrate").succeeded()
    _, api_key = old.team_with_key()
    asyncio.run(set_version(old, "1"))
    with old.serve() as server, server.client(api_key) as client:
        for path in ("/readyz", "/v1/team", f"/v2/contact/{uuid(1)}", "/x/events"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error_code"]) == (503, "store_unfit"), path
            assert "reachbook migrate" in answer.json()["message"]
            assert answer.headers["retry-after"]
        assert client.get("/healthz").status_code == 200
        asyncio.run(set_version(old, str(IDENTITY_VERSION)))
        assert client.get("/readyz").status_code == 200
        assert client.get("/v1/team").status_code == 200


async def set_version(home: Home, version: str) -> None:
    statement = f"UPDATE store_info SET value = '{version}' WHERE name = 'identity_version'"
    await beside(home.database)(statement)
