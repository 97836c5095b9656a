"""`channel`: the ways a contact can be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import click
from msgspec.structs import replace

from reachbook.cli import common
from reachbook.cli.arguments import TakesValues, said_type
from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel import Named, Reach
from reachbook.domain.channel_rules import OnConflict, Wanted
from reachbook.domain.errors import Reason, Refusal
from reachbook.service import Asking, Service
from reachbook.settings import Settings
from reachbook.storage import Team
from reachbook.wire import bulk, extensions
from reachbook.wire.parse import contact_uuid

Use = Callable[[Service, Asking, str], Awaitable[Reach]]


@click.group()
def channel() -> None:
    """Add, list and remove the ways a contact can be reached."""


@channel.command(cls=TakesValues)
@click.argument("uuid")
@click.argument("value")
@said_type
@click.option("--handle", metavar="TEXT", help="What the integration calls the person.")
@click.option("--info-channel", metavar="TEXT", help="The page or integration it came by.")
@click.option("--move", is_flag=True, help="Take it from the contact that owns it now, if any.")
@common.team_option
@common.options
def add(
    uuid: str,
    value: str,
    kind: str | None,
    handle: str | None,
    info_channel: str | None,
    move: bool,
    team_id: int | None,
    as_json: bool,
    **flags: object,
) -> None:
    """Add the address VALUE to a contact, or update what differs of one that it has.

    Without --type an @ means email, and digits mean phone.
    """

    async def change(service: Service, team: Team) -> Reach:
        address = bulk.sought(kind, value, team.default_region)
        wanted = Wanted(address)
        if handle is not None:
            wanted = replace(wanted, channel_handle=addresses.storable("handle", handle))
        if info_channel is not None:
            text = addresses.storable("info-channel", info_channel)
            wanted = replace(wanted, info_channel=text)
        asking = common.asking(team)
        if move:
            asking = replace(asking, on_conflict=OnConflict.MOVE)
        return await service.channels.add(asking, contact_uuid(uuid), wanted)

    _print(common.with_team(common.read_settings(**flags), team_id, change), as_json=as_json)


@channel.command("list")
@click.argument("uuid")
@common.team_option
@common.options
def list_(uuid: str, team_id: int | None, as_json: bool, **flags: object) -> None:
    """List the channels of a contact, oldest first."""

    async def read(service: Service, asking: Asking, named: str) -> Reach:
        return await service.channels.all(asking, named)

    _print(_ask(common.read_settings(**flags), team_id, uuid, read), as_json=as_json)


@channel.command()
@click.argument("uuid")
@click.argument("which", metavar="CHANNEL")
@common.team_option
@common.options
def remove(uuid: str, which: str, team_id: int | None, as_json: bool, **flags: object) -> None:
    """Remove a channel for good: CHANNEL is its id, like ch_001, or its type if it is the only one.

    What is left is listed.
    """

    async def change(service: Service, asking: Asking, named: str) -> Reach:
        number = _number(which)
        if number is not None:
            return await service.channels.remove_exactly(asking, named, number)
        kind = Named(addresses.channel_type(which))
        try:
            return await service.channels.remove(asking, named, kind)
        except Refusal as no:
            raise _say_which(no) from None

    _print(_ask(common.read_settings(**flags), team_id, uuid, change), as_json=as_json)


def _ask(chosen: Settings, team_id: int | None, uuid: str, use: Use) -> Reach:
    async def run(service: Service, team: Team) -> Reach:
        return await use(service, common.asking(team), contact_uuid(uuid))

    return common.with_team(chosen, team_id, run)


def _number(which: str) -> int | None:
    try:
        return extensions.channel_number(which)
    except Refusal:
        return None


def _say_which(no: Refusal) -> Refusal:
    """A refusal of several, in the words of the terminal."""
    several = no.facts.get("channels")
    if no.reason is not Reason.SEVERAL or not isinstance(several, Reach):
        return no
    ids = ", ".join(f"{one.id} ({one.channel_id})" for one in extensions.known_channels(several))
    return Refusal(no.reason, f"That could be several, so name one by its id: {ids}.")


def _print(reach: Reach, *, as_json: bool) -> None:
    body = extensions.known_channels(reach)
    if as_json:
        common.print_json(body)
        return
    if not body:
        common.say("The contact has no channel, and cannot be reached.")
        return
    rows = [
        (
            one.id,
            one.channel_type,
            one.channel_id,
            "yes" if one.primary else None,
            one.held_reason,
            one.consent,
            one.created,
        )
        for one in body
    ]
    columns = ("channel", "type", "address", "primary", "held", "consent", "added")
    common.print_table(columns, rows)
