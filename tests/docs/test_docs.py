"""What the documentation shows is true: its requests, its snippet, its commands and its tables."""

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
from reachbook.cli.serve import _say, serve
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
    """The fenced blocks of some languages, in order."""
    return [body for language, body in FENCE.findall(text) if language in languages]


def read(page: str) -> str:
    """The text of a page, which is named by its path in the repository."""
    return (ROOT / page).read_text()


def section(page: str, title: str) -> str:
    """The text under a heading of a page."""
    pattern = rf"^(## {title})\n(.*?)(?=^## |\Z)"
    [(_, body)] = re.findall(pattern, read(page), re.MULTILINE | re.DOTALL)
    return str(body)


def rows(text: str) -> list[list[str]]:
    """The cells of the tables in a text, without their heads; backquotes taken off."""
    lines = re.findall(r"^\|(.+)\|$", text, re.MULTILINE)
    cells = [[cell.strip().strip("`") for cell in line.split("|")] for line in lines]
    return [
        row for row, below in zip(cells, [*cells[1:], []], strict=True) if not _rule(row, below)
    ]


def _rule(*cells: list[str]) -> bool:
    """Whether one of two rows is the rule under a table's head."""
    return any(row and set("".join(row)) <= {"-", "|"} for row in cells)


def shell_lines(text: str) -> Iterator[str]:
    """The commands of a page: the lines of its shell blocks, and its inline code."""
    for block in blocks(text, "sh"):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


EVERY_LINE = [line for page in PAGES for line in shell_lines(page.read_text())]


# ── the requests ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def first_start(tmp_path: Path) -> AsyncIterator[tuple[Api, Bootstrap]]:
    """The application on the store that the first start makes, with its credentials."""
    url = f"sqlite:///{tmp_path}/reachbook.db"
    store = await open_store(url)
    made = await bootstrap(store, Administration(store, timestamps.now), MASTER_KEY)
    await store.close()
    assert made
    async with open_api(url) as api:
        yield api, made


def snippet_token(made: Bootstrap) -> str:
    """A JWT as the snippet of the documentation signs it."""
    [snippet] = blocks(read("docs/credentials.md"), "python")
    names: dict[str, object] = {}
    exec(compile(snippet, "docs/credentials.md", "exec"), names)
    sign = names["token"]
    assert callable(sign)
    return str(sign(made.secret_id, made.secret_key))


