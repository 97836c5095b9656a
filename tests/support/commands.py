"""Runs the `reachbook` command and curl to their end."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
from click.testing import CliRunner

from reachbook.cli import main

PROGRAM = Path(sys.executable).with_name("reachbook")
COMMAND_SECONDS = 40


@dataclass(frozen=True)
class Done:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str

    def __repr__(self) -> str:
        return f"exit {self.code}, stdout {self.out[-400:]!r}, stderr {self.err[-400:]!r}"

    def succeeded(self) -> str:
        """Return the standard output; standard error must be empty."""
        assert (self.code, self.err) == (0, ""), self
        return self.out

    def refusal(self) -> str:
        """Return the one sentence of a refusal, which must be the only output."""
        assert (self.code, self.out) == (1, ""), self
        assert "Traceback" not in self.err, self
        assert self.err.startswith("reachbook: "), self
        assert self.err.count("\n") == 1, self
        return self.err.removeprefix("reachbook: ").rstrip("\n")

    def misuse(self) -> str:
        """Return the output for a wrong usage, which exits with code 2."""
        assert self.code == 2, self
        assert "Traceback" not in self.err, self
        return self.out + self.err


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a command; `settings` are REACHBOOK_ variables in lower case."""
    inherited = {key: value for key, value in os.environ.items() if key[:10] != "REACHBOOK_"}
    inherited.pop("COLUMNS", None)
    # A ResourceWarning goes to standard error; raised while a loop closes, it would hang.
    inherited["PYTHONWARNINGS"] = "error,default::ResourceWarning"
    chosen = {"data_dir": str(data_dir), **settings}
    return inherited | {f"REACHBOOK_{name.upper()}": value for name, value in chosen.items()}


def run_command(
    *arguments: str,
    env: Mapping[str, str],
    typed: str | None = None,
    output: IO[str] | int = subprocess.PIPE,
) -> Done:
    """Run `reachbook` to its end; `typed` is its standard input, `output` its standard output."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        check=False,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        input=typed or "",
        env=env,
        timeout=COMMAND_SECONDS,
    )
    return Done(done.returncode, done.stdout or "", done.stderr)


def run_in_process(*arguments: str, env: Mapping[str, str]) -> Done:
    """Run a command in this process, in a thread because the test may have an event loop.

    Standard output is not a file, so a command that fails with an OSError needs `run_command`.
    """
    removed = dict.fromkeys(os.environ.keys() - env.keys())
    runner = CliRunner(env={**removed, **env})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.invoke, main, arguments, prog_name="reachbook")
        result = running.result(COMMAND_SECONDS)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def run_curl(line: str) -> tuple[int, Any]:
    """Run a curl line; return the status and the JSON. Uses httpx where there is no curl."""
    words = shlex.split(line.replace("\\\n", " "))
    assert words[0] == "curl"
    if shutil.which("curl") is None:
        return _run_curl_by_httpx(words[1:])
    shown = subprocess.run(
        [*words, "--silent", "--show-error", "--max-time", "10", "--write-out", "\n%{http_code}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    ).stdout
    body, _, status = shown.rpartition("\n")
    return int(status), json.loads(body)


def _run_curl_by_httpx(words: list[str]) -> tuple[int, Any]:
    options: dict[str, list[str]] = {"-X": [], "-H": [], "-d": []}
    url, rest = "", iter(words)
    for word in rest:
        if word in options:
            options[word].append(next(rest))
        else:
            url = word
    headers = dict(header.split(": ", 1) for header in options["-H"])
    body = options["-d"][0] if options["-d"] else None
    method = options["-X"][0] if options["-X"] else "GET"
    response = httpx.request(method, url, headers=headers, content=body)
    return response.status_code, response.json()
