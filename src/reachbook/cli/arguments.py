"""Addresses as arguments: they may begin with a + or a -, as phone numbers and chat ids do."""

from __future__ import annotations

from typing import Final

import click

value_type: Final = click.option(
    "--type", "kind", metavar="TYPE", help="phone, email or another; told from the value if not."
)


class ValueOptions(click.Command):
    """A command of which an argument that begins with one - is a value, unless it is an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The values go to the end, behind a `--`; what begins with -- stays an option."""
        # Click would take the id of a Telegram group, which begins with -, for an option.
        options = {name: option for option in self.get_params(ctx) for name in option.opts}
        kept: list[str] = []
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
            kept.append(word)
            if word in options and _expects_value(options[word]) and rest:
                kept.append(rest.pop(0))
        return super().parse_args(ctx, [*kept, "--", *values])


def _expects_value(option: click.Parameter) -> bool:
    return isinstance(option, click.Option) and not option.is_flag and not option.count
