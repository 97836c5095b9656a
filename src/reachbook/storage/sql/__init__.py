"""Every statement the program can send: a page per noun, each statement named and explained.

A read is written once, in the dialect both stores share; what is best written twice is marked
with its engine and stands side by side on the same page.
"""

from __future__ import annotations

import re
from importlib.resources import files

_STATEMENT = re.compile(
    r"^-- name: (?P<name>\w+)(?: \[(?P<engine>\w+)\])?\n(?P<text>.*?;)$", re.MULTILINE | re.DOTALL
)
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
_PARAMETER = re.compile(r"\$(\d+)")


def statements(engine: str) -> dict[str, str]:
    """Every statement that one engine can be sent, by name, in that engine's spelling."""
    return {
        match["name"]: _spelled(match["text"], engine)
        for page in _pages()
        for match in _STATEMENT.finditer(page)
        if match["engine"] in (None, engine)
    }


def _pages() -> list[str]:
    pages = (page for page in files(__name__).iterdir() if page.name.endswith(".sql"))
    return [page.read_text() for page in sorted(pages, key=lambda page: page.name)]


def _spelled(text: str, engine: str) -> str:
    bare = _COMMENT.sub("", text).rstrip(";")
    return _PARAMETER.sub(r"?\1", bare) if engine == "sqlite" else bare
