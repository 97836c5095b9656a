from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.commands import PROGRAM
from tests.support.waiting import wait_until

TOKEN = "control-token-of-tests"


@dataclass(frozen=True)
class SandboxProcess:
    process: subprocess.Popen[bytes]
    output: Path

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the command printed, when the server can respond."""
        text = wait_until(
            lambda: self.output.read_text() if "\n" in self.output.read_text() else None,
            30,
            "the sandbox prints its facts",
        )
        return dict(json.loads(text or ""))

    def control(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {TOKEN}", **options.pop("headers", {})}
        url = f"{self.facts['url']}/sandbox/{path}"
        return httpx.request(method, url, headers=headers, timeout=20, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        options.setdefault("headers", {"authorization": f"Bearer {self.facts['api_key']}"})
        options.setdefault("timeout", 20)
        return httpx.request(method, f"{self.facts['url']}{path}", **options)

    @property
    def contact(self) -> str:
        return f"/v2/contact/{self.facts['contact']}"


@contextmanager
def running(
    folder: Path, *arguments: str, program: Sequence[str] = (str(PROGRAM),)
) -> Iterator[SandboxProcess]:
    output = folder / "sandbox.json"
    command = [
        *program,
        "sandbox",
        "--port",
        "0",
        "--json",
        "--control-token",
        TOKEN,
        *arguments,
    ]
    with output.open("wb") as out, (folder / "sandbox.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=out, stderr=log)
    try:
        yield SandboxProcess(process, output)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    with running(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: SandboxProcess) -> SandboxProcess:
    assert process.control("POST", "reset").json() == {"ok": True}
    return process
