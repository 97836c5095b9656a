"""Connections to a SQLite file, and statements on them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import apsw

from reachbook.storage.engine import Row, unstorable
from reachbook.storage.sqlite.writer import MAX_WAL_BYTES

# Erased values must not stay readable in the file: without secure_delete, SQLite does not overwrite
# deleted text.
_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "secure_delete=ON",
    f"journal_size_limit={MAX_WAL_BYTES}",
)

# The errors of SQLite and its driver for a value that is too large or cannot be stored in a column,
# such as a number of more than 64 bits or a lone surrogate.
_UNSTORABLE = (
    apsw.MismatchError,
    apsw.RangeError,
    apsw.TooBigError,
    OverflowError,
    UnicodeEncodeError,
)


def connect(path: Path, waits_ms: int) -> apsw.Connection:
    """Returns a connection that waits at most `waits_ms` milliseconds for a lock."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(waits_ms)
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def fetch(connection: apsw.Connection, statement: str, *values: object) -> list[Row]:
    """Runs a statement; returns its rows, or raises `bad_value` if a value cannot be stored."""
    try:
        return cast("list[Row]", connection.execute(statement, values).fetchall())
    except _UNSTORABLE as error:
        raise unstorable(error) from error
