"""The report of `migrate` about identities: collisions, and numbers that read differently now."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from reachbook.storage import Store
from reachbook.storage.identities import Channel, Progress, Reread, recomputed


class ContactName(Struct):
    """The names of a channel that an operator needs to find it."""

    contact_id: str | None
    id: int
    channel_id: str


class Collision(Struct):
    """Two channels that have the same identity by the current rules; `keeper` keeps it."""

    team_id: int
    channel_type: str
    keeper: ContactName
    other: ContactName


class Reading(Reread, kw_only=True):
    """The numbers of a team that would be read in another way if they were typed today."""

    team_id: int


class Report(Struct):
    """The result of a migration of identities.

    `channels` counts all channels, and `refused` those whose address is refused now. `collisions`
    names the first of the pairs that `collision_count` counts.
    """

    channels: int
    refused: int
    collision_count: int
    collisions: list[Collision]
    read_differently: list[Reading]


async def migrate(store: Store) -> Report | None:
    """Migrate the identities; returns None if that was not necessary."""
    progress = await store.migrate_identities()
    return None if progress is None else await _report(store, progress)


async def _report(store: Store, progress: Progress) -> Report:
    pairs = [await _collision(store, team_id, number) for team_id, number in progress.stand_ins]
    return Report(
        progress.channels,
        progress.refused,
        progress.collisions,
        [pair for pair in pairs if pair],
        [
            Reading(team_id=team_id, region=each.region, count=each.count, examples=each.examples)
            for team_id, each in progress.reread.items()
        ],
    )


async def _collision(store: Store, team_id: int, number: int) -> Collision | None:
    [(*row, contact)] = await store.engine.read("identity_channel", team_id, number)
    channel = Channel(*row)
    identity = recomputed(channel.channel_type, channel.channel_id)
    address = (channel.channel_type, channel.scope, identity)
    holders = await store.engine.read("owner", team_id, *address)
    if not holders:
        return None
    owner, holder_id, _, holder_text, *_ = holders[0]
    keeper = ContactName(owner, holder_id, holder_text)
    other = ContactName(contact, channel.id, channel.channel_id)
    return Collision(team_id, channel.channel_type, keeper, other)


def lines(report: Report) -> Iterator[str]:
    """Yields the lines of the report as text."""
    yield f"The identities of {report.channels} channels were computed by the current rules."
    if report.refused:
        yield f"Addresses that are refused now, and keep their identity: {report.refused}."
    if report.collision_count:
        yield (
            f"Collisions: {report.collision_count}. Two channels are one address now, and the "
            "older one keeps it. reachbook doctor reports each pair."
        )
    for pair in report.collisions:
        yield (
            f"  team {pair.team_id}: {pair.channel_type} {pair.keeper.channel_id} of contact "
            f"{pair.keeper.contact_id} keeps it; {pair.other.channel_id} of contact "
            f"{pair.other.contact_id} is found by exactly that value."
        )
    for each in report.read_differently:
        yield (
            f"Team {each.team_id}: {each.count} numbers are read differently now if they are typed "
            f"without + in its region {each.region}:"
        )
        yield from (f"  {example}" for example in each.examples)
