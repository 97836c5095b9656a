"""The example project passes with the pytest plugin, alone and with pytest-xdist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "crm_sync"
SECONDS = 120


@pytest.mark.parametrize("options", [[], ["--numprocesses", "2"]], ids=["alone", "xdist"])
def test_the_example_passes(tmp_path: Path, options: list[str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run(
        [*command, f"--basetemp={tmp_path / 'temporary'}"],
        cwd=EXAMPLE,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^200 passed in ", done.stdout, re.MULTILINE)
