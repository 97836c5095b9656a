"""Real processes: the `reachbook` command, and the servers that it starts.

Every wait is bounded, and every process is ended by its own id.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, Any, TypeVar

import httpx

PROGRAM = Path(sys.executable).with_name("reachbook")
COMMAND_SECONDS = 40
START_SECONDS = 30
STOP_SECONDS = 10  # contract section 10: SIGTERM ends within this

Found = TypeVar("Found")

_listening = re.compile(r"^Reachbook is listening on (\S+)$", re.MULTILINE)
_numbers = count(1)


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    code: int
    out: str
    err: str

    def __repr__(self) -> str:
        return f"exit {self.code}, said {self.out[-400:]!r}, and on stderr {self.err[-400:]!r}"

    def succeeded(self) -> str:
        """Its standard output; nothing was said on standard error."""
        assert (self.code, self.err) == (0, ""), self
        return self.out

    def refusal(self) -> str:
        """The one sentence of a refusal, which is all that was said."""
        assert (self.code, self.out) == (1, ""), self
        assert "Traceback" not in self.err, self
        assert self.err.startswith("reachbook: "), self
        assert self.err.count("\n") == 1, self
        return self.err.removeprefix("reachbook: ").rstrip("\n")

    def misuse(self) -> str:
        """What a wrong usage was told, with exit code 2."""
        assert self.code == 2, self
        assert "Traceback" not in self.err, self
        return self.out + self.err


@dataclass(frozen=True)
class Server:
    """A server process that can answer."""

    process: subprocess.Popen[bytes]
    url: str
    out: Path
    err: Path

    def client(self, api_key: str) -> httpx.Client:
        """A client with an API key."""
        headers = {"authorization": f"Bearer {api_key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=STOP_SECONDS)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    def welcome(self, seconds: float = 10) -> str:
        """All that it said when it first started, down to the curl line."""

        def said() -> str | None:
            text = self.out.read_text()
            return text if "\ncurl " in text else None

        return wait_for(said, seconds)

    def stop(self) -> int:
        """Send SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)


@dataclass(frozen=True)
class Home:
    """A data directory and environment of its own to run `reachbook` in."""

    directory: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    def having(self, **variables: str) -> Home:
        """The same home with other `REACHBOOK_*` variables, named in lower case."""
        named = {f"REACHBOOK_{name.upper()}": value for name, value in variables.items()}
        return Home(self.directory, {**self.variables, **named})

    def run(self, *arguments: str, output: IO[str] | int = subprocess.PIPE) -> Done:
        """Run a command to its end; `output` is where its standard output goes."""
        done = subprocess.run(
            [PROGRAM, *arguments],
            check=False,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            stdin=subprocess.DEVNULL,
            env=self._environment(),
            timeout=COMMAND_SECONDS,
        )
        return Done(done.returncode, done.stdout or "", done.stderr)

    def json(self, *arguments: str) -> Any:
        """The one JSON document that a command prints with `--json`."""
        return json.loads(self.run(*arguments, "--json").succeeded())

    def team_with_key(self) -> tuple[str, str]:
        """A new team's id and an API key of it."""
        team = str(self.json("team", "create", "Bob's team")["team_id"])
        return team, self.json("key", "create", "--team", team)["api_key"]

    @contextmanager
    def serve(self, *arguments: str, err: Path | None = None) -> Iterator[Server]:
        """A server on a free port, until the block ends; `err` is where its standard error goes."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        stem = self.directory.parent / f"serve-{next(_numbers)}"
        out, err = stem.with_suffix(".out"), err or stem.with_suffix(".err")
        with out.open("wb") as to_out, err.open("wb") as to_err:
            process = subprocess.Popen(
                [PROGRAM, "serve", "--port", "0", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
                env=self._environment(),
            )
        try:
            url = wait_for(lambda: _announced(process, out, err), START_SECONDS)
            yield Server(process, url, out, err)
        finally:
            end(process)

    def _environment(self) -> dict[str, str]:
        mine = {k: v for k, v in os.environ.items() if not k.startswith("REACHBOOK_")}
        mine.pop("COLUMNS", None)
        # What is left open is told on standard error; raised while a loop closes, it would hang.
        mine["PYTHONWARNINGS"] = "error,default::ResourceWarning"
        return {**mine, "REACHBOOK_DATA_DIR": str(self.directory), **self.variables}


def wait_for(find: Callable[[], Found | None], seconds: float = 10) -> Found:
    """What `find` finds, asked until it does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := find()) is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"nothing was found in {seconds} s")


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process of ours; one that does not stop when told is killed."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS + 2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


def run_curl(line: str) -> tuple[int, Any]:
    """The status and the JSON of a curl line as it was printed; by httpx where there is no curl."""
    words = shlex.split(line.replace("\\\n", " "))
    assert words[0] == "curl"
    if shutil.which("curl") is None:
        return _by_httpx(words[1:])
    shown = subprocess.run(
        [*words, "--silent", "--show-error", "--max-time", "10", "--write-out", "\n%{http_code}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    ).stdout
    body, _, status = shown.rpartition("\n")
    return int(status), json.loads(body)


def _by_httpx(words: list[str]) -> tuple[int, Any]:
    options: dict[str, list[str]] = {"-X": [], "-H": [], "-d": []}
    url, rest = "", iter(words)
    for word in rest:
        if word in options:
            options[word].append(next(rest))
        else:
            url = word
    headers = dict(one.split(": ", 1) for one in options["-H"])
    body = options["-d"][0] if options["-d"] else None
    method = options["-X"][0] if options["-X"] else "GET"
    answer = httpx.request(method, url, headers=headers, content=body)
    return answer.status_code, answer.json()


def _announced(process: subprocess.Popen[bytes], out: Path, err: Path) -> str | None:
    """The URL that a server says it listens on, in words or as JSON."""
    said = out.read_text()
    if match := _listening.search(said):
        return match[1]
    if said.startswith("{") and said.endswith("}\n"):
        return str(json.loads(said)["url"])
    assert process.poll() is None, f"it ended with {process.returncode}: {err.read_text()}"
    return None
