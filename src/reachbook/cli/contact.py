"""`contact`: whom a team can reach."""

from __future__ import annotations

import click

from reachbook import address as addresses
from reachbook import moment
from reachbook.administration import Administration
from reachbook.cli import common
from reachbook.contact import Contact, WantedContact
from reachbook.contact_channel import Wanted
from reachbook.credential import Representation, TeamId
from reachbook.service import Asking, Service
from reachbook.storage import Store
from reachbook.wire import answer
from reachbook.wire.request import contact_uuid

ACTOR = "command line"


@click.group()
def contact() -> None:
    """Make and show contacts."""


@contact.command()
@click.option("--team", "team_id", type=int, required=True, metavar="ID")
@click.option("--uuid", help="Its UUID; a new one unless given.")
@click.option("--first", default="", metavar="NAME")
@click.option("--last", default="", metavar="NAME")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="TYPE=VALUE",
    help="A way to reach it, like phone=15105553344; may be given again.",
)
@common.options
def create(
    team_id: int,
    uuid: str | None,
    first: str,
    last: str,
    channels: tuple[str, ...],
    as_json: bool,
    **flags: object,
) -> None:
    """Make a contact."""

    async def make(store: Store) -> Contact:
        team = await Administration(store, moment.now).team(team_id)
        wanted = WantedContact(
            tuple(_channel(each, team.default_region) for each in channels),
            first=addresses.storable("first", first),
            last=addresses.storable("last", last),
        )
        return await Service(store).create_contact(
            _asking(team_id), wanted, None if uuid is None else contact_uuid(uuid)
        )

    _show(common.with_store(common.read_settings(**flags), make), as_json=as_json)


@contact.command()
@click.argument("uuid")
@click.option("--team", "team_id", type=int, required=True, metavar="ID")
@common.options
def show(uuid: str, team_id: int, as_json: bool, **flags: object) -> None:
    """Show the contact with this UUID."""

    async def find(store: Store) -> Contact:
        await Administration(store, moment.now).team(team_id)
        return await Service(store).contact(_asking(team_id), contact_uuid(uuid))

    _show(common.with_store(common.read_settings(**flags), find), as_json=as_json)


def _asking(team_id: int) -> Asking:
    return Asking(TeamId(team_id), ACTOR, ACTOR)


def _channel(text: str, region: str | None) -> Wanted:
    kind, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not TYPE=VALUE, like phone=15105553344")
    return Wanted(addresses.parse(addresses.channel_type(kind), value, region))


def _show(one: Contact, *, as_json: bool) -> None:
    body = answer.contact(one, Representation.STRING_IDS)
    if as_json:
        common.print_json(body)
        return
    common.print_facts(
        {"uuid": body.uuid, "first": body.first, "last": body.last, "created": body.created}
    )
    rows = [
        (each.id, each.channel_type, each.channel_id, each.created)
        for each in body.contact_channels
    ]
    if rows:
        click.echo()
        common.print_table(("channel", "type", "address", "added"), rows)
