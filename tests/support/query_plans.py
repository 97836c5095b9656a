"""How each store would find the rows of a statement, and what is wrong with that."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import apsw
import asyncpg

GROWING = frozenset(
    {
        *("contact", "contact_channel", "event", "event_body"),
        *("idempotency", "idempotency_contact", "suppression", "ended_suppression"),
    }
)
"""The tables that grow with a team; of the others a team has a handful of rows."""

TENANT = GROWING | {"team", "api_secret", "api_key", "suppression_key"}
EXECUTIONS = 7  # PostgreSQL settles on a plan after five

_ALIAS = re.compile(r"\b([a-z_]+) AS ([a-z_]+)\b")
_STEP = re.compile(r"(SCAN|SEARCH) (\w+)(?:.*\((.*)\))?")
_COLUMN = re.compile(r"\b(?:\w+\.)?([a-z_]+) (?:=|<|>|<=|>=) ")
_PARAMETER = re.compile(r"\?(\d+)")


def of_sqlite(connection: apsw.Connection, text: str) -> list[str]:
    """The faults of a statement on SQLite: a scan, or a search of all that a team has."""
    number = max((int(one) for one in _PARAMETER.findall(text)), default=0)
    rows = connection.execute(f"EXPLAIN QUERY PLAN {text}", (None,) * number)
    tables = {name: name for name in TENANT} | {alias: name for name, alias in _ALIAS.findall(text)}
    steps = [match for row in rows if (match := _STEP.match(str(row[3])))]
    return [
        f"{how} {tables[what]} by {columns}"
        for how, what, columns in (one.groups() for one in steps)
        if tables.get(what) in TENANT and (how == "SCAN" or _of_whole_team(what, columns, tables))
    ]


def _of_whole_team(what: str, columns: str | None, tables: Mapping[str, str]) -> bool:
    return tables[what] in GROWING and columns in (None, "team_id=?", "team_id>?")


async def of_postgres(
    connection: asyncpg.Connection[asyncpg.Record], text: str, values: Mapping[int, object]
) -> list[str]:
    """The same on PostgreSQL, by the plan that it settles on when a statement is sent often."""
    kinds = [one.name for one in (await connection.prepare(text)).get_parameters()]
    given = [_literal(kind, values.get(place)) for place, kind in enumerate(kinds, 1)]
    call = f"told({', '.join(given)})" if given else "told"
    await connection.execute(f"PREPARE told AS {text}")
    try:
        for _ in range(EXECUTIONS):
            plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {call}")
    finally:
        await connection.execute("DEALLOCATE told")
    return [fault for node in _nodes(json.loads(plan)[0]["Plan"]) if (fault := _fault(node))]


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _fault(node: dict[str, Any]) -> str | None:
    if node["Node Type"] == "Seq Scan" and node["Relation Name"] in GROWING:
        return f"SCAN {node['Relation Name']}"
    index = node.get("Index Name", "")
    if not index.startswith(tuple(GROWING)):
        return None
    columns = set(_COLUMN.findall(node.get("Index Cond", "")))
    return None if columns - {"team_id"} else f"SEARCH {index} by {sorted(columns)}"


def _literal(kind: str, value: object) -> str:
    if value is not None:
        return "'" + str(value).replace("'", "''") + "'"
    if kind in ("int2", "int4", "int8"):
        return "1"
    if kind.endswith("[]"):
        return "'{1}'"
    return {"bool": "false", "bytea": "''", "jsonb": "'[]'"}.get(kind, "'1'")
