"""Text from clients cannot send control sequences to the operator's terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import apsw
import httpx
import pytest
from click.testing import CliRunner, Result

import reachbook
from reachbook.cli import main
from reachbook.domain.escaping import escape, in_json
from tests.support.home import Home
from tests.support.personas import ALICE
from tests.support.vendor_documents import ALICE_LIST

UNSAFE = [
    *(chr(number) for number in range(0x20)),
    *(chr(number) for number in range(0x7F, 0xA0)),
    *"\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e",
    *"\u2060\u2066\u2067\u2068\u2069\ufeff\ud800\udfff",
]
# Clears the screen, sets the title, ends a row, and changes the direction of the text after it.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\n\x7f\x9b31m\u202egnp\u2066\u2028end"
CLI = Path(reachbook.__file__).parent / "cli"


@pytest.mark.parametrize("unsafe", UNSAFE)
def test_an_unsafe_character_is_escaped(unsafe: str) -> None:
    shown = escape(f"a{unsafe}b")

    assert shown.isprintable()
    assert shown.isascii()
    assert shown.startswith("a\\")
    assert shown.endswith("b")
    assert shown.encode().decode("unicode_escape") == f"a{unsafe}b"


@pytest.mark.parametrize(
    "text", ["José", "日本語", "שלום", "👩\u200d👧", "\u0645\u06cc\u200c\u062e", "a\\b", ""]
)
def test_printable_text_is_not_changed(text: str) -> None:
    assert escape(text) == text


@pytest.mark.parametrize("unsafe", [text for text in UNSAFE if not "\ud800" <= text <= "\udfff"])
def test_escaped_json_decodes_to_the_same_value(unsafe: str) -> None:
    value = {f"{unsafe}é": [f"a{unsafe}b"]}
    document = json.dumps(value, ensure_ascii=False, indent=1).encode()

    escaped = in_json(document)

    assert json.loads(escaped) == value
    assert all(line.isprintable() for line in escaped.decode().splitlines())


def test_only_one_module_prints_text() -> None:
    """The other modules must call it, so that all output is escaped."""
    printing = re.compile(r"click\.(?:echo|secho|prompt)|\bprint\(|sys\.std(?:out|err)\.write")

    found = {file.name for file in CLI.glob("*.py") if printing.search(file.read_text())}

    assert found == {"common.py"}


# ── commands that print stored text or arguments ─────────────────────────────────────────────────


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str]:
    """A database in which all text of a contact, its history and its team is hostile."""
    home = Home(tmp_path_factory.mktemp("hostile") / "data")
    with home.serve("--json") as server:
        welcome = json.loads(server.output.read_text())
        headers = {"authorization": f"Bearer {welcome['api_key']}"}
        body = {"custom": {HOSTILE: HOSTILE}, "first": "Alice", "tags": [{"tag_id": 1}]}
        url = f"{server.url}/v2/contact/{welcome['contact']}"
        assert httpx.put(url, headers=headers, json=body).status_code == 200
    _write_hostile_text(home.directory / "reachbook.db")
    return home, welcome["contact"]


def _write_hostile_text(path: Path) -> None:
    """Write values that the API refuses into rows, as another program might do."""
    connection = apsw.Connection(str(path))
    connection.execute("UPDATE team SET name = ?", (HOSTILE,))
    connection.execute("UPDATE api_key SET label = ?", (HOSTILE,))
    connection.execute("UPDATE api_secret SET label = ?", (HOSTILE,))
    texts = ("first", "last", "display_name", "external_id")
    connection.execute(
        f"UPDATE contact SET {', '.join(f'{text} = ?1' for text in texts)}", (HOSTILE,)
    )
    connection.execute(
        "UPDATE contact_channel SET channel_id = channel_id || ?1, channel_handle = ?1, label = ?1",
        (HOSTILE,),
    )
    connection.execute("UPDATE event SET actor = ?1, request_id = ?1", (HOSTILE,))
    quoted = json.dumps(HOSTILE)[1:-1]
    for column in ("before", "after"):
        replaced = f"UPDATE event_body SET {column} = replace({column}, 'Alice', ?)"
        connection.execute(replaced, (quoted,))
    connection.close()


def run(home: Home, *words: str) -> Result:
    """Run a command in this process."""
    runner = CliRunner(env={"REACHBOOK_DATA_DIR": str(home.directory)})
    return runner.invoke(main, words, prog_name="reachbook")


COMMANDS_THAT_SHOW = [
    *(("team", "list"), ("key", "list"), ("secret", "list"), ("doctor",)),
    *(("contact", "show", ALICE), ("contact", "history", ALICE), ("channel", "list", ALICE)),
    ("resolve", ALICE_LIST[0]["channel_id"]),
]
COMMANDS_THAT_FAIL = [
    *(("contact", "show", HOSTILE), ("contact", "show", ALICE, HOSTILE), ("contact", HOSTILE)),
    *(("channel", "add", ALICE, HOSTILE), ("channel", "remove", ALICE, HOSTILE)),
    *(("key", "revoke", HOSTILE), ("team", "create", HOSTILE), ("team", "set", HOSTILE)),
    *(("team", "set", "1", "--region", HOSTILE), ("contact", "create", "--channel", HOSTILE)),
    *((HOSTILE,), ("serve", f"--{HOSTILE}"), ("serve", "--port", HOSTILE), (f"--{HOSTILE}",)),
    *(("backup", f"/{HOSTILE}/x"), ("backup", "x", "--database", HOSTILE)),
    ("contact", "erase", HOSTILE, "--yes"),
]


@pytest.mark.parametrize("command", COMMANDS_THAT_SHOW, ids=" ".join)
def test_stored_text_is_escaped(hostile: tuple[Home, str], command: tuple[str, ...]) -> None:
    done = run(hostile[0], *command)

    output = done.stdout + done.stderr
    assert "\\x1b[2J" in output or command == ("doctor",)
    assert output.count("\\u202egnp") == output.count("gnp")
    assert all(line.isprintable() for line in output.split("\n")), output


@pytest.mark.parametrize("command", COMMANDS_THAT_FAIL, ids=ascii)
def test_arguments_quoted_in_an_error_are_escaped(
    hostile: tuple[Home, str], command: tuple[str, ...]
) -> None:
    done = run(hostile[0], *command)

    assert done.exit_code in (1, 2), done.exception
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    assert all(line.isprintable() for line in done.stderr.split("\n")), done.stderr


def texts(value: object) -> Iterator[str]:
    """Yield every text in a JSON value, including keys."""
    if isinstance(value, str):
        yield value
    for pair in value.items() if isinstance(value, dict) else ():
        yield from texts(list(pair))
    for item in value if isinstance(value, list) else ():
        yield from texts(item)


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS_THAT_SHOW if command != ("doctor",)], ids=" ".join
)
def test_json_output_is_escaped_and_holds_the_stored_text(
    hostile: tuple[Home, str], command: tuple[str, ...]
) -> None:
    output = run(hostile[0], *command, "--json").stdout

    assert all(line.isprintable() for line in output.split("\n")), command
    assert any(HOSTILE in text for text in texts(json.loads(output)))


def test_stored_text_in_an_error_is_escaped(hostile: tuple[Home, str]) -> None:
    home, _ = hostile
    assert run(home, "team", "create", "Another").exit_code == 0

    done = run(home, "contact", "show", ALICE)

    assert escape(HOSTILE) in done.stderr
    assert done.stderr.rstrip("\n").isprintable()
