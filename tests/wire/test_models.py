"""A client can import the models quickly, and without the server's libraries."""

from __future__ import annotations

import subprocess
import sys

MODELS = "reachbook.wire.models.v2, reachbook.wire.models.x, reachbook.wire.models.errors"
LIGHT = {
    "reachbook",
    "reachbook.domain",
    *(f"reachbook.domain.{name}" for name in ("consent", "errors", "event_kind", "limits")),
    "reachbook.wire",
    "reachbook.wire.models",
    *(f"reachbook.wire.models.{name}" for name in ("errors", "fields", "v2", "x")),
}
IMPORT_SECONDS = 0.03
ATTEMPTS = 10


def run(program: str) -> str:
    """Returns the output of a program in a new interpreter, without the user's site-packages."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode()


def test_the_models_import_only_msgspec_and_light_modules() -> None:
    program = (
        f"import sys, msgspec; before = set(sys.modules); import {MODELS}\n"
        "print(*(set(sys.modules) - before))"
    )
    imported = set(run(program).split())

    assert {name for name in imported if name.partition(".")[0] == "reachbook"} == LIGHT
    others = {name.partition(".")[0] for name in imported} - {"reachbook"}
    assert others <= sys.stdlib_module_names


def test_the_models_are_imported_within_30_ms() -> None:
    """The least CPU time of several attempts, because other programs run on the machine."""
    program = (
        "import time, msgspec, enum, typing; began = time.process_time()\n"
        f"import {MODELS}\n"
        "print(time.process_time() - began)"
    )

    assert min(float(run(program)) for _ in range(ATTEMPTS)) < IMPORT_SECONDS
