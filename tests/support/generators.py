"""Commands of generators of clients, and the npm packages that some of them are.

The packages are pinned in the package-lock.json of generated_clients, and installed once, in the
user's cache directory.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

LOCKED = ("package.json", "package-lock.json", ".npmrc")
INSTALL_SECONDS = 90
TOOL_SECONDS = 120
NODE = (20, 19)
UNREACHABLE = re.compile(
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|E(?:NET|HOST)UNREACH"
)
ENVIRONMENT = {
    "NO_COLOR": "1",
    "CI": "1",
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    # A proxy of the environment is not for loopback; programs read either name.
    "NO_PROXY": "127.0.0.1",
    "no_proxy": "127.0.0.1",
}


def installed(locked: Path) -> Path:
    """Returns the directory where the packages of a folder's package-lock.json are installed.

    Skips the test if there is no Node.js that can run them, or no npm registry.
    """
    if None in [shutil.which(name) for name in ("node", "npm")]:
        pytest.skip("needs node and npm")
    version = run("node", "--version", folder=locked).strip()
    if tuple(int(part) for part in version[1:].split(".")[:2]) < NODE:
        pytest.skip(f"needs Node.js {'.'.join(map(str, NODE))} or newer, not {version}")
    digest = hashlib.sha256(b"".join((locked / name).read_bytes() for name in LOCKED)).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reachbook-tests"
    target = cache / f"generated-clients-{digest[:16]}"
    if not target.exists():
        _install(locked, target)
    return target


def _install(locked: Path, target: Path) -> None:
    """Install the locked packages, then move them into place; another run may be first."""
    aside = target.with_name(f"{target.name}.{os.getpid()}")
    aside.mkdir(parents=True)
    try:
        for name in LOCKED:
            shutil.copy(locked / name, aside / name)
        retries = ("--fetch-retries=1", "--fetch-timeout=20000")
        done = execute("npm", "ci", *retries, folder=aside, seconds=INSTALL_SECONDS)
        if done.returncode != 0 and UNREACHABLE.search(done.stderr):
            pytest.skip("the npm registry cannot be reached")
        assert done.returncode == 0, done.stderr
        if not target.exists():
            aside.rename(target)
    except subprocess.TimeoutExpired:
        pytest.skip(f"the npm registry did not deliver within {INSTALL_SECONDS} s")
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def execute(
    *command: str | Path,
    folder: Path,
    seconds: float = TOOL_SECONDS,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; commands of the virtual environment are on its path."""
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, **ENVIRONMENT, **(variables or {})},
    )


def run(*command: str | Path, folder: Path, variables: Mapping[str, str] | None = None) -> str:
    """Returns the output of a command; a failure shows all of it."""
    done = execute(*command, folder=folder, variables=variables)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr
