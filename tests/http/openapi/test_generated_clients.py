"""Clients generated from /openapi.json compile in their strictest mode, and their calls work.

openapi-python-client is locked with the other tools. The generators from npm are pinned in the
package-lock.json of generated_clients and installed once, in the user's cache directory.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.server_process import Server, serving
from tests.support.teams import create_team

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "generated_clients"
LOCKED = ("package.json", "package-lock.json", ".npmrc")
INSTALL_SECONDS = 150
TOOL_SECONDS = 60
NODE = (20, 19)
UNREACHABLE = re.compile(
    "ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|E(?:NET|HOST)UNREACH"
)
EXPECTED = {
    "added": ["phone", "email"],
    "listed": ["number", "number"],
    "replaced": ["14155551234", "alice@example.com"],
    "got": ["14155551234", "absent"],
    "removed": 1,
    "refused": "no_channel",
    "made": {"1": "x"},
    "contacts": 2,
    "resolved": False,
    "team": [],
    "optional": True,
}
"""The output that every client prints."""


@dataclass
class DescribedServer:
    """A server, and the file that holds its description."""

    served: Server
    database: str
    document: Path

    def arguments(self) -> list[str]:
        """The URL, an API key of a new team, and the UUID of its only contact, with a phone."""
        team = create_team(self.database)
        made = self.served.request(
            "/v2/contact", "POST", json={"phone": "15105553344"}, headers=team.by_key()
        )
        return [self.served.url, team.api_key, made.json()["uuid"]]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DescribedServer]:
    folder = tmp_path_factory.mktemp("api")
    database = f"sqlite:///{folder}/reachbook.db"
    create_team(database)
    with serving(folder, database) as served:
        document = folder / "openapi.json"
        document.write_bytes(served.request("/openapi.json").content)
        yield DescribedServer(served, database, document)


@pytest.fixture(scope="module")
def npm() -> Path:
    """The directory of the installed packages from npm."""
    tools = [shutil.which(name) for name in ("node", "npm")]
    if None in tools:
        pytest.skip("needs node and npm")
    version = run("node", "--version", folder=HERE).strip()
    if tuple(int(part) for part in version[1:].split(".")[:2]) < NODE:
        pytest.skip(f"needs Node.js {'.'.join(map(str, NODE))} or newer, not {version}")
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in LOCKED)).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reachbook-tests"
    installed = cache / f"generated-clients-{digest[:16]}"
    if not installed.exists():
        install(installed)
    return installed


def install(target: Path) -> None:
    """Install the locked packages, then move them into place; another run may be first."""
    aside = target.with_name(f"{target.name}.{os.getpid()}")
    aside.mkdir(parents=True)
    try:
        for name in LOCKED:
            shutil.copy(HERE / name, aside / name)
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
    *command: str | Path, folder: Path, seconds: float = TOOL_SECONDS
) -> subprocess.CompletedProcess[str]:
    plain = {"NO_COLOR": "1", "CI": "1"}
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env={**os.environ, **plain},
    )


def run(*command: str | Path, folder: Path) -> str:
    """Returns the output of a command; a failure shows all of it."""
    done = execute(*command, folder=folder)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def result(printed: str) -> object:
    return json.loads(printed.strip().splitlines()[-1])


def test_clients_in_typescript(described: DescribedServer, npm: Path, tmp_path: Path) -> None:
    """Tests openapi-typescript with openapi-fetch, and @hey-api/openapi-ts."""
    (tmp_path / "node_modules").symlink_to(npm / "node_modules")
    tools = tmp_path / "node_modules/.bin"
    for name in ("tsconfig.json", "openapi_typescript.ts", "hey_api.ts"):
        shutil.copy(HERE / name, tmp_path / name)
    run(tools / "openapi-typescript", described.document, "-o", "schema.ts", folder=tmp_path)
    run(
        *(tools / "openapi-ts", "-i", described.document, "-o", "hey_api"),
        *("-c", "@hey-api/client-fetch"),
        folder=tmp_path,
    )

    run(tools / "tsc", "--project", ".", folder=tmp_path)

    for script in ("openapi_typescript.js", "hey_api.js"):
        assert (
            result(run("node", f"out/{script}", *described.arguments(), folder=tmp_path))
            == EXPECTED
        )


def test_a_client_in_python(described: DescribedServer, tmp_path: Path) -> None:
    """Tests openapi-python-client, which must not skip any part of the description."""
    tools = Path(sys.executable).parent
    (tmp_path / "settings.json").write_text('{"post_hooks": []}')
    shutil.copy(HERE / "openapi_python_client.py", tmp_path / "calls.py")

    generated = run(
        *(tools / "openapi-python-client", "generate", "--path", described.document),
        *("--meta", "none", "--output-path", "generated", "--config", "settings.json"),
        folder=tmp_path,
    )
    run(
        *(tools / "mypy", "--strict", "--config-file", "", "--cache-dir", "cache"),
        *("generated", "calls.py"),
        folder=tmp_path,
    )

    assert generated.split() == ["Generating", "generated"]
    assert (
        result(run(sys.executable, "calls.py", *described.arguments(), folder=tmp_path)) == EXPECTED
    )
