"""`resolve`: find the contact that owns an address."""

from __future__ import annotations

import click

from reachbook.cli import common
from reachbook.cli.arguments import ValueOptions, value_type
from reachbook.cli.contact import facts
from reachbook.domain.address.parsing import readings
from reachbook.domain.address.query import AddressQuery
from reachbook.service import Resolved, Service
from reachbook.storage import Team
from reachbook.wire import extensions, render
from reachbook.wire.models.x import AddressRequest, ExplanationBody, NewContact, ResolvedBody
from reachbook.wire.parse import contact_from


@click.command(cls=ValueOptions)
@click.argument("value")
@value_type
@click.option("--info-channel", metavar="TEXT", help="Only within this page or integration.")
@click.option("--create", is_flag=True, help="Create a contact if there is no owner.")
@click.option("--first", default="", metavar="NAME", help="With --create: the first name.")
@click.option("--last", default="", metavar="NAME", help="With --create: the last name.")
@click.option("--explain", is_flag=True, help="Explain how VALUE was read.")
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
    """Show which contact owns the address VALUE, if any.

    Without --type an @ means email, and digits mean phone.
    """
    if (first or last) and not create:
        raise click.UsageError("--first and --last need --create.")

    async def find(service: Service, team: Team) -> tuple[AddressQuery, Resolved, str | None]:
        region = team.default_region
        query = extensions.address_query(AddressRequest(value, kind, info_channel), region)
        new = None
        if create:
            new = contact_from(NewContact(first=first, last=last), region)
        found = await service.resolving.one(common.context(team), query, new)
        return query, found, region

    query, found, region = common.with_team(common.read_settings(**flags), team_id, find)
    explanation = (
        extensions.explanation(value, query.address, found.channel, region) if explain else None
    )
    if as_json:
        common.print_json(_body(found, explanation))
    else:
        _print(query, found, explanation)


def _body(found: Resolved, explanation: ExplanationBody | None) -> ResolvedBody:
    suppressed = extensions.suppression(found.suppressed)
    body = ResolvedBody(None, None, found.created, suppressed)
    if found.contact is not None and found.channel is not None:
        body.contact = render.contact_with_string_ids(found.contact)
        body.channel = extensions.channel_detail(found.contact, found.channel)
    if explanation is not None:
        body.explain = explanation
    return body


def _print(query: AddressQuery, found: Resolved, explanation: ExplanationBody | None) -> None:
    if found.contact is None or found.channel is None:
        numbers = " or ".join(each.channel_id for each in readings(query.address))
        common.echo(f"Nobody has {query.address.channel_type} {numbers}.")
        if suppressed := extensions.suppression(found.suppressed):
            common.echo(f"It is suppressed: {suppressed.reason} since {suppressed.at}.")
    else:
        detail = extensions.channel_detail(found.contact, found.channel)
        shown = {
            **facts(found.contact),
            "channel": detail.id,
            "type": detail.channel_type,
            "address": detail.channel_id,
        }
        if detail.held:
            shown["held"] = detail.held_reason
        common.print_facts({**shown, "created now": "yes"} if found.created else shown)
    if explanation is not None:
        common.echo()
        common.print_facts(
            {
                "typed": explanation.typed,
                "read as": explanation.read_as,
                "canonical": explanation.canonical,
                "identity": explanation.identity,
                "rule": explanation.rule,
            }
        )
