"""The command line: it may import every package, and no package imports it.

The module of a command is imported when the command is looked up, because some take long to import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from reachbook import __version__
from reachbook.domain import escaping

COMMANDS = {
    "backup": "maintenance:backup",
    "channel": "channel:channel",
    "contact": "contact:contact",
    "doctor": "maintenance:doctor",
    "key": "credential:key",
    "migrate": "serve:migrate",
    "rekey": "maintenance:rekey",
    "resolve": "resolve:resolve",
    "restore": "maintenance:restore",
    "sandbox": "sandbox:sandbox",
    "secret": "credential:secret",
    "serve": "serve:serve",
    "settings": "serve:show_settings",
    "team": "team:team",
    "user": "user:user",
}
"""The module of each command, and the name of the command in it."""


class LazyCommands(MutableMapping[str, click.Command]):
    """The commands by name, imported when they are looked up; `places` is like `COMMANDS`."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._commands: dict[str, click.Command | str] = dict(places)

    def __getitem__(self, name: str) -> click.Command:
        command = self._commands[name]
        if isinstance(command, str):
            module, _, attribute = command.partition(":")
            found: click.Command = getattr(import_module(f"reachbook.cli.{module}"), attribute)
            self._commands[name] = command = found
        return command

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)


class Program(click.Group):
    """The commands. Errors escape the arguments that they quote, which can be any text."""

    def make_context(self, *parsed: Any, **options: Any) -> click.Context:
        """Read the arguments before the name of a command."""
        with _reported():
            return super().make_context(*parsed, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Read the arguments of the command and run it."""
        with _reported():
            return super().invoke(ctx)


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise  # its message is the help text, whose line breaks must stay
    except click.UsageError as error:
        raise click.UsageError(escaping.escape(error.format_message()), error.ctx) from None
    except BrokenPipeError:
        raise  # the reader of the output has closed it; click ends without a message
    except OSError as error:  # the text of --help cannot be written
        from reachbook.cli import common

        common.end_with_os_error(error)


@click.group(
    cls=Program,
    commands=LazyCommands(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: reachbook serve. It creates a store with an example, and prints a curl "
    "command. Each command has its own --help.",
)
@click.version_option(__version__, prog_name="reachbook")
def main() -> None:
    """Reachbook: the directory of how a team can reach its contacts.

    It serves the Heymarket v2 contact-channel API from an embedded SQLite file or from
    PostgreSQL. Settings come from flags, then REACHBOOK_* variables, then defaults.
    """
