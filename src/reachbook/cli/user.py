"""`user`: the people who use the web console."""

from __future__ import annotations

from typing import Final

import click

from reachbook.cli import common
from reachbook.domain import timestamps
from reachbook.domain.user import Role, User
from reachbook.service.administration import Administration
from reachbook.service.users import Users
from reachbook.settings import Settings
from reachbook.storage import Store
from reachbook.storage.users import UserStore

TEAM_HELP = "The team; may be left out when there is one team."
team_option: Final = click.option("--team", "team_id", type=int, metavar="ID", help=TEAM_HELP)


@click.group()
def user() -> None:
    """Create, list and disable the users of the web console, and let them sign in."""


@user.command()
@click.argument("email")
@team_option
@click.option(
    "--role",
    type=click.Choice([str(role) for role in Role]),
    default=str(Role.MEMBER),
    show_default=True,
    help="An admin may also change credentials, users and settings.",
)
@common.options
def create(email: str, team_id: int | None, role: str, as_json: bool, **flags: object) -> None:
    """Create a user with an EMAIL address; reachbook user link lets the user sign in."""

    async def run(store: Store) -> User:
        team = await common.only_team(Administration(store, timestamps.now), team_id)
        return await _users(store).create(team.team_id, email, Role(role))

    _show(common.with_store(common.read_settings(**flags), run), as_json=as_json)


@user.command("list")
@click.option("--team", "team_id", type=int, metavar="ID", help="Of this team only.")
@common.options
def list_(team_id: int | None, as_json: bool, **flags: object) -> None:
    """List the users."""

    async def run(store: Store) -> list[User]:
        administration = Administration(store, timestamps.now)
        teams = await administration.teams()
        if team_id is not None:
            teams = [await administration.team(team_id)]
        return [user for team in teams for user in await _users(store).all(team.team_id)]

    facts = [_facts(user) for user in common.with_store(common.read_settings(**flags), run)]
    if as_json:
        common.print_json(facts)
    else:
        columns = ("team", "user", "email", "role", "password", "created", "disabled")
        common.print_table(columns, [list(each.values()) for each in facts])


@user.command()
@click.argument("email")
@team_option
@common.options
def disable(email: str, team_id: int | None, as_json: bool, **flags: object) -> None:
    """Sign a user out everywhere, and let the user sign in no more."""

    async def run(store: Store) -> User:
        users = _users(store)
        return await users.disable(await users.find(email, team_id))

    _show(common.with_store(common.read_settings(**flags), run), as_json=as_json)


@user.command()
@click.argument("email")
@team_option
@common.options
def enable(email: str, team_id: int | None, as_json: bool, **flags: object) -> None:
    """Let a disabled user sign in again."""

    async def run(store: Store) -> User:
        users = _users(store)
        return await users.enable(await users.find(email, team_id))

    _show(common.with_store(common.read_settings(**flags), run), as_json=as_json)


@user.command()
@click.argument("email")
@team_option
@click.option(
    "--url",
    help="Where the user reaches the server, like https://reachbook.example.com."
    "  [default: from the host, port and base path in the settings]",
)
@common.options
def link(email: str, team_id: int | None, url: str | None, as_json: bool, **flags: object) -> None:
    """Print a link with which a user signs in. It works once, for ten minutes."""
    chosen = common.read_settings(**flags)

    async def run(store: Store) -> tuple[User, str]:
        users = _users(store)
        found = await users.find(email, team_id)
        return found, await users.new_link(found)

    found, token = common.with_store(chosen, run)
    address = link_address(url or _server_url(chosen), token)
    if as_json:
        common.print_json({"user_id": found.id, "email": found.email, "url": address})
    else:
        common.echo(address)


def link_address(url: str, token: str) -> str:
    """Returns the address of a sign-in link on a server."""
    return f"{url.rstrip('/')}/console/link/{token}"


def _server_url(chosen: Settings) -> str:
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    return f"http://{host}:{chosen.port}{chosen.base_path}"


def _users(store: Store) -> Users:
    return Users(UserStore(store.engine), timestamps.now)


def _show(user: User, *, as_json: bool) -> None:
    if as_json:
        common.print_json(_facts(user))
    else:
        common.print_facts(_facts(user))


def _facts(user: User) -> dict[str, object]:
    return {
        "team_id": user.team_id,
        "user_id": user.id,
        "email": user.email,
        "role": user.role,
        "has_password": bool(user.password),
        "created": timestamps.format_micros(user.created),
        "disabled": timestamps.format_micros(user.disabled) if user.disabled else None,
    }
