"""Reads query plans: the indexes that a statement uses, and the number of rows that it reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import apsw
import asyncpg

GROWING = frozenset(
    {
        *("contact", "contact_channel", "contact_name", "event", "event_body"),
        *("idempotency", "idempotency_contact", "suppression", "ended_suppression"),
    }
)
"""The tables that grow with a team; of the others a team has a few rows."""

TENANT = GROWING | {"team", "api_secret", "api_key", "suppression_key"}

PlanMode = Literal["force_custom_plan", "force_generic_plan"]
"""PostgreSQL plans for the values of a request, or once for all values; a session does both."""

_ALIAS = re.compile(r"\b([a-z_]+) AS ([a-z_]+)\b")
_STEP = re.compile(r"(SCAN|SEARCH) (\w+)(?:.*\((.*)\))?")
_SQLITE_INDEX = re.compile(r"USING (?:COVERING )?(?:INDEX (\w+)|(PRIMARY KEY))")
_CAST = re.compile(r"\$(\d+)::text::(jsonb|text\[\]|bigint\[\])")
_EMPTY = {"jsonb": "[]", "text[]": "{1}", "bigint[]": "{1}"}
_PARAMETER = re.compile(r"\?(\d+)")


@dataclass(frozen=True)
class Scan:
    """One access to a table that grows. `index` is "" for a scan of the whole table."""

    table: str
    index: str
    rows: int


def of_sqlite(connection: apsw.Connection, text: str) -> list[str]:
    """Return the faults of a statement on SQLite: a scan, or a search of all rows of a team."""
    tables = _tables_by_alias(text)
    return [
        f"{how} {tables[name]} by {columns}"
        for how, name, columns, _ in _sqlite_steps(connection, text)
        if tables.get(name) in TENANT and (how == "SCAN" or _of_whole_team(name, columns, tables))
    ]


def indexes_of_sqlite(connection: apsw.Connection, text: str) -> set[str]:
    """Return the indexes that a statement uses on SQLite for growing tables."""
    tables = _tables_by_alias(text)
    return {
        f"{tables[name]}_pkey" if index == "PRIMARY KEY" else index
        for _, name, _, index in _sqlite_steps(connection, text)
        if tables.get(name) in GROWING
    }


def _sqlite_steps(connection: apsw.Connection, text: str) -> Iterator[tuple[str, str, str, str]]:
    number = max((int(each) for each in _PARAMETER.findall(text)), default=0)
    for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", (None,) * number):
        detail = str(row[3])
        if match := _STEP.match(detail):
            index = _SQLITE_INDEX.search(detail)
            how, name, columns = match.groups("")
            yield how, name, columns, (index[1] or index[2]) if index else ""


def _tables_by_alias(text: str) -> dict[str, str]:
    return {name: name for name in TENANT} | {alias: name for name, alias in _ALIAS.findall(text)}


def _of_whole_team(name: str, columns: str, tables: Mapping[str, str]) -> bool:
    return tables[name] in GROWING and columns in ("", "team_id=?", "team_id>?")


async def of_postgres(
    connection: asyncpg.Connection[asyncpg.Record],
    text: str,
    values: Mapping[int, object],
    mode: PlanMode,
) -> list[Scan]:
    """Run a statement on PostgreSQL, roll it back, and return its scans of growing tables."""
    kinds = [each.name for each in (await connection.prepare(text)).get_parameters()]
    empty = {int(place): _EMPTY[kind] for place, kind in _CAST.findall(text)}
    values = {**empty, **values}
    given = [_literal(kind, values.get(place)) for place, kind in enumerate(kinds, 1)]
    call = f"explained({', '.join(given)})" if given else "explained"
    await connection.execute(f"PREPARE explained AS {text}")
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
        plan = await connection.fetchval(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE {call}"
        )
    finally:
        await transaction.rollback()
        await connection.execute("DEALLOCATE explained")
    return [scan for node in _nodes(json.loads(plan)[0]["Plan"]) for scan in _scans(node)]


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _scans(node: dict[str, Any]) -> Iterator[Scan]:
    read = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    rows = round((read + node.get("Rows Removed by Index Recheck", 0)) * node["Actual Loops"])
    if node["Node Type"] == "Seq Scan" and node["Relation Name"] in GROWING:
        yield Scan(node["Relation Name"], "", rows)
    elif node["Node Type"] == "Bitmap Index Scan":
        # The node names no table; names of indexes begin with that of their table.
        if table := _table_of(node["Index Name"]):
            yield Scan(table, node["Index Name"], rows)
    elif (index := node.get("Index Name")) and node["Relation Name"] in GROWING:
        yield Scan(node["Relation Name"], index, rows)


def _table_of(index: str) -> str:
    return max((table for table in GROWING if index.startswith(table)), key=len, default="")


def _literal(kind: str, value: object) -> str:
    if value is not None:
        return "'" + str(value).replace("'", "''") + "'"
    if kind in ("int2", "int4", "int8"):
        return "1"
    return {"bool": "false", "bytea": "''"}.get(kind, "'1'")
