"""`reachbook serve` on PostgreSQL, with one and with several processes; revoking a credential."""

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

REVOKED_WITHIN_SECONDS = 1.0
MAX_CONNECTIONS = 100


@pytest.fixture
def home(database: str, tmp_path: Path) -> Home:
    """A migrated database, on SQLite and on PostgreSQL."""
    return Home(tmp_path / "data").having(database=database)


@pytest.fixture
def empty_home(empty_postgres: str, tmp_path: Path) -> Home:
    """An empty PostgreSQL database."""
    return Home(tmp_path / "data").having(database=empty_postgres)


@pytest.fixture
def migrated_home(empty_home: Home) -> Home:
    """A PostgreSQL database after `reachbook migrate`."""
    empty_home.json("migrate")
    return empty_home


def test_serve_responds_and_stops(migrated_home: Home) -> None:
    _, api_key = migrated_home.team_with_key()

    with migrated_home.serve() as server:
        with server.client(api_key) as client:
            assert client.get("/v1/team").json()["name"] == "Bob's team"
        assert server.stop() == 0


def test_two_workers_serve_and_stop(migrated_home: Home) -> None:
    _, api_key = migrated_home.team_with_key()

    with migrated_home.serve("--workers", "2") as server, ExitStack() as stack:
        clients = clients_of_every_worker(server, api_key, stack)
        assert {client.get("/v1/team").status_code for client in clients} == {200}
        processes = workers(server)
        assert len(processes) == 2
        assert server.stop() == 0
        assert not any(process.is_running() for process in processes)


async def test_an_unmigrated_database_is_refused_and_unchanged(
    empty_home: Home, empty_postgres: str
) -> None:
    message = empty_home.run("serve", "--port", "0").refusal()

    assert "reachbook migrate" in message
    connection = await asyncpg.connect(empty_postgres)
    try:
        tables = await connection.fetch("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    assert tables == []


async def test_a_newer_schema_is_refused(migrated_home: Home, empty_postgres: str) -> None:
    connection = await asyncpg.connect(empty_postgres)
    try:
        await connection.execute("INSERT INTO schema_version VALUES (99, 'future', now())")
    finally:
        await connection.close()

    for command in (["serve", "--port", "0"], ["serve", "--port", "0", "--workers", "2"]):
        assert "schema version 99" in migrated_home.run(*command).refusal()


def test_serve_creates_no_team_on_postgresql(migrated_home: Home) -> None:
    with migrated_home.serve() as server:
        assert "curl" not in server.output.read_text()

    assert migrated_home.json("team", "list") == []


@pytest.mark.parametrize("noun", ["key", "secret"])
def test_a_revoked_credential_is_refused_within_a_second_by_every_worker(
    home: Home, noun: str
) -> None:
    """Every worker has just used the credential, so it stays in each cache as long as possible."""
    team, _ = home.team_with_key()
    made = home.json(noun, "create", "--team", team)
    token = made["api_key"] if noun == "key" else _sign_token(made)

    with home.serve(*worker_arguments(home.database)) as server, ExitStack() as stack:
        clients = clients_of_every_worker(server, token, stack)
        assert {client.get("/v1/team").status_code for client in clients} == {200}
        home.json(noun, "revoke", made[f"{noun}_id"])
        deadline = time.monotonic() + REVOKED_WITHIN_SECONDS
        while time.monotonic() < deadline:
            for client in clients:
                client.get("/v1/team")
        assert {client.get("/v1/team").status_code for client in clients} == {401}


def _sign_token(made: dict[str, str]) -> str:
    claims: dict[str, object] = {"iss": made["secret_id"], "iat": int(time.time())}
    return sign(claims, made["secret_id"], made["secret_key"])


def workers(server: Server) -> list[psutil.Process]:
    """Return the processes that serve requests: the workers, or the server itself."""
    return server.workers() or server.processes()


def clients_of_every_worker(server: Server, token: str, stack: ExitStack) -> list[httpx.Client]:
    """Open clients until every worker has a connection, and return them."""
    processes = workers(server)
    clients: list[httpx.Client] = []
    for _ in range(MAX_CONNECTIONS):
        client = stack.enter_context(server.client(token))
        assert client.get("/v1/team").status_code == 200
        clients.append(client)
        if all(_has_connection(process, server.port) for process in processes):
            return clients
    raise AssertionError("a worker was never reached")


def _has_connection(process: psutil.Process, port: int) -> bool:
    return any(
        connection.status == psutil.CONN_ESTABLISHED and connection.laddr.port == port
        for connection in process.net_connections("tcp")
    )
