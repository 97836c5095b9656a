"""The release check: the tag, the package's version and the changelog must agree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "scripts" / "release_check.py"
RELEASED = "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-11-26\n\n## [1.1.0] - 2026-10-01\n"


def run_check(root: Path, tag: str, version: str, changelog: str) -> tuple[int, str]:
    """Run the check in a tree with these texts; return its exit code and standard error."""
    (root / "scripts").mkdir()
    (root / "src" / "reachbook").mkdir(parents=True)
    shutil.copy(PROGRAM, root / "scripts")
    (root / "src" / "reachbook" / "__init__.py").write_text(f'__version__ = "{version}"\n')
    (root / "CHANGELOG.md").write_text(changelog)
    command = [sys.executable, str(root / "scripts" / PROGRAM.name), *([tag] if tag else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stderr


def test_a_consistent_release_passes(tmp_path: Path) -> None:
    assert run_check(tmp_path, "v1.2.0", "1.2.0", RELEASED) == (0, "")


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "message"),
    [
        ("v1.3.0", "1.2.0", RELEASED, "The package's version is 1.2.0; the tag says 1.3.0."),
        ("v1.1.0", "1.1.0", RELEASED, "The newest release in CHANGELOG.md is 1.2.0"),
        ("1.2.0", "1.2.0", RELEASED, "The tag must be v and the version"),
        ("v1.2.0", "1.2.0", RELEASED.replace(" - 2026-11-26", ""), "must end with its date"),
        ("v1.2.0", "1.2.0", "## [Unreleased]\n", "The newest release in CHANGELOG.md is none"),
        ("", "1.2.0", RELEASED, "Usage: make release-check TAG=v1.2.0"),
    ],
)
def test_a_disagreement_is_reported(
    tmp_path: Path, tag: str, version: str, changelog: str, message: str
) -> None:
    code, errors = run_check(tmp_path, tag, version, changelog)

    assert (code, message in errors) == (1, True), errors
