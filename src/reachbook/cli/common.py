"""Shared by all commands: options, opening the store, and output."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial, wraps
from typing import Any, Final, NoReturn, TypeVar

import click
import msgspec

from reachbook import settings
from reachbook.domain import escaping, timestamps
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Reason, Refusal
from reachbook.server import master_key
from reachbook.service import Service, TeamKeys, WriteContext
from reachbook.service.administration import Administration
from reachbook.settings import BadSettingError, Settings
from reachbook.storage import Store, Team, open_store

Result = TypeVar("Result")
Use = Callable[[Service, Team], Awaitable[Result]]
WIDE = 10_000  # an id that is cut or wrapped cannot be copied
MAX_TEAMS_SHOWN = 10
ACTOR = "command line"

team_option: Final = click.option(
    "--team",
    "team_id",
    type=int,
    metavar="ID",
    help="The id of the team; not needed if there is only one.",
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json`, `--database` and `--data-dir`."""
    for option in (
        click.option("--data-dir", help="The directory of the SQLite store and the key file."),
        click.option("--database", help="postgresql://... or sqlite:///PATH.", metavar="URL"),
        click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
        ),
    ):
        command = option(command)
    return report_errors(command)


def report_errors(command: Callable[..., Result]) -> Callable[..., Result]:
    """Turn a refusal into one sentence on standard error and exit code 1."""

    @wraps(command)
    def reporting(*args: Any, **kwargs: Any) -> Result:
        try:
            return command(*args, **kwargs)
        except (Refusal, BadSettingError) as refusal:
            end(str(refusal))
        except BrokenPipeError:
            raise  # the reader of the output has closed it; click ends without a message
        except OSError as error:
            end_with_os_error(error)

    return reporting


def end_with_os_error(error: OSError) -> NoReturn:
    """Print the sentence of an error of the operating system, and exit with code 1."""
    _discard_output()
    end(f"The operating system refuses: {error.strerror or error}.")


def print_or_discard(show: Callable[[], None]) -> None:
    """Print what a server prints at its start; if standard output is closed or full, go on."""
    try:
        show()
    except OSError:
        _discard_output()


def _discard_output() -> None:
    """Discard the rest of the output."""
    # Python flushes standard output at exit. On a full disk this would fail again, with a traceback
    # and exit code 120.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read_settings(**flags: object) -> Settings:
    """Returns the settings of this run."""
    return settings.read(flags, os.environ)[0]


@asynccontextmanager
async def opened(chosen: Settings) -> AsyncIterator[Store]:
    """Open the store; raises `store_unfit` if its schema is not that of this release."""
    store = await open_store(chosen.database_url)
    try:
        await store.require_schema()
        await store.require_identities()
        yield store
    finally:
        await store.close()


def with_store(chosen: Settings, use: Callable[[Store], Awaitable[Result]]) -> Result:
    """Open the store, return the result of `use`, and close the store."""

    async def run() -> Result:
        async with opened(chosen) as store:
            return await use(store)

    return asyncio.run(run())


def with_administration(
    chosen: Settings, use: Callable[[Administration], Awaitable[Result]]
) -> Result:
    """Returns the result of `use` for teams and credentials."""
    return with_store(chosen, lambda store: use(Administration(store, timestamps.now)))


def with_team(chosen: Settings, team_id: int | None, use: Use[Result]) -> Result:
    """Returns the result of a use case for a team; without an id, for the only team."""

    async def run(store: Store) -> Result:
        team = await only_team(Administration(store, timestamps.now), team_id)
        # Most commands only read, so the master key is opened or created only for a change.
        open_keys = partial(master_key.open_master_keys, chosen, store)
        return await use(Service(store, TeamKeys(store, (), open_keys)), team)

    return with_store(chosen, run)


def context(team: Team) -> WriteContext:
    """Returns the context of a use case of the command line."""
    return WriteContext(TeamId(team.team_id), ACTOR, ACTOR)


async def only_team(administration: Administration, team_id: int | None) -> Team:
    """Returns the team with an id; without an id, the only team.

    Raises `no_team` if there is no such team, or if there are several.
    """
    if team_id is not None:
        return await administration.team(team_id)
    teams = await administration.teams()
    # Most stores have one team, so that its id need not be given.
    if len(teams) == 1:
        return teams[0]
    if not teams:
        raise Refusal(Reason.NO_TEAM, "There is no team yet; reachbook team create makes one.")
    shown = [f"{team.team_id} ({team.name})" for team in teams[:MAX_TEAMS_SHOWN]]
    more = len(teams) - len(shown)
    names = ", ".join([*shown, f"and {more} more"] if more else shown)
    raise Refusal(Reason.NO_TEAM, f"There are {len(teams)} teams, so --team is required: {names}.")


def end(sentence: str) -> NoReturn:
    """Print one sentence on standard error, and exit with code 1."""
    echo(f"reachbook: {sentence}", err=True)
    sys.exit(1)


def echo(line: str = "", *, err: bool = False) -> None:
    """Print one line of text. All output that is not JSON must be printed with this function.

    The line is escaped: it can hold text from clients, and a terminal interprets control
    characters.
    """
    click.echo(escaping.escape(line), err=err)


def print_json(value: object) -> None:
    """Print one JSON document on standard output."""
    click.echo(json_text(value))


def print_json_line(value: object) -> None:
    """Print one JSON document on a line of standard output, for a program that reads by lines."""
    click.echo(escaping.in_json(msgspec.json.encode(value)).decode())


def print_part(text: str) -> None:
    """Print a part of a JSON document, as `json_text` returns it, on standard output."""
    click.echo(text, nl=False)


def json_text(value: object) -> str:
    """Returns a value as indented JSON, with the same escapes in its strings as in other output."""
    document = msgspec.json.format(msgspec.json.encode(value), indent=2)
    return escaping.in_json(document).decode()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows for a person; a missing value is a dash."""
    from rich.console import Console  # takes 60 ms, which output as JSON does not need
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        # As `Text`, because rich would interpret markup in a name.
        table.add_row(*(Text(_shown(value)) for value in row))
    Console(width=WIDE).print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print names and values for a person, one on each line."""
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        echo(f"  {name:<{width}}  {_shown(value)}")


def _shown(value: object) -> str:
    return "-" if value in (None, "") else escaping.escape(str(value))
