"""`reachbook migrate`."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from reachbook.storage import migrations
from reachbook.storage.postgres import citus
from reachbook.storage.postgres.connection import Connection
from tests.support import citus_stand_in
from tests.support.home import Home
from tests.support.raw_sql import beside

pytestmark = pytest.mark.anyio

NEWEST = migrations.newest("postgres")


@pytest.fixture
def bare(home: Home, empty_postgres: str) -> Home:
    """PostgreSQL with nothing in it."""
    return home.having(database=empty_postgres)


def test_it_works(bare: Home) -> None:
    bare = bare.as_process()
    first = bare.run("migrate").succeeded()
    second = bare.run("migrate").succeeded()

    assert first == f"The schema went from version 0 to {NEWEST}.\n"
    assert second == f"The schema is at version {NEWEST} already.\n"
    assert bare.json("team", "list") == []


def test_json_tells_the_versions(bare: Home) -> None:
    assert bare.json("migrate") == {"from": 0, "to": NEWEST}
    assert bare.json("migrate") == {"from": NEWEST, "to": NEWEST}


def test_a_new_sqlite_file_went_from_nothing_to_the_newest(home: Home) -> None:
    newest = migrations.newest("sqlite")

    assert home.json("migrate") == {"from": 0, "to": newest}
    assert home.json("migrate") == {"from": newest, "to": newest}


def test_of_several_at_once_one_migrates_and_the_others_wait(bare: Home) -> None:
    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(lambda _: bare.as_process().json("migrate"), range(3)))

    assert sorted(one["from"] for one in told) == [0, NEWEST, NEWEST]
    assert {one["to"] for one in told} == {NEWEST}


def test_other_commands_do_not_migrate_postgresql(bare: Home) -> None:
    for command in (["team", "list"], ["team", "create", "x"], ["key", "list"]):
        assert "reachbook migrate" in bare.run(*command).refusal()

    assert bare.json("migrate")["from"] == 0


async def test_who_may_not_make_tables_is_told_so(bare: Home, empty_postgres: str) -> None:
    """Since PostgreSQL 15 this is what a new role meets in a database that is not its own."""
    guest = await _role(empty_postgres, "guest")

    said = bare.having(database=guest).run("migrate").refusal()

    assert "the user of the database may not do this" in said


async def test_who_may_not_read_the_tables_is_told_so(bare: Home, empty_postgres: str) -> None:
    bare.run("migrate").succeeded()
    stranger = await _role(empty_postgres, "stranger")

    said = bare.having(database=stranger).run("team", "list").refusal()

    assert "the user of the database may not do this" in said


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_database_of_somebody_elses_is_left_alone(
    home: Home, empty_postgres: str, tmp_path: Path, engine: str
) -> None:
    """One with a table of a name that we use."""
    theirs = empty_postgres if engine == "postgres" else f"sqlite:///{tmp_path}/theirs.db"
    await beside(theirs)("CREATE TABLE contact (name text)")

    said = home.having(database=theirs).run("migrate").refusal()

    assert "contact" in said
    assert "database of its own" in said
    assert await beside(theirs)("SELECT name FROM contact") == []


def test_wrong_usage_exits_with_2(home: Home) -> None:
    assert "Usage: reachbook migrate" in home.run("migrate", "now").misuse()


async def _role(database: str, name: str) -> str:
    """The URL of the same database for a new role that has been granted nothing."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(f"CREATE ROLE {name} LOGIN")
    finally:
        await connection.close()
    as_owner = urlsplit(database)
    return urlunsplit(as_owner._replace(netloc=f"{name}@{as_owner.netloc.rpartition('@')[2]}"))


@pytest.fixture
async def distributing(bare: Home, empty_postgres: str, monkeypatch: pytest.MonkeyPatch) -> Home:
    """PostgreSQL with stand-ins for the functions of Citus, on which one worker is gone."""

    async def is_installed(_connection: Connection) -> bool:
        return True

    await citus_stand_in.install(empty_postgres)
    await beside(empty_postgres)("UPDATE stand_in_worker SET success = nodename = 'w1'")
    monkeypatch.setattr(citus, "is_installed", is_installed)
    return bare


async def test_it_says_what_was_distributed_and_what_is_left_to_run(distributing: Home) -> None:
    first = await asyncio.to_thread(distributing.run, "migrate")
    second = await asyncio.to_thread(distributing.json, "migrate")

    first_lines = first.succeeded().splitlines()
    assert first_lines[1].startswith("Distributed over the nodes of Citus: team, ")
    assert "Run as the owner of the database:" in first_lines[2]
    assert first_lines[3].startswith("    SELECT run_command_on_workers($$ ALTER DATABASE ")
    assert second["citus"] == {"distributed": [], "to_run": [first_lines[3].strip()]}
