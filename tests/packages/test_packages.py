"""The wheel and the sdist: two builds are equal, and each extra works in a clean environment."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 300

CLIENT = """
from reachbook.client import ApiKey, Client
Client("http://127.0.0.1:9", ApiKey("k" * 20)).close()
"""


def run(*command: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def build(folder: Path) -> dict[str, str]:
    """Build both packages; returns their hashes by name."""
    built = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_two_builds_are_equal(tmp_path: Path) -> None:
    first = build(tmp_path / "first")

    assert len(first) == 2
    assert build(tmp_path / "second") == first


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    build(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["whl", "tar.gz"])
def test_the_package_alone_has_the_client(packages: Path, tmp_path: Path, kind: str) -> None:
    python = install(packages, tmp_path, kind, "")

    assert run(python, "-c", CLIENT, cwd=tmp_path).returncode == 0
    command = run(python.parent / "reachbook", "--help", cwd=tmp_path)
    assert command.returncode == 1
    assert "pip install 'reachbook[server]'" in command.stderr
    assert "Traceback" not in command.stderr


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["server", "redis"])
def test_an_extra_has_the_command(packages: Path, tmp_path: Path, extra: str) -> None:
    python = install(packages, tmp_path, "whl", f"[{extra}]")

    settings = run(python.parent / "reachbook", "settings", cwd=tmp_path)
    assert settings.returncode == 0, settings.stderr
    assert "8080" in settings.stdout


def install(packages: Path, folder: Path, kind: str, extras: str) -> Path:
    """Install a package in a new environment; returns its interpreter."""
    [package] = packages.glob(f"*.{kind}")
    made = run(sys.executable, "-m", "venv", folder / "venv")
    assert made.returncode == 0, made.stderr
    python = folder / "venv" / "bin" / "python"
    installed = run(python, "-m", "pip", "install", "--quiet", f"{package}{extras}")
    assert installed.returncode == 0, installed.stderr
    return python
