"""A SQLite store copied while it is written to, checked, and put back whole."""

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
from tests.support.corrupt import live, ruin
from tests.support.home import Home
from tests.support.inconsistencies import FAULTS
from tests.support.personas import open_api
from tests.support.server_process import Server

WRITERS = 4


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A database in which two teams have lived; nobody has it open."""

    async def fill() -> None:
        async with open_api(f"sqlite:///{tmp_path}/reachbook.db") as api:
            await live(api, 60)

    asyncio.run(fill())
    return tmp_path / "reachbook.db"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


def query(path: Path, statement: str) -> list[Any]:
    with closing(apsw.Connection(str(path))) as connection:
        return connection.execute(statement).fetchall()


def test_it_works(store: Path, target: Path) -> None:
    """The copy is one file that only its owner can read, and holds the same rows."""
    backup.copy(store, target)
    version, strays = backup.verify(target)
    backup.finish(target)

    assert (version >= 1, strays) == (True, 0)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [one.name for one in target.parent.glob("copy.db*")] == ["copy.db"]
    tables = ("team", "api_secret", "contact", "contact_channel", "event", "event_body", "sequence")
    for table in tables:
        rows = f"SELECT * FROM {table} ORDER BY 1, 2"
        assert query(target, rows) == query(store, rows) != []


def test_what_is_not_yet_committed_is_not_in_it(store: Path, target: Path) -> None:
    with closing(apsw.Connection(str(store))) as writer:
        writer.execute("UPDATE team SET name = 'committed'")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE team SET name = 'not yet'")
        backup.copy(store, target)

    assert query(target, "SELECT DISTINCT name FROM team") == [("committed",)]


def test_a_file_that_is_there_is_not_overwritten(store: Path, target: Path) -> None:
    target.write_text("precious")

    with pytest.raises(FileExistsError):
        backup.copy(store, target)

    assert target.read_text() == "precious"


def test_rows_that_miss_what_they_belong_to_are_counted(store: Path) -> None:
    numbers = {"contact": 1, "channel": query(store, "SELECT min(id) FROM contact_channel")[0][0]}
    [statement] = FAULTS["a channel of no contact"].statements
    asyncio.run(ruin(f"sqlite:///{store}", statement.format(**numbers)))

    assert backup.verify(store)[1] == 1


def scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000:9000] = b"x" * 4000
    path.write_bytes(content)


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
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
    "damaged": (scribble, "damaged|not a whole"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_an_unfit_database_is_refused(store: Path, name: str) -> None:
    spoil, said = UNFIT[name]
    spoil(store)

    with pytest.raises(Refusal, match=said):
        backup.verify(store)


def test_what_is_set_aside_keeps_what_its_log_holds(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not the log can be taken in: here somebody reads, so that it stays."""
    monkeypatch.setattr(backup, "WAITS_MS", 50)
    kept = tmp_path / "kept.db"
    with closing(apsw.Connection(str(store))) as reader, closing(apsw.Connection(str(store))) as w:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM team").fetchall()
        w.execute("UPDATE team SET name = 'in the log'")
        backup.set_aside(store, kept)
        assert store.samefile(kept)

    assert query(kept, "SELECT DISTINCT name FROM team") == [("in the log",)]
    assert not store.with_name("reachbook.db-wal").exists()


def test_a_damaged_database_is_set_aside_as_it_is(store: Path, tmp_path: Path) -> None:
    scribble(store)
    store.with_name("reachbook.db-wal").write_bytes(b"a log of sorts")
    kept = tmp_path / "kept.db"

    backup.set_aside(store, kept)

    assert kept.read_bytes() == store.read_bytes()


# ── under load ───────────────────────────────────────────────────────────────────────────────


@contextmanager
def writing(server: Server, api_key: str) -> Iterator[list[str]]:
    """The UUIDs of contacts as they are acknowledged to several writers, until the block ends."""
    made: list[str] = []
    done = threading.Event()

    def write(writer: int) -> None:
        with server.client(api_key) as client:
            for number in range(100_000):
                if done.is_set():
                    return
                made.append(write_one(client, writer * 100_000 + number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for one in threads:
        one.start()
    try:
        yield made
    finally:
        done.set()
        for one in threads:
            one.join()


def write_one(client: httpx.Client, number: int) -> str:
    """Make a contact and give it another channel; its UUID, once both are acknowledged."""
    phone = {"channel_type": "phone", "channel_id": f"1510{number:07}"}
    answer = client.post("/v2/contact", json={"contact_channels": [phone]})
    assert answer.status_code == 200, answer.text
    uuid = str(answer.json()["uuid"])
    page = {"channel_type": "facebook", "channel_id": str(number), "info_channel": "page"}
    answer = client.post(f"/v2/contact/{uuid}/channel", json=page)
    assert answer.status_code == 200, answer.text
    return uuid


def test_a_backup_under_load_holds_every_write_acknowledged_before(tmp_path: Path) -> None:
    """Restored into another data directory it passes the doctor, and serves."""
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
    held = dict(query(other.directory / "reachbook.db", f"{rows} GROUP BY uuid"))
    assert {uuid: held.get(uuid) for uuid in before} == dict.fromkeys(before, 2)
    with other.serve() as server, server.client(api_key) as client:
        assert len(client.get(f"/v2/contact/{before[-1]}/channels").json()) == 2
