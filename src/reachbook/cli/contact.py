"""`contact`: create and show contacts."""

from __future__ import annotations

import click

from reachbook.cli import common
from reachbook.cli.history import erase, export, history
from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.credential import Representation
from reachbook.service import Service
from reachbook.storage import Team
from reachbook.wire import render
from reachbook.wire.parse import contact_uuid


@click.group()
def contact() -> None:
    """Create, show, export and erase contacts, and read their history."""


@contact.command()
@common.team_option
@click.option("--uuid", help="The UUID of the contact; by default a new one.")
@click.option("--first", default="", metavar="NAME")
@click.option("--last", default="", metavar="NAME")
@click.option(
    "--channel",
    "channels",
    multiple=True,
    metavar="TYPE=VALUE",
    help="A channel, like phone=15105553344; may be given several times.",
)
@common.options
def create(
    team_id: int | None,
    uuid: str | None,
    first: str,
    last: str,
    channels: tuple[str, ...],
    as_json: bool,
    **flags: object,
) -> None:
    """Create a contact."""

    async def make(service: Service, team: Team) -> Contact:
        wanted = ContactInput(
            tuple(_channel(each, team.default_region) for each in channels),
            first=addresses.validate_text("first", first),
            last=addresses.validate_text("last", last),
        )
        named = None if uuid is None else contact_uuid(uuid)
        return await service.contacts.create(common.context(team), wanted, named)

    made = common.with_team(common.read_settings(**flags), team_id, make)
    print_contact(made, as_json=as_json)


@contact.command()
@click.argument("uuid")
@common.team_option
@common.options
def show(uuid: str, team_id: int | None, as_json: bool, **flags: object) -> None:
    """Show the contact with this UUID."""

    async def find(service: Service, team: Team) -> Contact:
        return await service.contacts.get(common.context(team), contact_uuid(uuid))

    found = common.with_team(common.read_settings(**flags), team_id, find)
    print_contact(found, as_json=as_json)


def print_contact(contact: Contact, *, as_json: bool) -> None:
    """Print a contact and its channels."""
    body = render.contact(contact, Representation.STRING_IDS)
    if as_json:
        common.print_json(body)
        return
    common.print_facts(facts(contact))
    rows = [
        (each.id, each.channel_type, each.channel_id, each.created)
        for each in body.contact_channels
    ]
    if rows:
        common.echo()
        common.print_table(("channel", "type", "address", "added"), rows)


def facts(contact: Contact) -> dict[str, object]:
    """Returns the names of a contact and its other fields that have a value."""
    body = render.contact(contact, Representation.STRING_IDS)
    optional = {
        "display name": body.display_name,
        "external id": body.external_id,
        "assigned to": body.assigned_user_id,
        "opted out": "yes" if body.is_opted_out else None,
        "tags": ", ".join(str(tag.tag_id) for tag in body.tags),
        "custom": ", ".join(f"{name}: {value}" for name, value in body.custom.items()),
    }
    return {
        "uuid": body.uuid,
        "first": body.first,
        "last": body.last,
        **{name: value for name, value in optional.items() if value not in (None, "")},
        "revision": body.rev,
        "created": body.created,
        "updated": body.updated,
    }


def _channel(text: str, region: str | None) -> ChannelInput:
    kind, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not TYPE=VALUE, like phone=15105553344")
    return ChannelInput(addresses.parse(addresses.channel_type(kind), value, region))


contact.add_command(history)
contact.add_command(export)
contact.add_command(erase)
