"""`make setup`: which Python it takes, its message if there is none, and the locked packages."""

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


def plant(directory: Path, name: str, *, version: str, fit: bool) -> Path:
    """An executable that answers as an interpreter does to `--version` and to the probe."""
    file = directory / name
    probe = f"exit {int(not fit)}"
    file.write_text(f'#!/bin/sh\n[ "$1" != --version ] && {probe}\necho "Python {version}"\n')
    file.chmod(0o755)
    return file


def find(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The outcome of the search with only the directory `path`, and `head`, on the search path."""
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


def test_python3_is_taken_if_it_is_fit(tmp_path: Path) -> None:
    python3 = plant(tmp_path, "python3", version="3.14.1", fit=True)
    plant(tmp_path, "python3.15", version="3.15.0", fit=True)

    assert find(tmp_path).stdout == f"{python3}\n"


def test_a_newer_python_on_the_path_is_taken_if_python3_is_not_fit(tmp_path: Path) -> None:
    plant(tmp_path, "python3", version="3.9.2", fit=False)
    plant(tmp_path, "python3.11", version="3.11.7", fit=True)
    newest = plant(tmp_path, "python3.13", version="3.13.0", fit=True)
    plant(tmp_path, "python3.14", version="3.14.0", fit=False)

    assert find(tmp_path).stdout == f"{newest}\n"


def test_a_python_that_was_named_is_not_replaced_by_another(tmp_path: Path) -> None:
    named = plant(tmp_path, "python3.9", version="3.9.2", fit=False)
    plant(tmp_path, "python3", version="3.13.0", fit=True)

    refused = find(tmp_path, str(named))

    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"found: Python 3.9.2 ({named})." in refused.stderr


@pytest.mark.parametrize("names", [(), ("python3",), ("python3", "python3.11")])
def test_one_sentence_says_what_to_install(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        plant(tmp_path, name, version="3.8.10", fit=False)

    refused = find(tmp_path)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("Reachbook needs Python 3.11 or newer with the venv module; ")
    assert all(f"({tmp_path}/{name})" in refused.stderr for name in names)
    assert "apt install python3 python3-venv" in refused.stderr


def test_this_python_is_fit() -> None:
    """The probe in the script runs on a real interpreter."""
    found = subprocess.run(
        ["sh", str(FIND), sys.executable], capture_output=True, text=True, timeout=10, check=True
    )

    assert found.stdout == f"{sys.executable}\n"


@needs_make
def test_make_setup_stops_before_pip_if_python_is_too_old(tmp_path: Path) -> None:
    old = plant(tmp_path, "python3", version="3.9.2", fit=False)
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
    """The user has configured a registry."""
    ours = [file.read_text() for file in (ROOT / "requirements").glob("*.txt")]
    from_npm = json.loads(
        (ROOT / "tests/http/openapi/generated_clients/package-lock.json").read_text()
    )
    for package in from_npm["packages"].values():
        package.pop("funding", None)

    assert [text for text in [*ours, json.dumps(from_npm)] if "://" in text] == []


@pytest.mark.parametrize("version", PYTHONS)
def test_every_locked_package_has_a_wheel(tmp_path: Path, version: str) -> None:
    """The lock resolves for each Python from wheels alone, with hashes."""
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
