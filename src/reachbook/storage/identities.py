"""The migration of stored identities to the current rules.

The rules that make an identity of an address have a version, and the store holds the version that
its identities were computed under. The migration computes every `identity` again, and changes
nothing else. It works in short transactions. Each of them stores the progress, so a migration
that was killed continues from there.

Two channels of one team can have the same identity under the newer rules. The older one keeps it.
The other one gets a stand-in, an identity that no address can have. It is still found by its exact
`channel_id`, and `reachbook doctor` reports the pair.

The scripts are generators: they yield statements and receive rows. An engine runs a script in one
transaction.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct, field

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import IDENTITY_VERSION, Address, ChannelType
from reachbook.domain.errors import Refusal

BATCH = 200
"""The number of channels in a transaction. PostgreSQL ends one that is idle for 2 s."""

MAX_REPORTED = 1_000
MAX_EXAMPLES = 10
BEFORE_ALL = -(2**63)

Result = TypeVar("Result")
Rows = list[Any]
Script = Generator[tuple[str, tuple[object, ...]], Rows, Result]


class Channel(NamedTuple):
    """The columns of contact_channel that concern the identity."""

    id: int
    channel_type: str
    channel_id: str
    scope: str
    identity: str
    created: int


class Reread(Struct):
    """The count of a team's numbers that its region would read in another way today."""

    region: str
    count: int = 0
    examples: list[str] = field(default_factory=list)


class Progress(Struct):
    """The progress of a migration, and its report. It is stored with every batch.

    `channel` is the number of the last channel that was read. `is_complete` is true if there are no
    more. `stand_ins` are the teams and numbers of channels that lost their identity to an older
    channel, at most `MAX_REPORTED` of them.
    """

    is_complete: bool = False
    team_id: int = BEFORE_ALL
    channel: int = BEFORE_ALL
    channels: int = 0
    refused: int = 0
    collisions: int = 0
    stand_ins: list[tuple[int, int]] = field(default_factory=list)
    reread: dict[int, Reread] = field(default_factory=dict)


def next_batch() -> Script[Progress | None]:
    """Migrate the next channels; returns None if the identities are current already."""
    [[version]] = yield _statement("lock_store_info", "identity_version")
    if int(version) >= IDENTITY_VERSION:
        return None
    [[cursor]] = yield _statement("lock_store_info", "identity_cursor")
    progress = msgspec.json.decode(cursor, type=Progress) if cursor else Progress()
    rows = yield _statement("identity_page", progress.team_id, progress.channel, BATCH)
    if rows:
        yield from _migrate_page(progress, [Channel(*row) for row in rows])
    else:
        yield from _go_to_next_team(progress)
    text = "" if progress.is_complete else msgspec.json.encode(progress).decode()
    yield _statement("set_store_info", "identity_cursor", text)
    return progress


def recomputed(channel_type: str, channel_id: str) -> str | None:
    """Returns the identity of a stored address by the current rules; None if they refuse it."""
    try:
        return _parse(channel_type, channel_id).identity
    except Refusal:
        return None


def _go_to_next_team(progress: Progress) -> Script[None]:
    [[team_id]] = yield _statement("identity_next_team", progress.team_id)
    if team_id is not None:
        progress.team_id, progress.channel = team_id, BEFORE_ALL
        return
    # In the last batch's transaction: the version says that no channel is left.
    progress.is_complete = True
    yield _statement("set_store_info", "identity_version", str(IDENTITY_VERSION))


def _migrate_page(progress: Progress, channels: list[Channel]) -> Script[None]:
    # A team may have lost its row, as after a bad restore; its channels are migrated all the same.
    teams = yield _statement("team", progress.team_id)
    region = next((default_region for _, _, default_region, _ in teams), None)
    released: set[int] = set()
    for read in channels:
        channel = read
        # The page was read before this channel lost its identity to an older one.
        if read.id in released:
            channel = read._replace(identity=addresses.stand_in(read.id))
        identity = recomputed(channel.channel_type, channel.channel_id)
        # What the rules no longer accept is kept as it is: a migration must lose nothing.
        if identity is None:
            progress.refused += 1
        else:
            released |= yield from _migrate(progress, channel, identity)
            _note_reading(progress, channel, region)
        progress.channel = channel.id
        progress.channels += 1


def _migrate(progress: Progress, channel: Channel, identity: str) -> Script[set[int]]:
    """Give a channel its new identity, or a stand-in if an older channel has that identity.

    Returns the number of the channel that released the identity, if one did.
    """
    if channel.identity == identity:
        return set()
    key = (progress.team_id, channel.channel_type, channel.scope, identity)
    holders = [Channel(*row) for row in (yield _statement("identity_holder", *key))]
    for holder in holders:
        theirs = recomputed(holder.channel_type, holder.channel_id)
        is_older = (holder.created, holder.id) < (channel.created, channel.id)
        # An address that is refused now keeps its identity, whichever of the two is older.
        if theirs is None or (theirs == identity and is_older):
            _report_collision(progress, channel)
            yield _set_identity(progress.team_id, channel.id, addresses.stand_in(channel.id))
            return set()
        # The holder loses the identity to an older channel, or has another identity by the current
        # rules. In both cases it may still be migrated later: a collision is then found again, and
        # reported.
        if theirs == identity and holder.id < channel.id:
            _report_collision(progress, holder)
        yield _set_identity(progress.team_id, holder.id, addresses.stand_in(holder.id))
    yield _set_identity(progress.team_id, channel.id, identity)
    return {holder.id for holder in holders}


def _report_collision(progress: Progress, loser: Channel) -> None:
    progress.collisions += 1
    if len(progress.stand_ins) < MAX_REPORTED:
        progress.stand_ins.append((progress.team_id, loser.id))


def _note_reading(progress: Progress, channel: Channel, region: str | None) -> None:
    reading = _other_reading(channel, region) if region else None
    if region is None or reading is None:
        return
    reread = progress.reread.setdefault(progress.team_id, Reread(region))
    reread.count += 1
    if reread.count <= MAX_EXAMPLES:
        reread.examples.append(reading)


def _other_reading(channel: Channel, region: str) -> str | None:
    """Returns the reading of a number in a region as text, or None if it is the stored number."""
    try:
        stored = _parse(channel.channel_type, channel.channel_id)
        typed = _parse(channel.channel_type, channel.channel_id, region)
    except Refusal:
        return None
    if not addresses.is_number(stored):
        return None
    if typed.is_ambiguous:
        first, second = (f"+{each.channel_id}" for each in addresses.readings(typed))
        return f"{channel.channel_id} can be {first} or {second}"
    if typed.identity != stored.identity:
        return f"{channel.channel_id} is read as +{typed.channel_id}"
    return None


def _parse(channel_type: str, channel_id: str, region: str | None = None) -> Address:
    return addresses.parse(ChannelType(channel_type), channel_id, region)


def _set_identity(team_id: int, channel: int, identity: str) -> tuple[str, tuple[object, ...]]:
    return _statement("set_identity", team_id, channel, identity)


def _statement(name: str, *values: object) -> tuple[str, tuple[object, ...]]:
    return name, values
