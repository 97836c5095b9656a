"""Every statement that the program can send: a file for each table, each statement named.

A statement that both engines accept is written once. A statement that needs two forms is marked
with its engine, and the two forms follow each other.

A list of columns is written once, after `-- columns: NAME`, each column with its type on
PostgreSQL. A statement includes the list in one of four forms. Some of them name a table, or the
number of the first parameter:

    {columns of channel}, {columns of channel in ch}        id, ...              ch.id, ...
    {types of channel}                                      id bigint, ...
    {parameters of channel from 3}                          $3, $4, ...
    {assignments of channel in new}, {assignments of channel from 3}
                                                            id = new.id, ...     id = $3, ...
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_STATEMENT = re.compile(
    r"^-- name: (?P<name>\w+)(?: \[(?P<engine>\w+)\])?\n(?P<text>.*?;)$", re.MULTILINE | re.DOTALL
)
_COLUMNS = re.compile(r"^-- columns: (?P<name>\w+)\n(?P<text>.*?);$", re.MULTILINE | re.DOTALL)
_INCLUDED = re.compile(
    r"\{(?P<form>\w+) of (?P<name>\w+)(?: in (?P<table>\w+))?(?: from (?P<first>\d+))?\}"
)
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
_PARAMETER = re.compile(r"\$(\d+)")


def statements(engine: str) -> dict[str, str]:
    """Returns every statement that an engine can be sent, by name, in the dialect of the engine."""
    return {
        match["name"]: _in_dialect(match["text"], engine)
        for page in _pages()
        for match in _STATEMENT.finditer(page)
        if match["engine"] in (None, engine)
    }


def columns(*lists: str) -> tuple[str, ...]:
    """Returns the names of the columns in lists; raise `LookupError` if a list does not exist."""
    return tuple(column for name in lists for column in _list(name))


@cache
def _pages() -> list[str]:
    pages = {page.name: page for page in files(__name__).iterdir() if page.name.endswith(".sql")}
    return [pages[name].read_text() for name in sorted(pages)]


@cache
def _lists() -> dict[str, dict[str, str]]:
    """Returns the lists of columns by name: the type of each column by its name."""
    return {
        match["name"]: dict(
            column.split(maxsplit=1) for column in _COMMENT.sub("", match["text"]).split(",")
        )
        for page in _pages()
        for match in _COLUMNS.finditer(page)
    }


def _list(name: str) -> dict[str, str]:
    if name not in _lists():
        raise LookupError(f"no .sql file has a list of columns {name}")
    return _lists()[name]


def _in_dialect(text: str, engine: str) -> str:
    bare = _INCLUDED.sub(_expand, _COMMENT.sub("", text).rstrip(";"))
    return _PARAMETER.sub(r"?\1", bare) if engine == "sqlite" else bare


def _expand(included: re.Match[str]) -> str:
    types = _list(included["name"])
    prefix = f"{included['table']}." if included["table"] else ""
    first = int(included["first"] or 0)
    values = [
        f"${first + place}" if first else f"{prefix}{name}" for place, name in enumerate(types)
    ]
    match included["form"]:
        case "columns" | "parameters":
            listed = values
        case "types":
            listed = [f"{name} {kind}" for name, kind in types.items()]
        case "assignments":
            listed = [f"{name} = {value}" for name, value in zip(types, values, strict=True)]
        case form:
            raise LookupError(f"{form} is not a form of a list of columns")
    return ", ".join(listed)
