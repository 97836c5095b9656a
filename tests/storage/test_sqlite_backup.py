"""Backups of an SQLite database: copied during writes, verified and restored."""

from __future__ import annotations

import asyncio
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import httpx
import pytest

from reachbook.domain.errors import Refusal
from reachbook.storage.sqlite import backup
from tests.support.corrupt import execute_unchecked, make_random_writes
from tests.support.home import Home
from tests.support.inconsistencies import FAULTS
from tests.support.personas import open_api
from tests.support.server_process import Server

WRITERS = 4


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A closed database with the rows of two teams."""

    async def fill() -> None:
        async with open_api(f"sqlite:///{tmp_path}/reachbook.db") as api:
            await make_random_writes(api, 60)

    asyncio.run(fill())
    return tmp_path / "reachbook.db"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


def query(path: Path, statement: str) -> list[Any]:
    with closing(apsw.Connection(str(path))) as connection:
        return connection.execute(statement).fetchall()


def test_a_backup_is_one_private_file_with_the_same_rows(database: Path, target: Path) -> None:
    backup.copy(database, target)
    version, strays = backup.verify(target)
    backup.finish(target)

    assert (version >= 1, strays) == (True, 0)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in target.parent.glob("copy.db*")] == ["copy.db"]
    tables = ("team", "api_secret", "contact", "contact_channel", "event", "event_body", "sequence")
    for table in tables:
        rows = f"SELECT * FROM {table} ORDER BY 1, 2"
        assert query(target, rows) == query(database, rows) != []


def test_a_backup_has_no_uncommitted_rows(database: Path, target: Path) -> None:
    with closing(apsw.Connection(str(database))) as writer:
        writer.execute("UPDATE team SET name = 'committed'")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE team SET name = 'not yet'")
        backup.copy(database, target)

    assert query(target, "SELECT DISTINCT name FROM team") == [("committed",)]


def test_an_existing_file_is_not_overwritten(database: Path, target: Path) -> None:
    target.write_text("precious")

    with pytest.raises(FileExistsError):
        backup.copy(database, target)

    assert target.read_text() == "precious"


def test_rows_without_their_parent_are_counted(database: Path) -> None:
    numbers = {
        "contact": 1,
        "channel": query(database, "SELECT min(id) FROM contact_channel")[0][0],
    }
    [statement] = FAULTS["a channel of no contact"].statements
    asyncio.run(execute_unchecked(f"sqlite:///{database}", statement.format(**numbers)))

    assert backup.verify(database)[1] == 1


def overwrite_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000:9000] = b"x" * 4000
    path.write_bytes(content)


INVALID_DATABASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no file": (lambda path: path.unlink(), "There is no database"),
    "not a database": (lambda path: path.write_text("words " * 999), "is not a"),
    "an empty file": (lambda path: path.write_text(""), "not a database of Reachbook"),
    "another program's": (
        lambda path: query(path, "DROP TABLE schema_version"),
        "not a database of Reachbook",
    ),
    "no version": (lambda path: query(path, "DELETE FROM schema_version"), "not a database of"),
    "a newer release's": (
        lambda path: query(path, "UPDATE schema_version SET version = 9000 WHERE version = 1"),
        "a newer Reachbook has migrated it",
    ),
    "damaged": (overwrite_pages, "damaged|not a whole"),
}


@pytest.mark.parametrize("name", INVALID_DATABASES)
def test_an_invalid_database_is_refused(database: Path, name: str) -> None:
    damage, message = INVALID_DATABASES[name]
    damage(database)

    with pytest.raises(Refusal, match=message):
        backup.verify(database)


def test_set_aside_moves_the_write_ahead_log_too(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader is connected, so the log cannot be written back to the database first."""
    monkeypatch.setattr(backup, "WAITS_MS", 50)
    moved = tmp_path / "kept.db"
    with (
        closing(apsw.Connection(str(database))) as reader,
        closing(apsw.Connection(str(database))) as writer,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM team").fetchall()
        writer.execute("UPDATE team SET name = 'in the log'")
        backup.set_aside(database, moved)
        assert database.samefile(moved)

    assert query(moved, "SELECT DISTINCT name FROM team") == [("in the log",)]
    assert not database.with_name("reachbook.db-wal").exists()


def test_a_damaged_database_is_set_aside_unchanged(database: Path, tmp_path: Path) -> None:
    overwrite_pages(database)
    database.with_name("reachbook.db-wal").write_bytes(b"a log of sorts")
    moved = tmp_path / "kept.db"

    backup.set_aside(database, moved)

    assert moved.read_bytes() == database.read_bytes()


# ── under load ───────────────────────────────────────────────────────────────────────────────────


@contextmanager
def writing(server: Server, api_key: str) -> Iterator[list[str]]:
    """Create contacts in several threads until the block ends; yield the acknowledged UUIDs."""
    made: list[str] = []
    done = threading.Event()

    def write(writer: int) -> None:
        with server.client(api_key) as client:
            for number in range(100_000):
                if done.is_set():
                    return
                made.append(write_one(client, writer * 100_000 + number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        done.set()
        for thread in threads:
            thread.join()


def write_one(client: httpx.Client, number: int) -> str:
    """Create a contact, add a channel, and return the UUID after both are acknowledged."""
    phone = {"channel_type": "phone", "channel_id": f"1510{number:07}"}
    response = client.post("/v2/contact", json={"contact_channels": [phone]})
    assert response.status_code == 200, response.text
    uuid = str(response.json()["uuid"])
    page = {"channel_type": "facebook", "channel_id": str(number), "info_channel": "page"}
    response = client.post(f"/v2/contact/{uuid}/channel", json=page)
    assert response.status_code == 200, response.text
    return uuid


def test_a_backup_under_load_has_every_write_acknowledged_before(tmp_path: Path) -> None:
    """The doctor finds nothing in the restored database, and a server can serve it."""
    home, file = Home(tmp_path / "one" / "data"), tmp_path / "monday.db"
    team, api_key = home.team_with_key()
    home.json("secret", "create", "--team", team)
    with home.serve() as server, writing(server, api_key) as made:
        time.sleep(1)
        before = list(made)
        home.run("backup", str(file)).succeeded()
        after = len(made)

    other = Home(tmp_path / "two" / "data")
    other.directory.mkdir(parents=True)
    shutil.copy2(home.directory / "master.key", other.directory)
    other.run("restore", str(file)).succeeded()

    assert len(before) > 50
    assert after > len(before), "nothing was written while it was taken"
    assert other.json("doctor") == home.json("doctor") == []
    rows = "SELECT uuid, count(*) FROM contact JOIN contact_channel ON contact.id = contact_id"
    channel_counts = dict(query(other.directory / "reachbook.db", f"{rows} GROUP BY uuid"))
    assert {uuid: channel_counts.get(uuid) for uuid in before} == dict.fromkeys(before, 2)
    with other.serve() as server, server.client(api_key) as client:
        assert len(client.get(f"/v2/contact/{before[-1]}/channels").json()) == 2