async def curl(api: Api, line: str) -> httpx.Response:
    """What a curl line is answered, asked in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", dest="data")
    asked = parser.parse_args(shlex.split(line.replace("\\\n", " "))[1:])
    method = asked.method or ("GET" if asked.data is None else "POST")
    headers = dict(header.split(": ", 1) for header in asked.headers)
    body = None if asked.data is None else asked.data.encode()
    assert asked.url.startswith(HOST)
    return await api.request(method, asked.url.removeprefix(HOST), body, by=headers)


def requests_shown() -> list[tuple[str, str]]:
    """Each curl line with the JSON that stands below it."""
    return [
        (block[block.index("curl ") :].partition("\n\n")[0], below)
        for page in PAGES
        for (_, block), (language, below) in pairwise(FENCE.findall(page.read_text()))
        if "curl " in block and language == "json"
    ]


def test_every_answer_shown_has_its_request() -> None:
    shown = [block for page in PAGES for block in blocks(page.read_text(), "json")]

    assert len(requests_shown()) == len(shown) == 7


def requests_alone() -> list[str]:
    """The curl lines below which no answer is shown."""
    every = {
        block
        for page in PAGES
        for block in blocks(page.read_text(), "sh")
        if block.startswith("curl ")
    }
    return sorted(every - {line for line, _ in requests_shown()})


@pytest.mark.anyio
@pytest.mark.parametrize("line", requests_alone())
async def test_a_request_alone_succeeds(first_start: tuple[Api, Bootstrap], line: str) -> None:
    api, made = first_start
    line = line.replace("$KEY", made.api_key)

    assert (await curl(api, line)).status_code == 200
    if "Idempotency-Key" in line:
        assert (await curl(api, line)).headers["idempotent-replayed"] == "true"


@pytest.mark.anyio
@pytest.mark.parametrize(("line", "shown"), requests_shown())
async def test_a_request_is_answered_as_shown(
    first_start: tuple[Api, Bootstrap], line: str, shown: str
) -> None:
    """Byte for byte once laid out, the order of keys included; a request id is any UUID."""
    api, made = first_start
    for placeholder in ("$KEY", "rbk_1_..."):
        line = line.replace(placeholder, made.api_key)
    line = line.replace("$TOKEN", snippet_token(made))

    answer = (await curl(api, line)).json()

    if "request_id" in answer:
        assert str(UUID(answer["request_id"])) == answer["request_id"]
        answer["request_id"] = json.loads(shown)["request_id"]
    assert json.dumps(answer, indent=2) == shown.rstrip("\n")


def test_the_snippet_needs_nothing_but_the_standard_library() -> None:
    [snippet] = blocks(read("docs/credentials.md"), "python")
    imports = [node for node in ast.walk(ast.parse(snippet)) if isinstance(node, ast.Import)]

    names = {alias.name for node in imports for alias in node.names}

    assert names
    assert names <= set(sys.stdlib_module_names)


def test_the_first_start_prints_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    made = Bootstrap(1, "rbs_1_...", "...", "rbk_1", "rbk_1_...", ALICE, ADMIN, "...")
    _say(HOST, made, Settings())

    [shown] = blocks(read(README), "text")
    assert capsys.readouterr().out.strip() == shown.strip()


# ── the tables ───────────────────────────────────────────────────────────────────────────────


def test_the_routes_are_the_ones_listed() -> None:
    listed = {row[0] for row in rows(section(README, "Endpoints"))}

    served = {
        f"{method} {route.path}"
        for route in [*app.ROUTES, app.METRICS]
        if isinstance(route.endpoint, BaseEndpoint)
        for method in set(route.endpoint.operations) - {"HEAD"}
    }
    assert listed == served


@pytest.mark.anyio
async def test_what_is_not_there_yet_is_not_there(first_start: tuple[Api, Bootstrap]) -> None:
    """When one of them comes, its line has to go."""
    api, _ = first_start
    asked = re.findall(r"`([A-Z]+) (/\S+)`", section("docs/contacts.md", "Not implemented"))
    assert asked
    for method, path in asked:
        answer = await api.request(method, path.replace("{contactID}", ALICE))

        assert answer.status_code in (404, 405), f"{method} {path}"
        assert answer.json()["error_code"] in ("no_route", "method_not_allowed")


def test_the_settings_are_the_ones_listed() -> None:
    flags = {parameter.name: parameter.opts[0] for parameter in serve.params}
    expected = [
        [name, PREFIX + name.upper(), flags.get(name, ""), str(getattr(Settings(), name))]
        for name in Settings.__struct_fields__
    ]

    assert [row[:4] for row in rows(read("docs/settings.md"))] == expected


# ── the commands ─────────────────────────────────────────────────────────────────────────────


def parse(line: str) -> str:
    """The command that a line runs, without running it; raises what click would say."""
    words = shlex.split(line)
    command: click.Command = main
    path = [words.pop(0)]
    while isinstance(command, click.Group):
        path.append(words.pop(0))
        command = command.commands[path[-1]]
    # With the settings of the program: click keeps the help option that it makes first.
    command.make_context(path[-1], words, **main.context_settings)
    return " ".join(path)


def every_command(group: click.Group, path: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, f"{path} {name}")
        else:
            yield f"{path} {name}"


@pytest.mark.parametrize("line", [one for one in EVERY_LINE if one.startswith("reachbook ")])
def test_a_command_shown_is_one_that_parses(line: str) -> None:
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
def test_a_command_that_does_not_parse_is_noticed(line: str) -> None:
    with pytest.raises((KeyError, click.UsageError)):
        parse(line)


def test_every_command_is_shown() -> None:
    lines = shell_lines(read("docs/cli.md"))
    shown = {parse(line) for line in lines if line.startswith("reachbook ")}

    assert shown == set(every_command(main, "reachbook"))


def test_every_make_verb_is_there() -> None:
    verbs = {line.split()[1] for line in EVERY_LINE if line.startswith("make ")}

    there = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"serve", "test", "check", "bench"} <= verbs
    assert verbs <= there


# ── links and paths ──────────────────────────────────────────────────────────────────────────


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        file, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = page.parent / file if file else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize(
    ("page", "title"), [(README, "Path of a request"), ("CONTRIBUTING.md", "Recipes")]
)
def test_the_modules_that_are_named_exist(page: str, title: str) -> None:
    pattern = r"`([a-z_/]+(?:\.py|\.sql|\.md|/))`"
    named = re.findall(pattern, section(page, title))

    assert named
    there = (ROOT, ROOT / "src" / "reachbook")
    assert [one for one in named if not any((base / one).exists() for base in there)] == []
