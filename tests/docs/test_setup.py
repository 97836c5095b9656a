"""`make setup`: the Python that it chooses, the error if there is none, the locked packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIND = ROOT / "requirements" / "find_python.sh"
LOCK = ROOT / "requirements" / "tools.txt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
RESOLVE_SECONDS = 120

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def create_python(directory: Path, name: str, *, version: str, is_usable: bool) -> Path:
    """Create an executable that responds like an interpreter to `--version` and to the check."""
    file = directory / name
    probe = f"exit {int(not is_usable)}"
    file.write_text(f'#!/bin/sh\n[ "$1" != --version ] && {probe}\necho "Python {version}"\n')
    file.chmod(0o755)
    return file


def find(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the search with only the directory `path`, and `head`, on the search path."""
    head = shutil.which("head")
    assert head
    (path / "head").symlink_to(head)
    return subprocess.run(
        ["/bin/sh", str(FIND), *arguments],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )


def test_python3_is_chosen_if_usable(tmp_path: Path) -> None:
    python3 = create_python(tmp_path, "python3", version="3.14.1", is_usable=True)
    create_python(tmp_path, "python3.15", version="3.15.0", is_usable=True)

    assert find(tmp_path).stdout == f"{python3}\n"


def test_a_newer_python_is_chosen_if_python3_is_not_usable(tmp_path: Path) -> None:
    create_python(tmp_path, "python3", version="3.9.2", is_usable=False)
    create_python(tmp_path, "python3.11", version="3.11.7", is_usable=True)
    newest = create_python(tmp_path, "python3.13", version="3.13.0", is_usable=True)
    create_python(tmp_path, "python3.14", version="3.14.0", is_usable=False)

    assert find(tmp_path).stdout == f"{newest}\n"


def test_a_named_python_that_is_not_usable_is_refused(tmp_path: Path) -> None:
    named = create_python(tmp_path, "python3.9", version="3.9.2", is_usable=False)
    create_python(tmp_path, "python3", version="3.13.0", is_usable=True)

    refused = find(tmp_path, str(named))

    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"found: Python 3.9.2 ({named})." in refused.stderr


@pytest.mark.parametrize("names", [(), ("python3",), ("python3", "python3.11")])
def test_the_error_names_the_packages_to_install(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        create_python(tmp_path, name, version="3.8.10", is_usable=False)

    refused = find(tmp_path)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("Reachbook needs Python 3.11 or newer with the venv module; ")
    assert all(f"({tmp_path}/{name})" in refused.stderr for name in names)
    assert "apt install python3 python3-venv" in refused.stderr


def test_the_running_python_is_usable() -> None:
    """The check in the script runs on a real interpreter."""
    found = subprocess.run(
        ["sh", str(FIND), sys.executable], capture_output=True, text=True, timeout=10, check=True
    )

    assert found.stdout == f"{sys.executable}\n"


@needs_make
def test_make_setup_stops_before_pip_if_python_is_too_old(tmp_path: Path) -> None:
    old = create_python(tmp_path, "python3", version="3.9.2", is_usable=False)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}

    refused = subprocess.run(
        ["make", "setup", f"PYTHON={old}", f"VENV={tmp_path}/venv"],
        cwd=ROOT,
        env={**environment, "MAKEFLAGS": "", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    sentence, by_make = refused.stderr.splitlines()
    assert sentence.startswith("Reachbook needs Python 3.11 or newer")
    assert by_make.startswith("make: *** ")
    assert not (tmp_path / "venv").exists()


def test_no_lock_file_names_a_registry() -> None:
    """Each user has configured a registry."""
    ours = [file.read_text() for file in (ROOT / "requirements").glob("*.txt")]
    from_npm = json.loads(
        (ROOT / "tests/http/openapi/generated_clients/package-lock.json").read_text()
    )
    for package in from_npm["packages"].values():
        package.pop("funding", None)

    assert [text for text in [*ours, json.dumps(from_npm)] if "://" in text] == []


@pytest.mark.parametrize("version", PYTHONS)
def test_every_locked_package_has_a_wheel(tmp_path: Path, version: str) -> None:
    """The lock file resolves for each Python, only from wheels and with hashes."""
    resolved = subprocess.run(
        [
            *(Path(sys.executable).with_name("uv"), "pip", "install", "--dry-run", "--quiet"),
            *("--python-version", version, "--python", sys.executable, "--target", tmp_path),
            *("--only-binary", ":all:", "--require-hashes", "--requirement", LOCK),
        ],
        capture_output=True,
        text=True,
        timeout=RESOLVE_SECONDS,
        check=False,
    )

    if "error sending request" in resolved.stderr or "Failed to fetch" in resolved.stderr:
        pytest.skip("the package registry cannot be reached")
    assert resolved.returncode == 0, resolved.stderr
