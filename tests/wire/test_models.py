"""The models can be used by a client: they load quickly, and without the server's libraries."""

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
    """Return the output of a program in a fresh interpreter, without the paths of a user."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, check=True, timeout=60
    )
    return done.stdout.decode()


def test_they_import_msgspec_and_light_modules_alone() -> None:
    program = (
        f"import sys, msgspec; before = set(sys.modules); import {MODELS}\n"
        "print(*(set(sys.modules) - before))"
    )
    imported = set(run(program).split())

    assert {name for name in imported if name.partition(".")[0] == "reachbook"} == LIGHT
    others = {name.partition(".")[0] for name in imported} - {"reachbook"}
    assert others <= sys.stdlib_module_names


def test_they_import_in_less_than_30_ms() -> None:
    """Processor time, and the best of some attempts: other programs run on the machine."""
    program = (
        "import time, msgspec, enum, typing; began = time.process_time()\n"
        f"import {MODELS}\n"
        "print(time.process_time() - began)"
    )

    assert min(float(run(program)) for _ in range(ATTEMPTS)) < IMPORT_SECONDS
