"""Clients that generators write pass the strictest type checks, and their calls work.

They are generated from /openapi.json with the commands of docs/clients-in-other-languages.md, and
from two descriptions of the vendor's API that were written from the vendor's pages alone.
openapi-python-client is locked with the other tools, and the generators for TypeScript are pinned
in the package-lock.json of generated_clients.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import pytest

from reachbook.testing import Sandbox, run_sandbox
from tests.docs.test_docs import blocks, read, section
from tests.support.generators import installed, run
from tests.support.vendor_documents import ALICE_LIST

PAGE = "docs/clients-in-other-languages.md"
SCRIPTS = Path(__file__).parent / "generated_clients"
DESCRIPTIONS = Path(__file__).parent / "vendor_descriptions"
VENDOR = ("guide", "reference")
FILE = re.compile(r"^Save this as `(\S+)`.*:\n\n```\w+\n((?:.*\n)*?)```$", re.MULTILINE)
FIRST_CALL = "phone 15105553344\nemail alice@example.com\n"
CALLS = {
    "listed": ["number", "number"],
    "replaced": ["14155551234", "alice@example.com"],
    "got": ["14155551234", "absent"],
    "removed": ["phone"],
    "refused": "no_channel",
    "added": ["14155551234", "alice.b@example.com"],
    "made": {"1": "x"},
    "contacts": 9,
    "resolved": False,
    "team": ["admin@localhost"],
    "optional": True,
}
"""The output of every program that uses a client of /openapi.json."""


@dataclass(frozen=True)
class Workspace:
    """A folder with the clients and programs in a language, and the outputs of the page there."""

    folder: Path
    interpreter: str
    suffix: str
    outputs: list[str]

    def call(self, program: str, *arguments: str) -> Any:
        """Returns the JSON value that a program prints."""
        output = run(self.interpreter, program + self.suffix, *arguments, folder=self.folder)
        return json.loads(output)


def follow(sandbox: Sandbox, folder: Path, *titles: str) -> list[str]:
    """Save the files and run the commands of sections of the page; returns their outputs."""
    text = "".join(section(PAGE, title) for title in titles)
    for name, content in FILE.findall(text):
        (folder / name).write_text(content)
    variables = {"URL": sandbox.url, "KEY": sandbox.api_key}
    shell = ("bash", "-euo", "pipefail", "-c")
    return [
        run(*shell, block, folder=folder, variables=variables) for block in blocks(text, "bash")
    ]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def python(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("python")
    sandbox.reset()
    outputs = follow(sandbox, folder, "Description", "Python")
    for name in VENDOR:
        run(
            *("openapi-python-client", "generate", "--path", DESCRIPTIONS / f"{name}.json"),
            *("--meta", "none", "--output-path", name),
            *("--config", "generator.json", "--fail-on-warning"),
            folder=folder,
        )
    for script in SCRIPTS.glob("*.py"):
        shutil.copy(script, folder)
    return Workspace(folder, "python", ".py", outputs)


@pytest.fixture(scope="module")
def typescript(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """All programs are compiled by the command of the page, with its settings."""
    folder = tmp_path_factory.mktemp("typescript")
    packages = installed(SCRIPTS) / "node_modules"
    (folder / "node_modules").symlink_to(packages)
    sandbox.reset()
    guide, reference = (DESCRIPTIONS / f"{name}.json" for name in VENDOR)
    run(packages / ".bin/openapi-typescript", guide, "--output", "guide.ts", folder=folder)
    run(
        *(packages / ".bin/openapi-ts", "--input", reference, "--output", "reference"),
        *("--client", "@hey-api/client-fetch"),
        folder=folder,
    )
    for script in SCRIPTS.glob("*.ts"):
        shutil.copy(script, folder)
    outputs = follow(sandbox, folder, "Description", "TypeScript")
    return Workspace(folder, "node", ".js", outputs)


@pytest.fixture(params=["python", "typescript"])
def workspace(request: pytest.FixtureRequest, sandbox: Sandbox) -> Workspace:
    """The clients in a language, and a sandbox as it is at the start."""
    workspace: Workspace = request.getfixturevalue(request.param)
    sandbox.reset()
    return workspace


# ── the page, and clients of /openapi.json ───────────────────────────────────────────────────


def test_the_first_calls_of_the_page_work(workspace: Workspace) -> None:
    calls = [output for output in workspace.outputs if output.startswith("phone")]

    assert calls == [FIRST_CALL] * {".py": 1, ".js": 2}[workspace.suffix]


def test_the_page_names_the_versions_that_run() -> None:
    pinned = json.loads((SCRIPTS / "package.json").read_text())["devDependencies"]
    lines = re.findall(r"^npm install (.+)$", read(PAGE), re.MULTILINE)

    named = {package for line in lines for package in line.split()}

    assert named == {f"{name}@{version}" for name, version in pinned.items()}


def test_the_python_passes_mypy(python: Workspace) -> None:
    run("mypy", "--strict", "--config-file", "", "--cache-dir", ".cache", ".", folder=python.folder)


@pytest.mark.parametrize(
    ("language", "program"),
    [
        ("python", "openapi_python_client"),
        ("typescript", "openapi_typescript"),
        ("typescript", "hey_api"),
    ],
)
def test_the_calls_of_a_generated_client(
    request: pytest.FixtureRequest, sandbox: Sandbox, language: str, program: str
) -> None:
    workspace: Workspace = request.getfixturevalue(language)
    sandbox.reset()

    results = workspace.call(program, sandbox.url, sandbox.api_key, sandbox.contact_id)

    assert results == CALLS


# ── clients of the vendor's descriptions ─────────────────────────────────────────────────────


def without_offset(channel: dict[str, Any]) -> dict[str, Any]:
    """Returns a channel with its times in one form: Python and the API write UTC differently."""
    times = {name: channel[name].replace("+00:00", "Z") for name in ("created", "updated")}
    return {**channel, **times}


def new_channel(channel: dict[str, Any], id_type: type) -> dict[str, Any]:
    """Returns a channel without its id and times, which differ in each run."""
    assert type(channel.pop("id")) is id_type
    created, updated = (
        datetime.fromisoformat(channel.pop(name)) for name in ("created", "updated")
    )
    assert created == updated
    return channel


def test_a_client_of_the_vendors_guide(workspace: Workspace, sandbox: Sandbox) -> None:
    """With an API key. The guide has no response to an update and a delete: the list is read."""
    results = workspace.call("vendor_guide", sandbox.url, sandbox.api_key, sandbox.contact_id)

    phone, email = ALICE_LIST
    [updated_phone, updated_email] = results["after_update"]
    [added_phone, added_email] = results["added"]
    assert [without_offset(channel) for channel in results["listed"]] == [phone, email]
    assert [without_offset(channel) for channel in results["got"]] == [phone]
    assert (results["updated"], results["deleted"]) == (200, 200)
    assert without_offset(updated_phone) == without_offset(added_phone) == phone
    assert without_offset(updated_email) == {
        **email,
        "channel_id": "newemail@example.com",
        "updated": without_offset(updated_email)["updated"],
    }
    assert [without_offset(channel) for channel in results["after_delete"]] == [phone]
    assert new_channel(added_email, str) == {
        "team_id": 1,
        "contact_id": sandbox.contact_id,
        "channel_type": "email",
        "channel_id": "alice@example.com",
    }


def token(sandbox: Sandbox) -> str:
    """A JWT, signed as the vendor's reference says."""
    claims = {"iss": sandbox.secret_id, "iat": int(time.time())}
    return jwt.encode(claims, f"{sandbox.secret_id}||{sandbox.secret_key}", algorithm="HS256")


