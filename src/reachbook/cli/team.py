"""`team`: create, change and list teams."""

from __future__ import annotations

import click

from reachbook.cli import common
from reachbook.domain import timestamps
from reachbook.storage import Team

REGION_HELP = (
    "Two letters, like US: digits without a + that would be a number of that country are then "
    "refused as ambiguous."
)


@click.group()
def team() -> None:
    """Create, change and list teams. A team sees only its own contacts."""


@team.command()
@click.argument("name")
@click.option("--region", help=REGION_HELP)
@common.options
def create(name: str, region: str | None, as_json: bool, **flags: object) -> None:
    """Create a team with a NAME."""
    made = common.with_administration(
        common.read_settings(**flags), lambda admin: admin.create_team(name, region)
    )
    _show(made, as_json=as_json)


@team.command("set")
@click.argument("team_id", metavar="ID", type=int)
@click.option("--name", help="The new name.")
@click.option("--region", help=REGION_HELP + ' "" clears it.')
@common.options
def set_(
    team_id: int, name: str | None, region: str | None, as_json: bool, **flags: object
) -> None:
    """Change the name or the region of the team with this ID."""
    made = common.with_administration(
        common.read_settings(**flags), lambda admin: admin.set_team(team_id, name, region)
    )
    _show(made, as_json=as_json)


@team.command("list")
@common.options
def list_(as_json: bool, **flags: object) -> None:
    """List the teams."""
    teams = common.with_administration(common.read_settings(**flags), lambda admin: admin.teams())
    if as_json:
        common.print_json([_facts(team) for team in teams])
    else:
        rows = [list(_facts(team).values()) for team in teams]
        common.print_table(("team", "name", "region", "created"), rows)


def _show(team: Team, *, as_json: bool) -> None:
    if as_json:
        common.print_json(_facts(team))
    else:
        common.print_facts(_facts(team))


def _facts(team: Team) -> dict[str, object]:
    return {
        "team_id": team.team_id,
        "name": team.name,
        "default_region": team.default_region,
        "created": timestamps.format_micros(team.created),
    }
