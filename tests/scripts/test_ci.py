"""scripts/ci.sh runs all checks on the first installed Python, and prints the missing versions."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEFAULT = f"{sys.version_info.major}.{sys.version_info.minor}"


def ci(tmp_path: Path, *versions: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a copy where `make` only prints its arguments."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "make").write_text("#!/bin/sh\necho make $1\n")
    (programs / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for file in programs.iterdir():
        file.chmod(0o755)
    for name in ("scripts/ci.sh", "requirements/find_python.sh"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    return subprocess.run(
        ["bash", str(tmp_path / "scripts/ci.sh"), *versions],
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_the_first_installed_version_runs_all_checks(tmp_path: Path) -> None:
    done = ci(tmp_path, "3.99", DEFAULT, DEFAULT)

    assert done.stdout.splitlines() == [
        "not run: Python 3.99 is not installed",
        "make browser",
        "make check",
        "make test",
    ]
    assert done.returncode == 0


def test_ci_fails_if_no_version_is_installed(tmp_path: Path) -> None:
    done = ci(tmp_path, "3.98", "3.99")

    assert done.returncode == 1
    assert "none of these versions of Python is installed: 3.98 3.99" in done.stderr
