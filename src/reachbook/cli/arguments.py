"""Arguments that are addresses, which may begin with `-`."""

from __future__ import annotations

from typing import Final

import click

value_type: Final = click.option(
    "--type",
    "kind",
    metavar="TYPE",
    help="The channel type, like phone; by default inferred from VALUE.",
)


class ValueOptions(click.Command):
    """A command that accepts values which begin with `-`, unless they are options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments after moving values to the end, behind a `--`."""
        # Click would take the id of a Telegram group, which begins with -, for an option. Arguments
        # that begin with -- are always options.
        options = {name: option for option in self.get_params(ctx) for name in option.opts}
        given: list[str] = []
        values: list[str] = []
        rest = list(args)
        while rest:
            word = rest.pop(0)
            if word == "--":
                values += rest
                break
            if word not in options and not word.startswith("--"):
                values.append(word)
                continue
            given.append(word)
            if word in options and _expects_value(options[word]) and rest:
                given.append(rest.pop(0))
        return super().parse_args(ctx, [*given, "--", *values])


def _expects_value(option: click.Parameter) -> bool:
    return isinstance(option, click.Option) and not option.is_flag and not option.count
