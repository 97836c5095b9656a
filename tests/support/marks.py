"""Assigns the markers `postgres` and `process` to collected tests.

Markers that are written by hand are forgotten, and `make test-fast` then becomes slower with each
such test. So the markers follow from the fixtures and the code that a test uses.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

POSTGRES_FIXTURES = {"postgres", "empty_postgres", "shared_postgres", "cluster"}
# Names that start a process: of the standard library, and of reachbook.testing.
STARTERS = {
    *("Popen", "check_output", "create_subprocess_exec", "create_subprocess_shell"),
    "run_sandbox",
}


def mark(item: pytest.Item) -> None:
    """Add `postgres` and `process` to a test that needs them."""
    if not isinstance(item, pytest.Function):
        return
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    if POSTGRES_FIXTURES & set(item.fixturenames) or "postgres" in map(str, parameters):
        item.add_marker(pytest.mark.postgres)
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    functions = [item.function, *(fixture.func for group in fixtures for fixture in group)]
    if any(starts_process(function) for function in functions):
        item.add_marker(pytest.mark.process)


@cache
def starts_process(function: Any) -> bool:
    """Return whether a function, or any function of tests/ that it can call, starts a process."""
    seen: set[Any] = set()
    pending = [function]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        names = set(_names(current.__code__))
        if names & STARTERS or ("run" in names and "subprocess" in names):
            return True
        pending.extend(_reached(current, names))
    return False


def _reached(function: FunctionType, names: set[str]) -> Iterator[FunctionType]:
    """Yield the functions of tests/ that the names in a function's code stand for."""
    for name in names & function.__globals__.keys():
        yield from _functions(function.__globals__[name], names)


def _functions(value: Any, names: set[str]) -> Iterator[FunctionType]:
    """Yield the function that a global is, or the functions that are in it."""
    if isinstance(value, ModuleType) and value.__name__.startswith("tests."):
        members = [vars(value)[name] for name in names & vars(value).keys()]
    elif isinstance(value, type) and value.__module__.startswith("tests."):
        members = [getattr(member, "fget", member) for member in vars(value).values()]
    else:
        members = [value]
    for member in members:
        function = inspect.unwrap(member) if callable(member) else member
        if isinstance(function, FunctionType) and function.__module__.startswith("tests."):
            yield function


def _names(code: CodeType) -> Iterator[str]:
    """Yield the global and attribute names in a function's code, nested functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
