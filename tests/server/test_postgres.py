"""`reachbook serve` on PostgreSQL, with one process and with several; and revoking, everywhere."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import httpx
import psutil  # type: ignore[import-untyped]
import pytest

from tests.support.home import Home
from tests.support.personas import sign
from tests.support.server_process import Server, worker_arguments

pytestmark = pytest.mark.anyio

FELT_WITHIN = 1.0
MAX_CONNECTIONS = 100


@pytest.fixture
def housed(database: str, tmp_path: Path) -> Home:
    """A migrated database, once on each store."""
    return Home(tmp_path / "data").having(database=database)


@pytest.fixture
def bare(empty_postgres: str, tmp_path: Path) -> Home:
    """PostgreSQL with nothing in it."""
    return Home(tmp_path / "data").having(database=empty_postgres)


@pytest.fixture
def migrated(bare: Home) -> Home:
    """PostgreSQL after `reachbook migrate`."""
    bare.json("migrate")
    return bare


def test_it_works(migrated: Home) -> None:
    _, api_key = migrated.team_with_key()

    with migrated.serve() as server:
        with server.client(api_key) as client:
            assert client.get("/v1/team").json()["name"] == "Bob's team"
        assert server.stop() == 0


def test_two_workers_serve_and_stop(migrated: Home) -> None:
    _, api_key = migrated.team_with_key()

    with migrated.serve("--workers", "2") as server, ExitStack() as stack:
        clients = clients_of_every_worker(server, api_key, stack)
        assert {one.get("/v1/team").status_code for one in clients} == {200}
        two = workers(server)
        assert len(two) == 2
        assert server.stop() == 0
        assert not any(one.is_running() for one in two)


async def test_an_unmigrated_database_is_refused_and_left_as_it_is(
    bare: Home, empty_postgres: str
) -> None:
    said = bare.run("serve", "--port", "0").refusal()

    assert "reachbook migrate" in said
    connection = await asyncpg.connect(empty_postgres)
    try:
        made = await connection.fetch("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    assert made == []


async def test_a_newer_schema_is_refused(migrated: Home, empty_postgres: str) -> None:
    connection = await asyncpg.connect(empty_postgres)
    try:
        await connection.execute("INSERT INTO schema_version VALUES (99, 'future', now())")
    finally:
        await connection.close()

    for command in (["serve", "--port", "0"], ["serve", "--port", "0", "--workers", "2"]):
        assert "schema version 99" in migrated.run(*command).refusal()


def test_no_team_is_made_on_postgresql(migrated: Home) -> None:
    with migrated.serve() as server:
        assert "curl" not in server.output.read_text()

    assert migrated.json("team", "list") == []


@pytest.mark.parametrize("noun", ["key", "secret"])
def test_revoking_is_felt_within_a_second_in_every_worker(housed: Home, noun: str) -> None:
    """Every worker has just used the credential, and so believes in it as long as it may."""
    team, _ = housed.team_with_key()
    made = housed.json(noun, "create", "--team", team)
    token = made["api_key"] if noun == "key" else _signed(made)

    with housed.serve(*worker_arguments(housed.database)) as server, ExitStack() as stack:
        clients = clients_of_every_worker(server, token, stack)
        assert {one.get("/v1/team").status_code for one in clients} == {200}
        housed.json(noun, "revoke", made[f"{noun}_id"])
        deadline = time.monotonic() + FELT_WITHIN
        while time.monotonic() < deadline:
            for one in clients:
                one.get("/v1/team")
        assert {one.get("/v1/team").status_code for one in clients} == {401}


def _signed(made: dict[str, str]) -> str:
    claims: dict[str, object] = {"iss": made["secret_id"], "iat": int(time.time())}
    return sign(claims, made["secret_id"], made["secret_key"])


def workers(server: Server) -> list[psutil.Process]:
    """Return the processes that answer: the workers, or the server itself."""
    return server.workers() or server.processes()


def clients_of_every_worker(server: Server, token: str, stack: ExitStack) -> list[httpx.Client]:
    """Clients with a connection each, so many that every worker has one of them."""
    answering = workers(server)
    clients: list[httpx.Client] = []
    for _ in range(MAX_CONNECTIONS):
        client = stack.enter_context(server.client(token))
        assert client.get("/v1/team").status_code == 200
        clients.append(client)
        if all(_has_connection(one, server.port) for one in answering):
            return clients
    raise AssertionError("a worker was never reached")


def _has_connection(process: psutil.Process, port: int) -> bool:
    return any(
        one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port
        for one in process.net_connections("tcp")
    )
