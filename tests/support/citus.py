"""Checks that the schema and its statements can be distributed by team_id on Citus.

Each check returns the faults that it finds as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

import asyncpg

from tests.support import catalogs as catalogue
from tests.support import node_trees
from tests.support.catalogs import Table, starts_with_team
from tests.support.node_trees import Node
from tests.support.raw_sql import Raw

NOT_OF_ONE_TEAM = {
    "teams": "the list of teams is for the operator",
    "any_api_secret": "the master key is checked at the start with a secret of any team",
    "suppression_keys": "the master key is checked at the start with the key of every team",
    "reserve_ids": "a sequence has no rows of a team",
    "skip_used_ids": "a sequence has no rows of a team, and teams are counted, too",
    "doctor_next_team": "the doctor checks all teams in order",
    "users_by_email": "a sign-in with a password does not name a team",
    "store_info": "the facts of the store itself, in a local table",
    "set_store_info": "the facts of the store itself, in a local table",
    "lock_store_info": "the facts of the store itself, in a local table",
    "any_channel": "a migration checks whether there are rows of any team",
    "other_sessions": "the sessions of the database have no rows of a team",
    "identity_next_team": "how a migration goes from one team to the next",
    "names_next_team": "how a migration goes from one team to the next",
    "doctor_indexes": "the catalogue has no rows of a team",
}
"""Statements that need not name a team, with the reason."""

MAY_BE_VOLATILE = {
    "reserve_ids": "taking numbers is its purpose, and it writes no row",
    "skip_used_ids": "setting sequences is its purpose, and it writes no row",
}

VOLATILE_FUNCTIONS = frozenset(
    {
        *("now", "statement_timestamp", "transaction_timestamp", "clock_timestamp", "timeofday"),
        *("random", "gen_random_uuid", "uuidv7", "nextval"),
        *("datetime", "date", "time", "julianday", "strftime", "unixepoch", "randomblob"),
    }
)
"""Functions whose result differs between calls, on either engine."""

_BARE_CLOCKS = re.compile(
    r"\bcurrent_(?:timestamp|time|date)\b|\blocaltime(?:stamp)?\b", re.IGNORECASE
)
_CALL = re.compile(r"\b([a-z_][a-z0-9_]*)\s*\(", re.IGNORECASE)
_VERB = re.compile(r"(?=\b(?:SELECT|INSERT INTO|DELETE FROM|(?<!DO )(?<!FOR )(?<!KEY )UPDATE)\b)")
_INNERMOST = re.compile(r"\(([^()]*)\)")
_READ = re.compile(r"\b(?:FROM|JOIN)\s+([a-z_]+)")
_JOIN = re.compile(
    r"\bJOIN\s+([a-z_]+)(?:\s+AS)?\s+([a-z_]+)\s+ON\s+([^;]*?)(?=\bJOIN\b|\bWHERE\b|$)"
)
_FIRST_COLUMN = re.compile(r"INSERT INTO\s+[a-z_]+\s*\(\s*([a-z_]+)")
_CONFLICT = re.compile(r"\bON CONFLICT\s*\(\s*([a-z_]+)")
_PINNED = re.compile(r"\bteam_id\s*=\s*[$?]\d+")


async def schema_faults(raw: Raw) -> list[str]:
    """Return the faults of every table in the catalogue of PostgreSQL."""
    tables = await catalogue.of_postgres(raw)
    faults = [fault for name, table in tables.items() for fault in _table_faults(name, table)]
    for [name] in await raw(_TRIGGERS):
        faults.append(f"{name} has a trigger")
    for name, column, kind in await raw(_IDENTITIES):
        faults.append(f"{name}.{column} is numbered by a {kind}, not by a bigint identity")
    for [function] in await raw(_FUNCTIONS):
        faults.append(f"there is a function of our own, {function}")
    return faults


def _table_faults(name: str, table: Table) -> list[str]:
    if "team_id" not in table.columns:
        return [f"{name} has no team_id: it would be a reference table"]
    faults = []
    if not starts_with_team(table.primary_key):
        faults.append(f"the primary key of {name} does not begin with team_id")
    if table.columns["team_id"]:
        faults.append(f"{name}.team_id may be null")
    for columns, _ in table.unique:
        if not starts_with_team(columns):
            faults.append(f"unique {columns} of {name} does not begin with team_id")
    for columns, to, to_columns, deleting in table.foreign_keys:
        if not (starts_with_team(columns) and starts_with_team(to_columns)):
            faults.append(f"the foreign key {columns} of {name} to {to} does not begin so")
        if deleting not in ("CASCADE", "RESTRICT"):
            faults.append(f"the foreign key {columns} of {name} does {deleting} on delete")
    return faults


def statement_faults(
    statements: Mapping[str, str], tables: AbstractSet[str], volatile: AbstractSet[str]
) -> list[str]:
    """Return the faults of named statements on `tables`; `volatile` functions are not allowed."""
    faults = []
    for name, text in statements.items():
        if name not in NOT_OF_ONE_TEAM:
            parts = _parts(" ".join(text.split()))
            faults += [f"{name} {fault}" for part in parts for fault in _part_faults(part, tables)]
        if name not in MAY_BE_VOLATILE:
            called = {call.lower() for call in _CALL.findall(text)} & volatile
            called |= {clock.lower() for clock in _BARE_CLOCKS.findall(text)}
            faults += [f"{name} calls {function}" for function in sorted(called)]
    return faults


def _parts(text: str) -> list[str]:
    """Return every SELECT, INSERT, UPDATE and DELETE of a statement, without nested statements."""
    parts: list[str] = []
    while match := _INNERMOST.search(text):
        inner = "{" + match[1] + "}"
        if _VERB.search(inner):
            parts += _VERB.split(match[1])
            inner = "{...}"
        text = text[: match.start()] + inner + text[match.end() :]
    parts += _VERB.split(text)
    return [part.replace("{", "(").replace("}", ")") for part in parts]


def _part_faults(part: str, tables: AbstractSet[str]) -> list[str]:
    """Return the faults of a SELECT, INSERT, UPDATE or DELETE."""
    if part.startswith("INSERT INTO"):
        columns = [*_FIRST_COLUMN.findall(part), *_CONFLICT.findall(part)]
        return [f"inserts by {column}, not by team_id" for column in columns if column != "team_id"]
    faults = []
    touches = part.startswith(("UPDATE", "DELETE")) or tables & set(_READ.findall(part))
    if touches and not _PINNED.search(part):
        faults.append(f"does not say which team: {part[:60]}")
    for table, alias, condition in _JOIN.findall(part):
        if not re.search(rf"\b{alias}\.team_id = (?:[a-z_]+\.team_id\b|[$?]\d)", condition):
            faults.append(f"joins {table} of any team")
    return faults


async def column_faults(
    connection: asyncpg.Connection[asyncpg.Record], statements: Mapping[str, str]
) -> list[str]:
    """Return the functions that statements must not apply to columns of rows that they write.

    Citus refuses an UPDATE, a DELETE, an ON CONFLICT clause or a RETURNING clause that applies a
    STABLE or VOLATILE function to a column. Operators and casts are functions, too: a cast of text
    to an array is STABLE. Other CTEs are statements of their own.
    """
    volatility = {row[0]: (row[1], row[2]) for row in await connection.fetch(_VOLATILITY)}
    conversions = {row[0]: (row[1], row[2]) for row in await connection.fetch(_CONVERSIONS)}
    faults = []
    for name, text in statements.items():
        applied = {
            function
            for tree in await node_trees.parsed(connection, text)
            for function in _applied_to_columns(tree, conversions, is_writing=False)
        }
        for title, kind in sorted(volatility[function] for function in applied):
            if kind != b"i":
                faults.append(f"{name} applies {title} to a column")
    return faults


def _applied_to_columns(
    node: Node, conversions: Mapping[int, tuple[int, int]], *, is_writing: bool
) -> Iterator[int]:
    """Yield the functions with a column as an argument in the writing parts of a tree."""
    if node.name in ("QUERY", "COMMONTABLEEXPR"):
        writes = node.number("commandType") in _WRITING
        is_writing = writes or (is_writing and node.name == "QUERY")
    if is_writing and _has_column(node):
        yield from (node.number(name) for name in _FUNCTIONS_OF_NODES if node.number(name))
        if node.name == "COERCEVIAIO":
            [argument] = node.children()
            yield conversions[node.number("resulttype")][0]
            yield conversions[argument.number(*_TYPES_OF_NODES)][1]
    for child in node.children():
        yield from _applied_to_columns(child, conversions, is_writing=is_writing)


def _has_column(node: Node) -> bool:
    return node.name == "VAR" or any(
        _has_column(child) for child in node.children() if child.name != "QUERY"
    )


_WRITING = (2, 3, 4)  # UPDATE, INSERT and DELETE among PostgreSQL's types of commands
_FUNCTIONS_OF_NODES = ("funcid", "opfuncid", "aggfnoid", "winfnoid")
_TYPES_OF_NODES = (
    *("vartype", "funcresulttype", "opresulttype", "resulttype", "consttype", "paramtype"),
    *("aggtype", "wintype", "coalescetype", "casetype"),
)
_VOLATILITY = "SELECT oid::bigint, oid::regprocedure::text, provolatile FROM pg_proc"
_CONVERSIONS = "SELECT oid::bigint, typinput::oid::bigint, typoutput::oid::bigint FROM pg_type"
_TRIGGERS = """
SELECT tgrelid::regclass::text FROM pg_trigger
WHERE NOT tgisinternal"""
_IDENTITIES = """
SELECT c.relname, a.attname,
       CASE WHEN a.attidentity = '' THEN 'serial' ELSE format_type(a.atttypid, NULL) END
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
  AND (a.attidentity <> '' AND a.atttypid <> 'bigint'::regtype
       OR a.attidentity = '' AND pg_get_expr(d.adbin, d.adrelid) ILIKE '%nextval%')"""
_FUNCTIONS = """
SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"""
