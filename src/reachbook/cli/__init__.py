"""The command line: it imports everything, and nothing imports it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from reachbook import __version__
from reachbook.cli.channel import channel
from reachbook.cli.contact import contact
from reachbook.cli.credential import key, secret
from reachbook.cli.history import erase, export, history
from reachbook.cli.maintenance import backup, doctor, rekey, restore
from reachbook.cli.resolve import resolve
from reachbook.cli.sandbox import sandbox
from reachbook.cli.serve import migrate, serve, show_settings
from reachbook.cli.team import team
from reachbook.cli.user import user
from reachbook.domain import escaping


class Program(click.Group):
    """The commands. Arguments that an error quotes are escaped: a script may pass any text."""

    def make_context(self, *parsed: Any, **options: Any) -> click.Context:
        """Read the arguments before the name of a command."""
        with _escaped():
            return super().make_context(*parsed, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Read the arguments of the command and run it."""
        with _escaped():
            return super().invoke(ctx)


@contextmanager
def _escaped() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise  # its message is the help text, which has line breaks
    except click.UsageError as error:
        raise click.UsageError(escaping.escape(error.format_message()), error.ctx) from None


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: reachbook serve. It makes a store to try things with, and prints a curl "
    "line. Each command has its own --help.",
)
@click.version_option(__version__, prog_name="reachbook")
def main() -> None:
    """Reachbook: the directory of how a team can reach its contacts.

    It serves the Heymarket v2 contact-channel API from an embedded SQLite file or from
    PostgreSQL. Settings come from flags, then REACHBOOK_* variables, then defaults.
    """


for command in (serve, sandbox, migrate, team, user, secret, key, show_settings):
    main.add_command(command)
for command in (resolve, contact, channel):
    main.add_command(command)
for command in (history, export, erase):
    contact.add_command(command)
for command in (doctor, backup, restore, rekey):
    main.add_command(command)
