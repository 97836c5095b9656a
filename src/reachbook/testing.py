"""A sandbox as a process, for tests of an integration in any framework.

`pytest_plugin` makes fixtures of it. It needs `reachbook[sandbox]`.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Literal

import httpx

from reachbook.client import ApiKey, ApiSecret

START_SECONDS = 30.0
MAX_LOG_LINES = 20
STOP_SECONDS = 15.0
REQUEST_SECONDS = 20.0

FaultKind = Literal[
    "401", "409", "429", "500", "503", "hang", "disconnect", "disconnect_after", "slow"
]


class SandboxError(Exception):
    """The sandbox did not start, or refused a request to a route under `/sandbox`."""


class Faults:
    """The faults of a sandbox: the next requests to a route fail or are slow."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def add(
        self,
        fault: FaultKind,
        *,
        method: str | None = None,
        path: str = "*",
        times: int = 1,
        milliseconds: int = 1000,
    ) -> None:
        """Queue a fault for the next `times` requests with a method and a path.

        `*` in the path is any text. `milliseconds` is for `slow`. Requests that meet `slow` or
        `disconnect_after` are executed, and others are not. Raises `SandboxError` if the sandbox
        does not understand the fault.
        """
        body: dict[str, object] = {"fault": fault, "path": path, "times": times}
        if method is not None:
            body["method"] = method
        if fault == "slow":
            body["milliseconds"] = milliseconds
        self._sandbox.control("POST", "faults", body)

    def clear(self) -> None:
        """Drop the queued faults."""
        self._sandbox.control("DELETE", "faults")


class Sandbox:
    """A running sandbox: its URL, its credentials, and what a test can do to it.

    `contact_id` is the UUID of Alice, the contact of the documentation.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self.url: str = facts["url"]
        self.api_key: str = facts["api_key"]
        self.secret_id: str = facts["secret_id"]
        self.secret_key: str = facts["secret_key"]
        self.contact_id: str = facts["contact"]
        self.faults: Final = Faults(self)
        self._http = httpx.Client(
            base_url=f"{self.url}/sandbox/",
            headers={"authorization": f"Bearer {facts['control_token']}"},
            timeout=REQUEST_SECONDS,
            trust_env=False,  # a proxy of the environment is not for loopback
        )

    @property
    def credential(self) -> ApiKey:
        """The API key, for a `Client`."""
        return ApiKey(self.api_key)

    @property
    def api_secret(self) -> ApiSecret:
        """The API secret, for a `Client` that signs tokens."""
        return ApiSecret(self.secret_id, self.secret_key)

    def reset(self) -> None:
        """Restore the store, clock and rate limit of the start; clear the faults and the journal.

        Snapshots remain.
        """
        self.control("POST", "reset")

    def take_snapshot(self, name: str) -> None:
        """Keep the present state of the store under a name."""
        self.control("PUT", f"snapshots/{name}")

    def restore(self, name: str) -> None:
        """Restore the store from a snapshot."""
        self.control("POST", f"snapshots/{name}/restore")

    def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot; snapshots remain after a reset, and there are at most 32."""
        self.control("DELETE", f"snapshots/{name}")

    def advance_clock(self, seconds: int) -> None:
        """Move the clock forward; tokens that were signed before may expire."""
        self.control("POST", "clock", {"advance_seconds": seconds})

    def set_clock(self, at: datetime) -> None:
        """Set the clock to a time with its offset, from which it goes on.

        Raises `SandboxError` if the time has no offset, or is before 1970 or too far in the future.
        """
        self.control("POST", "clock", {"at": at.isoformat()})

    def journal(self, after: int = 0) -> list[dict[str, Any]]:
        """Returns the API requests since the last reset, at most 1,000, oldest first.

        Only those whose `number` is above `after`; numbers count from the start of the process.
        """
        entries: list[dict[str, Any]] = self.control("GET", f"journal?after={after}")["entries"]
        return entries

    def control(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Send a request to a route under `/sandbox`; raises `SandboxError` if it is refused."""
        response = self._http.request(method, path, json=body)
        result: dict[str, Any] = response.json()
        if response.is_error:
            raise SandboxError(result["message"])
        return result

    def close(self) -> None:
        """Close the connection of the control routes."""
        self._http.close()


@contextmanager
def run_sandbox(*arguments: str) -> Iterator[Sandbox]:
    """Run `reachbook sandbox` on a free port until the context ends.

    It also ends when this process is killed. `arguments` are further options of the command.
    Raises `SandboxError` if it does not start.
    """
    command = [sys.executable, "-m", "reachbook", "sandbox", "--port", "0", "--json"]
    # This process may be killed, and can then not end the sandbox.
    command += ["--parent-pid", str(os.getpid()), *arguments]
    # In the environment, because other users can see the arguments of a process.
    environment = {**os.environ, "REACHBOOK_SANDBOX_TOKEN": secrets.token_hex(16)}
    process = subprocess.Popen(  # noqa: S603 - this interpreter, and options of the caller
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    last_lines: deque[bytes] = deque(maxlen=MAX_LOG_LINES)
    reader = threading.Thread(target=_read_log, args=(process, last_lines), daemon=True)
    reader.start()
    try:
        sandbox = Sandbox(_facts(process, reader, last_lines))
        try:
            yield sandbox
        finally:
            sandbox.close()
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        reader.join(STOP_SECONDS)


def _read_log(process: subprocess.Popen[bytes], last_lines: deque[bytes]) -> None:
    """Read the log of requests to its end, and keep the last lines for an error."""
    assert process.stderr is not None  # noqa: S101 - a pipe was asked for
    with process.stderr:
        last_lines.extend(process.stderr)


def _facts(
    process: subprocess.Popen[bytes], reader: threading.Thread, last_lines: deque[bytes]
) -> dict[str, Any]:
    """Returns the facts that the command prints when it can respond."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    timer = threading.Timer(START_SECONDS, process.kill)
    timer.start()
    with process.stdout:
        text = process.stdout.readline()
    timer.cancel()
    if text.endswith(b"}\n"):
        facts: dict[str, Any] = json.loads(text)
        return facts
    reader.join(STOP_SECONDS)
    reason = b"".join(last_lines).decode(errors="replace").strip()
    raise SandboxError(f"reachbook sandbox did not start: {reason or 'it printed no reason'}")
