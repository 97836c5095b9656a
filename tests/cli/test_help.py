"""Help, version and wrong usage of the command line as a whole."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

import reachbook
from reachbook.cli import main
from tests.support.home import Home

DOCUMENTED = {
    "serve": {"--host", "--port", "--database", "--workers"},
    "migrate": {"--database"},
    "team create": {"--region"},
    "team set": {"--name", "--region"},
    "team list": set(),
    "user create": {"--team", "--role"},
    "user list": {"--team"},
    "user disable": {"--team"},
    "user enable": {"--team"},
    "user link": {"--team", "--url"},
    "secret create": {"--team", "--label", "--representation", "--read-only"},
    "secret list": set(),
    "secret revoke": set(),
    "key create": {"--team", "--label", "--representation", "--read-only"},
    "key list": set(),
    "key revoke": set(),
    "contact create": {"--team", "--uuid", "--first", "--last", "--channel"},
    "contact show": {"--team"},
    "contact history": {"--team", "--limit", "--cursor"},
    "contact export": {"--team"},
    "contact erase": {"--team", "--yes"},
    "channel add": {"--team", "--type", "--move"},
    "channel list": {"--team"},
    "channel remove": {"--team"},
    "resolve": {"--team", "--type", "--create", "--explain"},
    "doctor": {"--repair", "--yes"},
    "backup": {"--overwrite"},
    "restore": set(),
    "rekey": {"--new-key-file"},
    "settings": set(),
    "sandbox": {
        *("--port", "--listen-on-all-interfaces", "--rate-limit", "--control-token"),
        "--parent-pid",
    },
}


def subcommands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each command that is not a group, with its full name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from subcommands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


COMMANDS = dict(subcommands(main))


def test_help_lists_every_command(home: Home) -> None:
    home = home.as_process()
    output = home.run("--help").succeeded()

    for noun in main.commands:
        assert f"\n  {noun} " in output
    assert "reachbook serve" in output


def test_the_commands_are_the_documented_commands() -> None:
    assert COMMANDS.keys() == DOCUMENTED.keys()


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_command_has_its_options_and_json(name: str) -> None:
    options = {text for parameter in COMMANDS[name].params for text in parameter.opts}

    # The sandbox creates a temporary database.
    store_options = set() if name == "sandbox" else {"--database", "--data-dir"}
    assert options >= DOCUMENTED[name] | {"--json"} | store_options


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_command_has_a_help_text(name: str) -> None:
    assert COMMANDS[name].help


@pytest.mark.parametrize("group", ["", "team", "secret", "key", "contact", "channel"])
def test_a_group_without_a_command_prints_its_help(home: Home, group: str) -> None:
    message = home.run(*group.split()).misuse()

    assert "Usage: reachbook" in message
    assert "Commands:" in message


def test_version_prints_the_version(home: Home) -> None:
    assert reachbook.__version__ in home.run("--version").succeeded()


@pytest.mark.parametrize(
    "arguments",
    [
        ["sing"],
        ["team", "list", "--sing"],
        ["serve", "--port", "http"],
        ["serve", "--port", "-1"],
        ["serve", "--port", "65536"],
        ["serve", "--workers", "0"],
    ],
)
def test_wrong_usage_exits_with_2(home: Home, arguments: list[str]) -> None:
    assert "Usage: reachbook" in home.run(*arguments).misuse()
    assert not home.directory.exists()
