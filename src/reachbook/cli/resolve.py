"""`resolve`: whose address is this."""

from __future__ import annotations

import click

from reachbook.cli import common
from reachbook.cli.arguments import TakesValues, said_type
from reachbook.cli.contact import facts
from reachbook.domain.address.parsing import readings
from reachbook.service import Resolved, Service, Sought
from reachbook.storage import Team
from reachbook.wire import bulk, extensions, render


@click.command(cls=TakesValues)
@click.argument("value")
@said_type
@click.option("--info-channel", metavar="TEXT", help="Only within this page or integration.")
@click.option("--create", is_flag=True, help="Make a contact if nobody owns it.")
@click.option("--first", default="", metavar="NAME", help="With --create: its first name.")
@click.option("--last", default="", metavar="NAME", help="With --create: its last name.")
@click.option("--explain", is_flag=True, help="Tell how VALUE was read, and why it is theirs.")
@common.team_option
@common.options
def resolve(
    value: str,
    kind: str | None,
    info_channel: str | None,
    create: bool,
    first: str,
    last: str,
    explain: bool,
    team_id: int | None,
    as_json: bool,
    **flags: object,
) -> None:
    """Tell which contact owns the address VALUE. Nobody is an answer too.

    Without --type an @ means email, and digits mean phone.
    """
    if (first or last) and not create:
        raise click.UsageError("--first and --last are for the contact that --create makes.")

    async def find(service: Service, team: Team) -> tuple[Sought, Resolved, str | None]:
        region = team.default_region
        address = bulk.sought(kind, value, region)
        sought = Sought(address, extensions.scope(address, info_channel))
        who = extensions.NewContact(first=first, last=last) if create else None
        asked = extensions.ResolveRequest(value, kind, info_channel, who)
        new = extensions.new_contact(asked, address, region)
        found = await service.resolving.one(common.asking(team), sought, new)
        return sought, found, region

    sought, found, region = common.with_team(common.read_settings(**flags), team_id, find)
    told = extensions.explained(value, sought.address, found.channel, region) if explain else None
    if as_json:
        common.print_json(_body(found, told))
    else:
        _say(sought, found, told)


def _body(found: Resolved, told: extensions.Explained | None) -> extensions.ResolvedBody:
    suppressed = extensions.suppressed(found.suppressed)
    body = extensions.ResolvedBody(None, None, found.created, suppressed)
    if found.contact is not None and found.channel is not None:
        body.contact = render.contact_with_string_ids(found.contact)
        body.channel = extensions.known_channel(found.contact, found.channel)
    if told is not None:
        body.explain = told
    return body


def _say(sought: Sought, found: Resolved, told: extensions.Explained | None) -> None:
    if found.contact is None or found.channel is None:
        numbers = " or ".join(each.channel_id for each in readings(sought.address))
        common.say(f"Nobody has {sought.address.channel_type} {numbers}.")
        if suppressed := extensions.suppressed(found.suppressed):
            common.say(f"It is suppressed: {suppressed.reason} since {suppressed.at}.")
    else:
        one = extensions.known_channel(found.contact, found.channel)
        shown = {
            **facts(found.contact),
            "channel": one.id,
            "type": one.channel_type,
            "address": one.channel_id,
        }
        if one.held:
            shown["held"] = one.held_reason
        common.print_facts({**shown, "made now": "yes"} if found.created else shown)
    if told is not None:
        common.say()
        common.print_facts(
            {
                "typed": told.typed,
                "read as": told.read_as,
                "canonical": told.canonical,
                "identity": told.identity,
                "rule": told.rule,
            }
        )
