"""Numbered steps from an empty database to this program's schema, a file for each engine.

A file is named `NUMBER_NAME.ENGINE.sql`, and its statements must not change once it is released.
"""

from __future__ import annotations

from importlib.resources import files
from operator import attrgetter

from msgspec import Struct

from reachbook.domain.errors import Refusal
from reachbook.storage.engine import unfit

STORE_INFO = 6
"""The version of the schema that added the table store_info."""


class Step(Struct, frozen=True):
    """One migration: the version it leads to, its name, and its statements."""

    version: int
    name: str
    text: str


def steps(engine: str, *, after: int = 0) -> list[Step]:
    """Returns the migrations of an engine after a version, in order."""
    found = []
    for file in files(__name__).iterdir():
        if file.name.endswith(f".{engine}.sql"):
            version, _, name = file.name.removesuffix(f".{engine}.sql").partition("_")
            found.append(Step(int(version), name, file.read_text()))
    return sorted((step for step in found if step.version > after), key=attrgetter("version"))


def newest(engine: str) -> int:
    """Returns the version of this program's schema."""
    return steps(engine)[-1].version


def refuse_newer(found: int, engine: str) -> None:
    """Raises if a newer release made the schema: the meaning of its rows is unknown."""
    known = newest(engine)
    if found > known:
        raise unfit(
            f"The database has schema version {found}, and this release knows up to {known}: "
            "a newer Reachbook has migrated it. Run that release or a newer one."
        )


def not_a_reachbook_store(message: str) -> Refusal:
    """Returns the error for a database that has a table of another program.

    `message` is the error of the database for a step of the migration.
    """
    return unfit(
        f"The database has tables of another program ({message}); give Reachbook a database of "
        "its own."
    )
