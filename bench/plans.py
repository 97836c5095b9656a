"""Requests as templates, which both load generators fill in for each request.

The marks stand for the next value of the shape, the next number (16 digits, never used before) and
the next token. Every filled body of a shape has the same length.
"""

from __future__ import annotations

import random
import re
import time

import msgspec

VALUE, NUMBER, TOKEN = "\0V", "\0N", "\0T"
NUMBER_DIGITS = 16

_MARKS = {VALUE: 1, NUMBER: 2, TOKEN: 3}


class Shape(msgspec.Struct, frozen=True):
    """A request with marks; `values` all have the same length."""

    text: str
    values: list[str]


class Plan(msgspec.Struct, frozen=True):
    """Shapes, the order in which they take turns (indexes, repeated), and tokens.

    `may_refuse` says that a status of 400 or more is a correct response.
    """

    shapes: list[Shape]
    tokens: list[str]
    order: tuple[int, ...] = (0,)
    may_refuse: bool = False


class Filler:
    """Fills in one request after the other, as wrk.lua does."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._turn = -1
        self._number = first_number()
        self._token = random.randrange(len(plan.tokens))
        self._at = [random.randrange(len(shape.values)) for shape in plan.shapes]
        self._parts = [parts(shape.text) for shape in plan.shapes]

    def next(self) -> bytes:
        """Returns the next request."""
        self._turn = (self._turn + 1) % len(self._plan.order)
        index = self._plan.order[self._turn]
        return "".join(self._fill(index, part) for part in self._parts[index]).encode()

    def _fill(self, index: int, part: str | int) -> str:
        if isinstance(part, str):
            return part
        if part == _MARKS[NUMBER]:
            self._number += 1
            return f"{self._number:0{NUMBER_DIGITS}d}"
        if part == _MARKS[TOKEN]:
            self._token = (self._token + 1) % len(self._plan.tokens)
            return self._plan.tokens[self._token]
        values = self._plan.shapes[index].values
        self._at[index] = (self._at[index] + 1) % len(values)
        return values[self._at[index]]


def request(method: str, path: str, values: list[str], body: str = "") -> Shape:
    """Returns the shape of a request with a token; path and body may hold marks."""
    length = len(_with_example(body, values[0]).encode())
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    return Shape(head + body, values)


def parts(text: str) -> list[str | int]:
    """Returns the texts between marks, and 1, 2 or 3 for the marks."""
    pieces = re.split("(\0[VNT])", text)
    return [_MARKS.get(piece, piece) for piece in pieces if piece]


def first_number() -> int:
    """Returns a number above all those that earlier runs used: they count slower than the clock."""
    return time.time_ns() // 1_000


def as_lua(plan: Plan) -> str:
    """Returns the plan as a Lua program that returns it."""
    shapes = ",".join(
        f"{{parts={_lua_list(parts(shape.text))},values={_lua_list(shape.values)},"
        f"first_value={random.randrange(len(shape.values))}}}"
        for shape in plan.shapes
    )
    order = _lua_list([index + 1 for index in plan.order])
    tokens = _lua_list(plan.tokens)
    return (
        f"return {{shapes={{{shapes}}},order={order},tokens={tokens},"
        f"start={first_number()},first_token={random.randrange(len(plan.tokens))}}}"
    )


def _lua_list(items: list[str] | list[int] | list[str | int]) -> str:
    return "{" + ",".join(_lua(item) for item in items) + "}"


def _lua(item: str | int) -> str:
    if isinstance(item, int):
        return str(item)
    return '"' + re.sub(r"[^ !#-\[\]-~]", lambda found: f"\\{ord(found[0]):03d}", item) + '"'


def _with_example(body: str, value: str) -> str:
    return body.replace(VALUE, value).replace(NUMBER, "0" * NUMBER_DIGITS)
