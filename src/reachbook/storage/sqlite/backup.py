"""A SQLite store as one file: copied while it is written to, checked, and put in place whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import apsw

from reachbook.storage import migrations
from reachbook.storage.engine import unfit

ENGINE = "sqlite"
OWNER_ONLY = 0o600
WAITS_MS = 10_000
ALL_PAGES = -1
BESIDE = ("-wal", "-shm", "-journal")


def copy(source: Path, target: Path) -> None:
    """Copy a database as it stands at one moment, into a new file that only its owner can read.

    It is one read transaction: writers go on, in this process and in others, and every write that
    was answered before is in the copy.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
    with _opened(source) as live, closing(apsw.Connection(str(target))) as copied:
        try:
            with copied.backup("main", live, "main") as work:
                work.step(ALL_PAGES)
        except apsw.Error as error:
            raise unfit(f"{source} cannot be copied: {error}.") from None


def verify(path: Path) -> tuple[int, int]:
    """A whole database of ours: its schema's version, and how many rows lack their parent row.

    One that is damaged, is another program's, or comes from a newer release is refused.
    """
    with _opened(path) as connection:
        try:
            said = connection.execute("PRAGMA integrity_check(1)").get
            strays = len(connection.execute("PRAGMA foreign_key_check").fetchall())
        except apsw.Error as error:
            raise unfit(f"{path} is not a whole SQLite database: {error}.") from None
        if said != "ok":
            raise unfit(f"{path} is damaged: {said}.")
        try:
            version = int(connection.execute("SELECT max(version) FROM schema_version").get)
        except (apsw.SQLError, TypeError):
            raise unfit(f"{path} is not a database of Reachbook.") from None
    migrations.refuse_newer(version, ENGINE)
    return version, strays


def finish(path: Path) -> None:
    """Make one whole file of a database that nobody has open, and put it on the disk."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    _sync(path)


def put(fresh: Path, target: Path) -> None:
    """Give a finished file its name, and make that last."""
    fresh.replace(target)
    _sync(target.parent)


def set_aside(database: Path, kept: Path) -> None:
    """Keep a database that nobody has open under another name too, with all that is in its log.

    When it is so damaged that its log cannot be taken in, the log is kept beside it.
    """
    with suppress(apsw.Error), _opened(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    kept.hardlink_to(database)
    for suffix in BESIDE:
        with suppress(FileNotFoundError):
            database.with_name(database.name + suffix).replace(f"{kept}{suffix}")
    _sync(database.parent)


def discard(path: Path) -> None:
    """Remove an incomplete backup, and the files that SQLite keeps beside it."""
    for suffix in ("", *BESIDE):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    if not path.is_file():
        raise unfit(f"There is no database {path}.")
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    except apsw.Error as error:
        raise unfit(f"{path} cannot be opened: {error}.") from None
    try:
        connection.set_busy_timeout(WAITS_MS)
        yield connection
    finally:
        connection.close()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
