"""Reads the tables from the catalogue of a database, in the same form for both engines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.support.raw_sql import Raw

BOOKKEEPING = ("schema_version", "store_info")
"""Tables without rows of a team. SQLite also has `sequence`, in place of sequences."""


@dataclass
class Table:
    """The properties of a table that both engines have; `columns` are nullable if True."""

    columns: dict[str, bool] = field(default_factory=dict)
    primary_key: tuple[str, ...] = ()
    unique: set[tuple[tuple[str, ...], str]] = field(default_factory=set)
    indexes: set[tuple[tuple[str, ...], str]] = field(default_factory=set)
    foreign_keys: set[tuple[tuple[str, ...], str, tuple[str, ...], str]] = field(
        default_factory=set
    )


async def of_postgres(raw: Raw) -> dict[str, Table]:
    """Return every table of the public schema."""
    found: dict[str, Table] = {}
    for name, column, not_null in await raw(_PG_COLUMNS):
        found.setdefault(name, Table()).columns[column] = not not_null
    for name, columns, primary, unique, where in await raw(_PG_INDEXES):
        _index(found[name], tuple(columns), (primary, unique), where)
    for name, columns, to, to_columns, deleting in await raw(_PG_FOREIGN_KEYS):
        action = _PG_ACTIONS[deleting.decode() if isinstance(deleting, bytes) else deleting]
        found[name].foreign_keys.add((tuple(columns), to, tuple(to_columns), action))
    return _without_bookkeeping(found)


async def of_sqlite(raw: Raw) -> dict[str, Table]:
    """Return every table of the file."""
    names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    found = {name: await _sqlite_table(raw, name) for [name] in await raw(names)}
    found.pop("sequence", None)
    return _without_bookkeeping(found)


async def _sqlite_table(raw: Raw, name: str) -> Table:
    table = Table()
    facts = await raw(f"PRAGMA table_info({name})")
    table.columns = {column: not not_null for _, column, _, not_null, _, _ in facts}
    keyed = sorted((place, column) for _, column, _, _, _, place in facts if place)
    table.primary_key = tuple(column for _, column in keyed)
    for _, index, unique, origin, _ in await raw(f"PRAGMA index_list({name})"):
        columns = tuple(row[2] for row in await raw(f"PRAGMA index_info({index})"))
        [[text]] = await raw(f"SELECT max(sql) FROM sqlite_schema WHERE name = '{index}'")
        where = (text or "").partition("WHERE")[2]
        _index(table, columns, (origin == "pk", bool(unique)), where)
    keys: dict[int, list[tuple[Any, ...]]] = {}
    for row in await raw(f"PRAGMA foreign_key_list({name})"):
        keys.setdefault(row[0], []).append(row)
    for rows in keys.values():
        columns, to_columns = tuple(row[3] for row in rows), tuple(row[4] for row in rows)
        table.foreign_keys.add((columns, rows[0][2], to_columns, rows[0][6]))
    return table


def _index(table: Table, columns: tuple[str, ...], kind: tuple[bool, bool], where: str) -> None:
    primary, unique = kind
    if primary:
        table.primary_key = columns
    elif unique:
        table.unique.add((columns, _plain(where)))
    else:
        table.indexes.add((columns, _plain(where)))


def _plain(where: str | None) -> str:
    return re.sub(r"[()\s]+", " ", where or "").strip().lower()


def _without_bookkeeping(found: dict[str, Table]) -> dict[str, Table]:
    return {name: table for name, table in found.items() if name not in BOOKKEEPING}


def starts_with_team(columns: Iterable[str]) -> bool:
    """Return whether team_id is the first column."""
    return next(iter(columns), None) == "team_id"


_PG_ACTIONS = {
    "a": "NO ACTION",
    "r": "RESTRICT",
    "c": "CASCADE",
    "n": "SET NULL",
    "d": "SET DEFAULT",
}
_PG_COLUMNS = """
SELECT c.relname, a.attname, a.attnotnull
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum"""
_PG_INDEXES = """
SELECT t.relname,
       array(SELECT coalesce(a.attname, '(expression)')
             FROM unnest(i.indkey) WITH ORDINALITY k (n, o)
             LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.n ORDER BY k.o),
       i.indisprimary, i.indisunique OR i.indisexclusion, pg_get_expr(i.indpred, i.indrelid)
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relnamespace = 'public'::regnamespace"""
_PG_FOREIGN_KEYS = """
SELECT t.relname,
       array(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY c (n, o)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.n ORDER BY c.o),
       k.confrelid::regclass::text,
       array(SELECT a.attname FROM unnest(k.confkey) WITH ORDINALITY c (n, o)
             JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.n ORDER BY c.o),
       k.confdeltype::text
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
WHERE k.contype = 'f' AND t.relnamespace = 'public'::regnamespace"""
