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
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

NEWEST = migrations.newest("postgres")


@pytest.fixture
def empty_home(home: Home, empty_postgres: str) -> Home:
    """An empty PostgreSQL database."""
    return home.having(database=empty_postgres)


def test_migrate_creates_the_schema_once(empty_home: Home) -> None:
    empty_home = empty_home.as_process()
    first = empty_home.run("migrate").succeeded()
    second = empty_home.run("migrate").succeeded()

    assert first == f"The schema was migrated from version 0 to {NEWEST}.\n"
    assert second == f"The schema is at version {NEWEST} already.\n"
    assert empty_home.json("team", "list") == []


def test_json_output_has_both_schema_versions(empty_home: Home) -> None:
    assert empty_home.json("migrate") == {"from": 0, "to": NEWEST}
    assert empty_home.json("migrate") == {"from": NEWEST, "to": NEWEST}


def test_a_new_sqlite_file_is_migrated_from_version_0_to_the_newest(home: Home) -> None:
    newest = migrations.newest("sqlite")

    assert home.json("migrate") == {"from": 0, "to": newest}
    assert home.json("migrate") == {"from": newest, "to": newest}


def test_concurrent_migrations_wait_for_the_first(empty_home: Home) -> None:
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda _: empty_home.as_process().json("migrate"), range(3)))

    assert sorted(report["from"] for report in reports) == [0, NEWEST, NEWEST]
    assert {report["to"] for report in reports} == {NEWEST}


def test_other_commands_do_not_migrate_postgresql(empty_home: Home) -> None:
    for command in (["team", "list"], ["team", "create", "x"], ["key", "list"]):
        assert "reachbook migrate" in empty_home.run(*command).refusal()

    assert empty_home.json("migrate")["from"] == 0


async def test_migrate_by_a_role_without_create_permission_is_refused(
    empty_home: Home, empty_postgres: str
) -> None:
    """Since PostgreSQL 15 a new role may not create tables in the schema `public`."""
    guest = await _role(empty_postgres, "guest")

    message = empty_home.having(database=guest).run("migrate").refusal()

    assert "the user of the database may not do this" in message


async def test_a_command_by_a_role_without_select_permission_is_refused(
    empty_home: Home, empty_postgres: str
) -> None:
    empty_home.run("migrate").succeeded()
    stranger = await _role(empty_postgres, "stranger")

    message = empty_home.having(database=stranger).run("team", "list").refusal()

    assert "the user of the database may not do this" in message


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_a_database_of_another_application_is_refused_and_unchanged(
    home: Home, empty_postgres: str, tmp_path: Path, engine: str
) -> None:
    """It has a table with the name of one of ours."""
    theirs = empty_postgres if engine == "postgres" else f"sqlite:///{tmp_path}/theirs.db"
    await sql_runner(theirs)("CREATE TABLE contact (name text)")

    message = home.having(database=theirs).run("migrate").refusal()

    assert "contact" in message
    assert "database of its own" in message
    assert await sql_runner(theirs)("SELECT name FROM contact") == []


def test_wrong_usage_exits_with_2(home: Home) -> None:
    assert "Usage: reachbook migrate" in home.run("migrate", "now").misuse()


async def _role(database: str, name: str) -> str:
    """Create a role without privileges, and return the URL of the same database for it."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(f"CREATE ROLE {name} LOGIN")
    finally:
        await connection.close()
    as_owner = urlsplit(database)
    return urlunsplit(as_owner._replace(netloc=f"{name}@{as_owner.netloc.rpartition('@')[2]}"))


@pytest.fixture
async def citus_home(
    empty_home: Home, empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> Home:
    """PostgreSQL with stand-ins for the functions of Citus, where one worker node fails."""

    async def is_installed(_connection: Connection) -> bool:
        return True

    await citus_stand_in.install(empty_postgres)
    await sql_runner(empty_postgres)("UPDATE stand_in_worker SET success = nodename = 'w1'")
    monkeypatch.setattr(citus, "is_installed", is_installed)
    return empty_home


async def test_migrate_prints_the_distributed_tables_and_the_statements_left_to_run(
    citus_home: Home,
) -> None:
    first = await asyncio.to_thread(citus_home.run, "migrate")
    second = await asyncio.to_thread(citus_home.json, "migrate")

    first_lines = first.succeeded().splitlines()
    assert first_lines[1].startswith("Distributed over the nodes of Citus: team, ")
    assert "Run as the owner of the database:" in first_lines[2]
    assert first_lines[3].startswith("    SELECT run_command_on_workers($$ ALTER DATABASE ")
    assert second["citus"] == {"distributed": [], "to_run": [first_lines[3].strip()]}
