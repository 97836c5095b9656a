"""Shell completion, as docs/cli.md describes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "reachbook"


def complete(**variables: str) -> str:
    done = subprocess.run(
        [COMMAND],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_printed_for_each_shell(shell: str) -> None:
    script = complete(_REACHBOOK_COMPLETE=f"{shell}_source")
    assert "_REACHBOOK_COMPLETE" in script
    assert f"{shell}_complete" in script


def test_commands_are_completed() -> None:
    found = complete(_REACHBOOK_COMPLETE="bash_complete", COMP_WORDS="reachbook se", COMP_CWORD="1")
    assert {line.removeprefix("plain,") for line in found.split()} == {
        "secret",
        "serve",
        "settings",
    }
