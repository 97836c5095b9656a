"""The requests, the snippet, the commands and the tables of the documentation are correct."""

from __future__ import annotations

import argparse
import ast
import json
import re
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import click
import httpx
import pytest

from reachbook.cli import main
from reachbook.cli.serve import _announce, serve
from reachbook.domain import timestamps
from reachbook.http import app
from reachbook.http.operation import BaseEndpoint
from reachbook.service.administration import Administration
from reachbook.service.bootstrap import ADMIN, ALICE, Bootstrap, bootstrap
from reachbook.settings import PREFIX, Settings
from reachbook.storage import open_store
from tests.support.personas import MASTER_KEY, Api, open_api

ROOT = Path(__file__).parents[2]
README = "README.md"
NAMES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "deploy/README.md")
PAGES = [*(ROOT / name for name in NAMES), *sorted((ROOT / "docs").rglob("*.md"))]
HOST = "http://127.0.0.1:8080"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(text: str, *languages: str) -> list[str]:
    """Return the fenced blocks in the given languages, in order."""
    return [body for language, body in FENCE.findall(text) if language in languages]


def read(page: str) -> str:
    """Return the text of a page, given by its path in the repository."""
    return (ROOT / page).read_text()


def section(page: str, title: str) -> str:
    """Return the text under a heading of a page."""
    pattern = rf"^(## {title})\n(.*?)(?=^## |\Z)"
    [(_, body)] = re.findall(pattern, read(page), re.MULTILINE | re.DOTALL)
    return str(body)


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables in a text, without heads and backquotes."""
    lines = re.findall(r"^\|(.+)\|$", text, re.MULTILINE)
    cells = [[cell.strip().strip("`") for cell in line.split("|")] for line in lines]
    return [
        row for row, below in zip(cells, [*cells[1:], []], strict=True) if not _has_rule(row, below)
    ]


def _has_rule(*cells: list[str]) -> bool:
    """Return whether any of the rows is the line under a table's head."""
    return any(row and set("".join(row)) <= {"-", "|"} for row in cells)


def shell_lines(text: str) -> Iterator[str]:
    """Yield the commands of a page: the lines of its shell blocks, and its inline code."""
    for block in blocks(text, "sh"):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


EVERY_LINE = [line for page in PAGES for line in shell_lines(page.read_text())]


# ── the requests ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def first_start(tmp_path: Path) -> AsyncIterator[tuple[Api, Bootstrap]]:
    """The application on the database that the first start creates, with its credentials."""
    url = f"sqlite:///{tmp_path}/reachbook.db"
    store = await open_store(url)
    made = await bootstrap(store, Administration(store, timestamps.now), MASTER_KEY)
    await store.close()
    assert made
    async with open_api(url) as api:
        yield api, made


def snippet_token(made: Bootstrap) -> str:
    """Return a JWT signed by the snippet of the documentation."""
    [snippet] = blocks(read("docs/credentials.md"), "python")
    names: dict[str, object] = {}
    exec(compile(snippet, "docs/credentials.md", "exec"), names)
    sign = names["token"]
    assert callable(sign)
    return str(sign(made.secret_id, made.secret_key))


