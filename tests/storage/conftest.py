"""Fixtures of the storage tests: raw SQL, and the installed PostgreSQL 15."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import asyncpg
import pytest

from tests.support.raw_sql import Raw, sql_runner
from tests.support.server_process import end, free_port

DEBIAN = Path("/usr/lib/postgresql/15/bin")
UNPRIVILEGED = ("postgres", "nobody")
START_TRIES = 100


@pytest.fixture
def raw(database: str) -> Raw:
    """A function that runs a statement with the driver alone, and returns its rows."""
    return sql_runner(database)


@pytest.fixture(scope="session")
def debian_postgres() -> Iterator[str]:
    """The URL of an empty database on the installed PostgreSQL 15; skips the test without one."""
    if not (DEBIAN / "initdb").exists():
        pytest.skip(f"there is no PostgreSQL 15 in {DEBIAN}")
    directory = Path(tempfile.mkdtemp(prefix="reachbook-pg15-"))
    try:
        yield from _run_debian(directory)
    finally:
        shutil.rmtree(directory)


def _run_debian(directory: Path) -> Iterator[str]:
    as_user = _as_unprivileged(directory)
    data = str(directory / "data")
    subprocess.run(
        [
            *as_user,
            str(DEBIAN / "initdb"),
            "-D",
            data,
            "-U",
            "bob",
            "-A",
            "trust",
            "-N",
            "-E",
            "UTF8",
        ],
        check=True,
        capture_output=True,
        cwd=directory,
        timeout=60,
    )
    port = free_port()
    options = {"listen_addresses": "127.0.0.1", "port": port, "fsync": "off"}
    settings = [f"--{name}={value}" for name, value in options.items()]
    server = subprocess.Popen(
        [*as_user, str(DEBIAN / "postgres"), "-D", data, "-k", str(directory), *settings],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=directory,
    )
    try:
        url = f"postgresql://bob@127.0.0.1:{port}/postgres"
        asyncio.run(_wait_until_it_accepts(url))
        yield url
    finally:
        end(server)


def _as_unprivileged(directory: Path) -> Sequence[str]:
    """Return the command that drops root privileges, because PostgreSQL does not run as root."""
    if os.geteuid() != 0:
        return ()
    for name in UNPRIVILEGED:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(directory, user.pw_uid, user.pw_gid)
        setpriv = shutil.which("setpriv")
        if setpriv:
            ids = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}")
            return (setpriv, *ids, "--clear-groups", "--")
    pytest.skip("PostgreSQL does not run as root, and there is no other user to run it as")


async def _wait_until_it_accepts(url: str) -> None:
    for _ in range(START_TRIES):
        try:
            connection = await asyncpg.connect(url, timeout=1)
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.1)
        else:
            await connection.close()
            return
    raise AssertionError("PostgreSQL 15 did not start")
