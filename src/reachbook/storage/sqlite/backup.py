"""Backups of a SQLite store: copying it while it is in use, verifying and replacing it."""

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
SUFFIXES = ("-wal", "-shm", "-journal")


def copy(source: Path, target: Path) -> None:
    """Copy a database into a new file that only its owner can read.

    The copy is made in one read transaction. It contains every write that was committed before, and
    does not block writers, in this process or in others.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
    with _opened(source) as live, closing(apsw.Connection(str(target))) as copied:
        try:
            with copied.backup("main", live, "main") as work:
                work.step(ALL_PAGES)
        except apsw.Error as error:
            raise unfit(f"{source} cannot be copied: {error}.") from None


def verify(path: Path) -> tuple[int, int]:
    """Verify a database; returns the version of its schema, and how many rows have no parent row.

    Raises `store_unfit` if it is damaged, or of another program or a newer release.
    """
    with _opened(path) as connection:
        try:
            result = connection.execute("PRAGMA integrity_check(1)").get
            orphans = len(connection.execute("PRAGMA foreign_key_check").fetchall())
        except apsw.Error as error:
            raise unfit(f"{path} is not a whole SQLite database: {error}.") from None
        if result != "ok":
            raise unfit(f"{path} is damaged: {result}.")
        try:
            version = int(connection.execute("SELECT max(version) FROM schema_version").get)
        except (apsw.SQLError, TypeError):
            raise unfit(f"{path} is not a database of Reachbook.") from None
    migrations.refuse_newer(version, ENGINE)
    return version, orphans


def finish(path: Path) -> None:
    """Merge the log of a database into its file and sync it; no process may have it open."""
    with closing(apsw.Connection(str(path))) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    _sync(path)


def put(fresh: Path, target: Path) -> None:
    """Rename a finished file to its final name, and sync the directory."""
    fresh.replace(target)
    _sync(target.parent)


def set_aside(database: Path, kept: Path) -> None:
    """Link a database under another name, with its log merged; no process may have it open.

    If the database is so damaged that its log cannot be merged, the log is moved beside the link.
    """
    with suppress(apsw.Error), _opened(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    kept.hardlink_to(database)
    for suffix in SUFFIXES:
        with suppress(FileNotFoundError):
            database.with_name(database.name + suffix).replace(f"{kept}{suffix}")
    _sync(database.parent)


def discard(path: Path) -> None:
    """Remove an incomplete backup, and the files that SQLite keeps beside it."""
    for suffix in ("", *SUFFIXES):
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