INTEGER_IDS = [
    {**channel, "id": number, "contact_id": 1, "info_channel": "", "channel_handle": ""}
    for number, channel in enumerate(ALICE_LIST, 1)
]


def test_a_client_of_the_vendors_reference(workspace: Workspace, sandbox: Sandbox) -> None:
    """With a JWT. Two operations are described; the other three have the same objects."""
    results = workspace.call("vendor_reference", sandbox.url, token(sandbox), sandbox.contact_id)

    phone, email = INTEGER_IDS
    [*before, created] = results["created"]
    [_, replaced, _] = results["replaced"]
    assert before == [phone, email]
    assert results["retrieved"] == [phone]
    assert (
        results["replaced"]
        == results["listed"]
        == [
            phone,
            {**email, "channel_id": "newemail@example.com", "updated": replaced["updated"]},
            created,
        ]
    )
    assert results["removed"] == [phone, created]
    assert new_channel(created, int) == {
        "team_id": 1,
        "contact_id": 1,
        "channel_type": "phone",
        "channel_id": "14155551234",
        "info_channel": "",
        "channel_handle": "",
    }


def descriptions(value: object) -> Iterator[str]:
    """Yield the descriptions in a document, except that of the document itself."""
    members: dict[str, Any] = {}
    if isinstance(value, dict):
        members = {name: member for name, member in value.items() if name != "info"}
    elif isinstance(value, list):
        members = dict(zip(map(str, range(len(value))), value, strict=True))
    for name, member in members.items():
        if name == "description":
            yield str(member)
        yield from descriptions(member)


@pytest.mark.parametrize("name", VENDOR)
def test_every_fact_of_a_vendors_description_names_its_place(name: str) -> None:
    document = json.loads((DESCRIPTIONS / f"{name}.json").read_text())
    found = list(descriptions(document))

    assert len(found) > 15
    absent = f"The {name} does not state the response."
    assert {text for text in found if not text.startswith(f"Vendor's {name}, ")} <= {absent}
