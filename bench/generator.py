"""The load generator: wrk if it is on the path, else a slower one in a process of Python."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from bench.machine import ROOT
from bench.plans import Plan, as_lua

CONNECTIONS = 32
GRACE_SECONDS = 30.0
FALLBACK = "bench/asyncio_generator.py, one process of Python"

_HERE = Path(__file__).parent
_WRK = shutil.which("wrk")


class Load(msgspec.Struct, frozen=True):
    """The result of the generator: `p50` and `p99` in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int
    failed: int


class LoadError(Exception):
    """The generator failed, or a response was not the expected one."""


class NoResponseError(LoadError):
    """The whole time passed without a response, as when other programs take both cores."""


def name() -> str:
    """Returns the name and version of the generator."""
    if _WRK is None:
        return FALLBACK
    # wrk prints its version, and ends with an error because it has no URL.
    output = subprocess.run([_WRK, "-v"], capture_output=True, text=True, timeout=10, check=False)
    return " ".join(output.stdout.split()[:2]) or "wrk"


def send(plan: Plan, port: int, seconds: int, connections: int = CONNECTIONS) -> Load:
    """Send the requests of a plan to a server on loopback, for at least a second."""
    with tempfile.TemporaryDirectory(prefix="reachbook-bench-plan-") as folder:
        if _WRK is None:
            file = Path(folder) / "plan.json"
            file.write_bytes(msgspec.json.encode(plan))
            flags = [str(file), str(port), str(seconds), str(connections)]
            command = [sys.executable, "-m", "bench.asyncio_generator", *flags]
        else:
            file = Path(folder) / "plan.lua"
            file.write_text(as_lua(plan))
            flags = ["--threads", "1", "--connections", str(connections), "--timeout", "10s"]
            flags += ["--duration", f"{seconds}s", "--script", str(_HERE / "wrk.lua")]
            command = [_WRK, *flags, f"http://127.0.0.1:{port}/", str(file)]
        load = _run(command, seconds)
    if load.failed or (load.refused and not plan.may_refuse):
        raise LoadError(f"{load.refused} responses were errors, {load.failed} connections failed")
    if not load.requests:
        raise NoResponseError("there was no response")
    return load


def _run(command: list[str], seconds: int) -> Load:
    bound = seconds + GRACE_SECONDS
    try:
        output = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=bound, check=True
        ).stdout
    except subprocess.CalledProcessError as error:
        raise LoadError(f"the load generator failed: {error.stderr.strip()[-300:]}") from None
    except subprocess.TimeoutExpired:
        raise LoadError(f"the load generator did not end within {bound:g} s") from None
    for line in output.splitlines():
        if line.startswith("RESULT "):
            requests, duration, p50, p99, refused, failed = map(int, line.split()[1:])
            return Load(requests, duration / 1e6, p50 / 1e3, p99 / 1e3, refused, failed)
    raise LoadError(f"the load generator printed no result: {output.strip()[-300:]}")
