"""What `reachbook sandbox` imports, which decides how long its start takes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.sandbox.conftest import running

NOT_NEEDED = {
    "asyncpg": "the driver of PostgreSQL",
    "httpx": "the client",
    "jinja2": "the console",
    "playwright": "tests",
    "pygments": "structlog and rich",
    "pytest": "tests",
    "reachbook.console": "the console",
    "reachbook.doctor": "other commands",
    "reachbook.http.openapi.document": "the first request for /openapi.json",
    "rich": "structlog, and tables of other commands",
    "structlog": "the first event",
    "valkey": "a shared rate limit",
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The modules that a sandbox has imported when it has answered a request."""
    folder = tmp_path_factory.mktemp("start")
    program = (sys.executable, "-X", "importtime", "-m", "reachbook")
    with running(folder, program=program) as sandbox:
        assert sandbox.request("GET", sandbox.contact).status_code == 200
        log = (folder / "sandbox.log").read_text()
    return set(re.findall(r"^import time: .*\| +(\S+)$", log, re.MULTILINE))


def test_the_list_of_imports_is_complete(imported: set[str]) -> None:
    assert {"reachbook.sandbox.run", "reachbook.http.app", "uvicorn", "apsw"} <= imported


@pytest.mark.parametrize("module", NOT_NEEDED)
def test_a_module_that_is_not_needed_is_not_imported(imported: set[str], module: str) -> None:
    assert module not in imported


def test_the_description_is_made_when_it_is_read(tmp_path: Path) -> None:
    with running(tmp_path) as sandbox:
        for _ in range(2):
            assert sandbox.request("GET", "/openapi.json").json()["openapi"] == "3.1.0"
