"""The reference of the command line as a page of Markdown, made from the commands of click."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

import click

from reachbook.cli import main
from scripts.tables import table

INTRODUCTION = """\
# Command reference

Every command with its arguments and options.
This page is made from the texts of `--help`; [Command line](cli.md) has examples.
"""


def page() -> str:
    """Returns the page."""
    return "\n".join([INTRODUCTION, *map(_section, contexts())])


def contexts() -> Iterator[click.Context]:
    """Yields the context of each command that is no group, in the order of the help texts."""
    return _below(click.Context(main, info_name="reachbook"))


def _below(context: click.Context) -> Iterator[click.Context]:
    if not isinstance(context.command, click.Group):
        yield context
        return
    for name, command in context.command.commands.items():
        yield from _below(click.Context(command, context, info_name=name))


def _section(context: click.Context) -> str:
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    return "\n".join(
        [
            f"## `{context.command_path}`\n",
            f"{cleandoc(command.help or '')}\n",
            f"```\n{context.command_path} {usage}\n```\n",
            table(("option", "meaning"), _options(context)),
        ]
    )


def _options(context: click.Context) -> Iterator[tuple[str, str]]:
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)  # None for an argument: the usage shows it
        if record:
            yield f"`{record[0]}`", record[1]
