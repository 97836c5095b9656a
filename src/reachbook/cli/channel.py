"""`channel`: the ways a contact can be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import click
from msgspec.structs import replace

from reachbook.cli import common
from reachbook.cli.arguments import ValueOptions, value_type
from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel import ChannelList, ChannelSelector
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.on_conflict import OnConflict
from reachbook.service import Service, WriteContext
from reachbook.settings import Settings
from reachbook.storage import Team
from reachbook.wire import bulk, extensions
from reachbook.wire.parse import contact_uuid

Use = Callable[[Service, WriteContext, str], Awaitable[ChannelList]]


@click.group()
def channel() -> None:
    """Add, list and remove the ways a contact can be reached."""


@channel.command(cls=ValueOptions)
@click.argument("uuid")
@click.argument("value")
@value_type
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
    """Add the address VALUE to a contact, or update it if the contact has it.

    Without --type an @ means email, and digits mean phone.
    """

    async def change(service: Service, team: Team) -> ChannelList:
        address = bulk.address_query(kind, value, team.default_region)
        wanted = ChannelInput(address)
        if handle is not None:
            wanted = replace(wanted, channel_handle=addresses.validate_text("handle", handle))
        if info_channel is not None:
            text = addresses.validate_text("info-channel", info_channel)
            wanted = replace(wanted, info_channel=text)
        context = common.context(team)
        if move:
            context = replace(context, on_conflict=OnConflict.MOVE)
        return await service.channels.add(context, contact_uuid(uuid), wanted)

    _print(common.with_team(common.read_settings(**flags), team_id, change), as_json=as_json)


@channel.command("list")
@click.argument("uuid")
@common.team_option
@common.options
def list_(uuid: str, team_id: int | None, as_json: bool, **flags: object) -> None:
    """List the channels of a contact, oldest first."""

    async def read(service: Service, context: WriteContext, selector: str) -> ChannelList:
        return await service.channels.all(context, selector)

    _print(_ask(common.read_settings(**flags), team_id, uuid, read), as_json=as_json)


@channel.command()
@click.argument("uuid")
@click.argument("named", metavar="CHANNEL")
@common.team_option
@common.options
def remove(uuid: str, named: str, team_id: int | None, as_json: bool, **flags: object) -> None:
    """Remove a channel; CHANNEL is its id, like ch_001, or its type if it is the only one.

    The remaining channels are listed.
    """

    async def change(service: Service, context: WriteContext, selector: str) -> ChannelList:
        number = _number(named)
        if number is not None:
            return await service.channels.remove_exactly(context, selector, number)
        kind = ChannelSelector(addresses.channel_type(named))
        try:
            return await service.channels.remove(context, selector, kind)
        except Refusal as refusal:
            raise _with_ids(refusal) from None

    _print(_ask(common.read_settings(**flags), team_id, uuid, change), as_json=as_json)


def _ask(chosen: Settings, team_id: int | None, uuid: str, use: Use) -> ChannelList:
    async def run(service: Service, team: Team) -> ChannelList:
        return await use(service, common.context(team), contact_uuid(uuid))

    return common.with_team(chosen, team_id, run)


def _number(named: str) -> int | None:
    try:
        return extensions.channel_number(named)
    except Refusal:
        return None


def _with_ids(refusal: Refusal) -> Refusal:
    """Returns a refusal `several` with the ids that the command accepts; others unchanged."""
    several = refusal.facts.get("channels")
    if refusal.reason is not Reason.SEVERAL or not isinstance(several, ChannelList):
        return refusal
    ids = ", ".join(
        f"{detail.id} ({detail.channel_id})" for detail in extensions.channel_details(several)
    )
    return Refusal(refusal.reason, f"That could be several, so name one by its id: {ids}.")


def _print(channel_list: ChannelList, *, as_json: bool) -> None:
    body = extensions.channel_details(channel_list)
    if as_json:
        common.print_json(body)
        return
    if not body:
        common.echo("The contact has no channel, and cannot be reached.")
        return
    rows = [
        (
            detail.id,
            detail.channel_type,
            detail.channel_id,
            "yes" if detail.primary else None,
            detail.held_reason,
            detail.consent,
            detail.created,
        )
        for detail in body
    ]
    columns = ("channel", "type", "address", "primary", "held", "consent", "added")
    common.print_table(columns, rows)