async def curl(api: Api, line: str) -> httpx.Response:
    """Send the request of a curl line to the application in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data")
    options = parser.parse_args(shlex.split(line.replace("\\\n", " "))[1:])
    method = options.method or ("GET" if options.data is None else "POST")
    headers = dict(header.split(": ", 1) for header in options.headers)
    body = None if options.data is None else options.data.encode()
    assert options.url.startswith(HOST)
    return await api.request(method, options.url.removeprefix(HOST), body, by=headers)


def requests_with_response() -> list[tuple[str, str]]:
    """Return each curl line that has a JSON block below it, with that block."""
    return [
        (block[block.index("curl ") :].partition("\n\n")[0], below)
        for page in PAGES
        for (_, block), (language, below) in pairwise(FENCE.findall(page.read_text()))
        if "curl " in block and language == "json"
    ]


def test_every_response_block_has_its_request() -> None:
    shown = [block for page in PAGES for block in blocks(page.read_text(), "json")]

    assert len(requests_with_response()) == len(shown) == 7


def requests_without_response() -> list[str]:
    """Return the curl lines without a JSON block below them."""
    every = {
        block
        for page in PAGES
        for block in blocks(page.read_text(), "sh")
        if block.startswith("curl ")
    }
    return sorted(every - {line for line, _ in requests_with_response()})


@pytest.mark.anyio
@pytest.mark.parametrize("line", requests_without_response())
async def test_a_request_without_a_shown_response_succeeds(
    first_start: tuple[Api, Bootstrap], line: str
) -> None:
    api, made = first_start
    line = line.replace("$KEY", made.api_key)

    assert (await curl(api, line)).status_code == 200
    if "Idempotency-Key" in line:
        assert (await curl(api, line)).headers["idempotent-replayed"] == "true"


@pytest.mark.anyio
@pytest.mark.parametrize(("line", "shown"), requests_with_response())
async def test_a_request_gets_the_shown_response(
    first_start: tuple[Api, Bootstrap], line: str, shown: str
) -> None:
    """Byte for byte after indentation, including the order of keys; a request id is any UUID."""
    api, made = first_start
    for placeholder in ("$KEY", "rbk_1_..."):
        line = line.replace(placeholder, made.api_key)
    line = line.replace("$TOKEN", snippet_token(made))

    response = (await curl(api, line)).json()

    if "request_id" in response:
        assert str(UUID(response["request_id"])) == response["request_id"]
        response["request_id"] = json.loads(shown)["request_id"]
    assert json.dumps(response, indent=2) == shown.rstrip("\n")


def test_the_snippet_imports_only_the_standard_library() -> None:
    [snippet] = blocks(read("docs/credentials.md"), "python")
    imports = [node for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Import)]

    names = {alias.name for node in imports for alias in node.names}

    assert names
    assert names <= set(sys.stdlib_module_names)


def test_the_first_start_prints_the_shown_text(capsys: pytest.CaptureFixture[str]) -> None:
    made = Bootstrap(1, "rbs_1_...", "...", "rbk_1", "rbk_1_...", ALICE, ADMIN, "...")
    _announce(HOST, made, Settings())

    [shown] = blocks(read(README), "text")
    assert capsys.readouterr().out.strip() == shown.strip()


# ── the tables ───────────────────────────────────────────────────────────────────────────────────


def test_all_routes_are_listed() -> None:
    listed = {row[0] for row in rows(section(README, "Endpoints"))}

    served = {
        f"{method} {route.path}"
        for route in [*app.ROUTES, app.METRICS]
        if isinstance(route.endpoint, BaseEndpoint)
        for method in set(route.endpoint.operations) - {"HEAD"}
    }
    assert listed == served


@pytest.mark.anyio
async def test_routes_listed_as_not_implemented_do_not_exist(
    first_start: tuple[Api, Bootstrap],
) -> None:
    """When a route is implemented, its line must be removed."""
    api, _ = first_start
    listed = re.findall(r"`([A-Z]+) (/\S+)`", section("docs/contacts.md", "Not implemented"))
    assert listed
    for method, path in listed:
        response = await api.request(method, path.replace("{contactID}", ALICE))

        assert response.status_code in (404, 405), f"{method} {path}"
        assert response.json()["error_code"] in ("no_route", "method_not_allowed")


def test_all_settings_are_listed() -> None:
    flags = {parameter.name: parameter.opts[0] for parameter in serve.params}
    expected = [
        [name, PREFIX + name.upper(), flags.get(name, ""), str(getattr(Settings(), name))]
        for name in Settings.__struct_fields__
    ]

    assert [row[:4] for row in rows(read("docs/settings.md"))] == expected


# ── the commands ─────────────────────────────────────────────────────────────────────────────────


def parse(line: str) -> str:
    """Return the name of the command in a line; raise click.UsageError or KeyError if invalid."""
    words = shlex.split(line)
    command: click.Command = main
    path = [words.pop(0)]
    while isinstance(command, click.Group):
        path.append(words.pop(0))
        command = command.commands[path[-1]]
    # With the settings of the program, because click stores the first help option that it creates.
    command.make_context(path[-1], words, **main.context_settings)
    return " ".join(path)


def command_names(group: click.Group, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from command_names(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


@pytest.mark.parametrize("line", [line for line in EVERY_LINE if line.startswith("reachbook ")])
def test_a_shown_command_is_valid(line: str) -> None:
    assert parse(line)


@pytest.mark.parametrize(
    "line",
    [
        "reachbook team crate Support",
        "reachbook team create",
        "reachbook serve --threads 4",
        "reachbook secret create --team 1 --representation strings",
    ],
)
def test_an_invalid_command_is_detected(line: str) -> None:
    with pytest.raises((KeyError, click.UsageError)):
        parse(line)


def test_every_command_is_shown() -> None:
    lines = shell_lines(read("docs/cli.md"))
    shown = {parse(line) for line in lines if line.startswith("reachbook ")}

    assert shown == set(command_names(main, "reachbook"))


def test_every_shown_make_target_exists() -> None:
    shown = {line.split()[1] for line in EVERY_LINE if line.startswith("make ")}

    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"serve", "test", "check", "bench"} <= shown
    assert shown <= targets


# ── links and paths ──────────────────────────────────────────────────────────────────────────────


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_targets_of_links_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        linked = page.parent / file if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize(
    ("page", "title"), [(README, "Path of a request"), ("CONTRIBUTING.md", "Recipes")]
)
def test_the_named_modules_exist(page: str, title: str) -> None:
    pattern = r"`([a-z_/]+(?:\.py|\.sql|\.md|/))`"
    named = re.findall(pattern, section(page, title))

    assert named
    bases = (ROOT, ROOT / "src" / "reachbook")
    assert [path for path in named if not any((base / path).exists() for base in bases)] == []
