"""Statements as PostgreSQL has parsed them: every function, operator and cast by its number.

PostgreSQL stores the parsed body of an SQL function as text, a tree of `{NAME :field value ...}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import asyncpg

_TOKEN = re.compile(r"[{}()]|(?:\\.|[^\s{}()\\])+")


@dataclass
class Node:
    """A node of a tree: its name, and the values of its fields, which may be nodes or lists."""

    name: str
    fields: dict[str, list[object]] = field(default_factory=dict)

    def number(self, *names: str) -> int:
        """Returns the number in the first of the fields that the node has, or 0."""
        found = next((self.fields[name] for name in names if name in self.fields), ["0"])
        return int(str(found[0]))

    def children(self) -> Iterator[Node]:
        """The nodes in the fields of this one."""
        for values in self.fields.values():
            yield from _nodes_in(values)


async def parsed(connection: asyncpg.Connection[asyncpg.Record], text: str) -> list[Node]:
    """Returns the trees of a statement. Nothing is left in the database."""
    await connection.execute(f"PREPARE planted AS {text}")
    types = await connection.fetchval(
        "SELECT array_to_string(parameter_types, ', ') FROM pg_prepared_statements"
        " WHERE name = 'planted'"
    )
    await connection.execute("DEALLOCATE planted")
    begun = connection.transaction()
    await begun.start()
    try:
        await connection.execute(
            f"CREATE FUNCTION planted({types}) RETURNS void BEGIN ATOMIC {text}; END"
        )
        body = await connection.fetchval(
            "SELECT prosqlbody::text FROM pg_proc WHERE proname = 'planted'"
        )
    finally:
        await begun.rollback()
    return list(_nodes_in(_read(iter(_TOKEN.findall(body)), "")))


def _nodes_in(values: list[object]) -> Iterator[Node]:
    for value in values:
        if isinstance(value, Node):
            yield value
        elif isinstance(value, list):
            yield from _nodes_in(value)


def _read(tokens: Iterator[str], end: str) -> list[object]:
    """Returns the values up to the end of a list."""
    values: list[object] = []
    for token in tokens:
        if token == end:
            break
        if token == "{":
            values.append(_read_node(tokens))
        else:
            values.append(_read(tokens, ")") if token == "(" else token)
    return values


def _read_node(tokens: Iterator[str]) -> Node:
    node = Node(next(tokens))
    values: list[object] = []
    for value in _read(tokens, "}"):
        if isinstance(value, str) and value.startswith(":"):
            values = node.fields.setdefault(value[1:], [])
        else:
            values.append(value)
    return node
