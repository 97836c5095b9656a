"""Writes rows of many contacts with SQL: a phone, an event and a stored response each."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import asyncpg

TEAM = 1
START = 1_700_000_000_000_000

Row = tuple[object, ...]

COLUMNS = {
    "team": ("team_id", "name", "created"),
    "contact": (
        *("team_id", "id", "uuid", "rev", "updated", "created", "first", "last", "display_name"),
        *("avatar", "is_opted_out", "custom", "tags"),
    ),
    "contact_name": ("team_id", "word", "contact_id"),
    "contact_channel": (
        *("team_id", "id", "contact_id", "channel_type", "channel_id", "scope", "identity"),
        *("channel_handle", "info_channel", "created", "updated"),
    ),
    "event": (
        *("team_id", "id", "contact_id", "contact_rev", "kind", "actor", "request_id"),
        *("at", "seq"),
    ),
    "event_body": ("team_id", "event_id", "after"),
    "idempotency": ("team_id", "key", "request_hash", "status", "headers", "body", "created"),
    "idempotency_contact": ("team_id", "contact_uuid", "key"),
    "suppression": ("team_id", "digest", "reason", "identity_version", "at"),
    "ended_suppression": ("team_id", "digest", "reason", "ended", "actor"),
}
"""The filled tables in the order of their foreign keys, and the filled columns."""

EVENT = '{"channels":[],"first":"Person"}'


def uuid(number: int) -> str:
    """Return the UUID of a contact by its id."""
    return f"00000000-0000-4000-8000-{number:012x}"


def phone(number: int) -> str:
    """Return the phone of a contact by its id."""
    return f"1555{number:07d}"


def rows(table: str, numbers: range, team: int = TEAM) -> Iterator[Row]:
    """Yield the rows of a table for contacts of a team; the row of the team comes with id 1."""
    if table == "team":
        yield from [(team, "Bob's team", START)] if numbers.start == 1 else []
        return
    for number in numbers:
        yield _row(table, number, team)


def _row(table: str, n: int, team: int) -> Row:
    at = START + n
    names = ("Person", f"number {n}", "", "")
    row: dict[str, Row] = {
        "contact": (team, n, uuid(n), 1, at, at, *names, False, "{}", "[]"),
        "contact_name": (team, f"person{n:07d}", n),
        "contact_channel": (team, n, n, "phone", phone(n), "", phone(n), "", "", at, at),
        "event": (team, n, n, 1, "contact_created", "bench", "bench", at, n),
        "event_body": (team, n, EVENT),
        "idempotency": (team, f"key-{n}", b"hash", 200, "[]", b"{}", at),
        "idempotency_contact": (team, uuid(n), f"key-{n}"),
        "suppression": (team, f"{n:064x}", "opted_out", 1, at),
        "ended_suppression": (team, f"{n:064x}", "opted_out", at, "bench"),
    }
    return row[table]


async def fill_postgres(url: str, numbers: range) -> None:
    """Fill a migrated database, collect its statistics, and write a checkpoint."""
    await copy_postgres(url, numbers)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM ANALYZE", timeout=600)
        await connection.execute("CHECKPOINT", timeout=600)
    finally:
        await connection.close()


async def copy_postgres(url: str, numbers: range, team: int = TEAM) -> None:
    """Fill a migrated database without statistics, and move its sequences past the ids."""
    connection = await asyncpg.connect(url)
    try:
        for table, columns in COLUMNS.items():
            records = rows(table, numbers, team)
            await connection.copy_records_to_table(
                table, records=records, columns=columns, timeout=600
            )
        for table in ("contact", "contact_channel", "event"):
            sequence = f"pg_get_serial_sequence('{table}', 'id')"
            await connection.execute(f"SELECT setval({sequence}, {numbers.stop})")
        await connection.execute(
            "SELECT setval(pg_get_serial_sequence('team', 'team_id'), $1)", team
        )
    finally:
        await connection.close()


def fill_sqlite(path: str, numbers: range) -> None:
    """Fill a migrated file; it has no statistics, as the program does not run ANALYZE."""
    connection = apsw.Connection(path)
    connection.execute("PRAGMA foreign_keys=OFF")
    connection.execute("BEGIN IMMEDIATE")
    for table, columns in COLUMNS.items():
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
        connection.executemany(statement, rows(table, numbers))
    connection.execute("UPDATE sequence SET last = ? WHERE name <> 'team'", (numbers.stop,))
    connection.execute("UPDATE sequence SET last = 1 WHERE name = 'team'")
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
