"""`contact history`, `export` and `erase`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing

import click

from reachbook.cli import common
from reachbook.domain import escaping
from reachbook.service import Service
from reachbook.storage import Team
from reachbook.wire import events as wire_events
from reachbook.wire.models.x import ChannelDetail, EventBody, HistoryBody
from reachbook.wire.parse import contact_uuid
from reachbook.wire.query import HistoryQuery

MAX_EVENTS = 500
ERASED = "contact erased"
END = "]\n}"  # the end of an export: its last key is the list of events


@click.command()
@click.argument("uuid")
@common.team_option
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_EVENTS),
    default=HistoryQuery().limit,
    show_default=True,
    help="The maximum number of events.",
)
@click.option("--cursor", metavar="TEXT", help="The cursor that the previous page ended with.")
@common.options
def history(
    uuid: str,
    team_id: int | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
    **flags: object,
) -> None:
    """List the events of a contact, newest first; a deleted contact still has its history."""
    named = contact_uuid(uuid)

    async def read(service: Service, team: Team) -> HistoryBody:
        page = await service.history.of_contact(
            common.context(team).team_id,
            named,
            before_rev=wire_events.revision(named, cursor),
            limit=limit,
        )
        events = [wire_events.event(team.team_id, event, page.labels) for event in page.events]
        return HistoryBody(events, wire_events.cursor(named, page.next))

    found = common.with_team(common.read_settings(**flags), team_id, read)
    if as_json:
        common.print_json(found)
        return
    rows = [
        (
            event.rev,
            event.at,
            event.kind,
            event.actor.label or event.actor.credential_id,
            _describe_change(event),
        )
        for event in found.events
    ]
    common.print_table(("rev", "at", "event", "by", "what"), rows)
    if found.next:
        common.echo()
        common.echo(f"For earlier events: --cursor {found.next}")


@click.command()
@click.argument("uuid")
@common.team_option
@common.options
def export(uuid: str, team_id: int | None, as_json: bool, **flags: object) -> None:  # noqa: ARG001
    """Print all data about a contact, as one JSON document."""

    async def write(service: Service, team: Team) -> None:
        exported = await service.history.export(common.context(team).team_id, contact_uuid(uuid))
        common.print_part(common.json_text(wire_events.export(exported.contact)).removesuffix(END))
        # Printed event by event, because a history can be too long for the memory.
        between = "\n    "
        async with aclosing(exported.pages) as pages:
            async for page in pages:
                for event in page:
                    text = common.json_text(wire_events.event(team.team_id, event, exported.labels))
                    common.print_part(between + text.replace("\n", "\n    "))
                    between = ",\n    "
        common.print_part(f"\n  {END}\n")

    common.with_team(common.read_settings(**flags), team_id, write)


@click.command()
@click.argument("uuid")
@common.team_option
@click.option("--yes", is_flag=True, help="Do not ask first.")
@common.options
def erase(uuid: str, team_id: int | None, yes: bool, as_json: bool, **flags: object) -> None:
    """Erase a person: names, addresses, history. It cannot be undone.

    The UUID remains, with an event `erased`, so that programs that follow the feed can delete their
    copies.
    """
    chosen = common.read_settings(**flags)

    async def look(service: Service, team: Team) -> None:
        team_number = common.context(team).team_id
        await service.history.of_contact(team_number, contact_uuid(uuid), before_rev=None, limit=1)

    async def run(service: Service, team: Team) -> None:
        await service.history.erase(common.context(team), contact_uuid(uuid))

    # Looked up first, so that there is no question about a contact that does not exist.
    if not yes:
        common.with_team(chosen, team_id, look)
        if not _confirmed(f"Erase {uuid}, its names, addresses and history, for good?"):
            common.end("Nothing was erased.")
    common.with_team(chosen, team_id, run)
    if as_json:
        common.print_json(ERASED)
    else:
        common.echo(f"{contact_uuid(uuid)} is erased. Earlier backups still contain it.")


def _confirmed(question: str) -> bool:
    try:
        return click.confirm(escaping.escape(question), err=True)
    except click.Abort:
        common.echo(err=True)  # the prompt did not end its line
        return False


def _describe_change(event: EventBody) -> str:
    """Returns a short description of an event's changes, for one line."""
    before, after = dict(event.before or {}), dict(event.after or {})
    old = {each.id: each for each in before.pop("channels", [])}
    new = {each.id: each for each in after.pop("channels", [])}
    changes = [*_channels(old, new), *_fields(before, after)]
    return ", ".join(changes)


def _channels(old: dict[str, ChannelDetail], new: dict[str, ChannelDetail]) -> Iterator[str]:
    for ident in dict.fromkeys([*old, *new]):
        before, after = old.get(ident), new.get(ident)
        if after is None and before is not None:
            yield f"- {before.channel_type} {before.channel_id}"
        elif before is None and after is not None:
            yield f"+ {after.channel_type} {after.channel_id}"
        elif before is not None and after is not None:
            arrow = f"{before.channel_id} → " if before.channel_id != after.channel_id else ""
            yield f"{after.channel_type} {arrow}{after.channel_id}"


def _fields(before: dict[str, object], after: dict[str, object]) -> Iterator[str]:
    for name, value in after.items():
        if name != "uuid" and (value or before.get(name)):
            yield f"{name}: {value or '-'}"
