"""Creates a database of the previous release: its schema, and identities by its rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import apsw
import asyncpg
import pytest

from reachbook.domain import event
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.channel import ContactChannel
from reachbook.domain.contact import Contact
from reachbook.domain.event import Change
from reachbook.domain.event_kind import Kind
from reachbook.storage import migrations, open_store, opening
from reachbook.storage.migrations import Step

SCHEMA_VERSION = 4
CREATED = 1_700_000_000_000_000


class Planted(NamedTuple):
    """A channel of the contact with the same id, with the identity of the previous release."""

    id: int
    channel_type: str
    channel_id: str
    identity: str
    created: int = CREATED
    contact: int = 0
    scope: str = ""

    @property
    def contact_id(self) -> int:
        return self.contact or self.id


def uuid(number: int) -> str:
    """Return the UUID of a contact."""
    return f"00000000-0000-4000-8000-{number:012d}"


async def plant(database: str, channels: Sequence[Planted], region: str | None = None) -> None:
    """Create a database of the previous release with a team, whose id is 1."""
    every = migrations.steps

    def older(engine: str, *, after: int = 0) -> list[Step]:
        return [step for step in every(engine, after=after) if step.version <= SCHEMA_VERSION]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "steps", older)
        store = await open_store(database)
        await store.migrate()
        await store.close()
    await _insert(database, "team (team_id, name, default_region, created)", [(1, "a", region, 1)])
    contacts = sorted({each.contact_id for each in channels})
    await _insert(
        database,
        "contact (team_id, id, uuid, rev, updated, created, first, last, display_name, avatar,"
        " is_opted_out, custom, tags)",
        [
            (1, each, uuid(each), 1, CREATED, CREATED, "", "", "", "", False, "{}", "[]")
            for each in contacts
        ],
    )
    await _insert(
        database,
        "contact_channel (team_id, id, contact_id, channel_type, channel_id, scope, identity,"
        " channel_handle, info_channel, created, updated)",
        [
            (1, each.id, each.contact_id, *each[1:3], each.scope, each.identity, "", each.scope)
            + 2 * (each.created,)
            for each in channels
        ],
    )
    await _plant_events(database, contacts, channels)


async def _plant_events(database: str, contacts: list[int], channels: Sequence[Planted]) -> None:
    await _insert(
        database,
        "event (team_id, id, contact_id, contact_rev, kind, actor, request_id, at)",
        [(1, each, each, 1, "contact_created", "a", "r", CREATED) for each in contacts],
    )
    of_contact: defaultdict[int, list[Planted]] = defaultdict(list)
    for each in channels:
        of_contact[each.contact_id].append(each)
    bodies: list[tuple[object, ...]] = [(1, n, body(n, of_contact[n])) for n in contacts]
    await _insert(database, "event_body (team_id, event_id, after)", bodies)


def body(number: int, channels: Sequence[Planted]) -> str:
    """Return the event body of a new contact, with the identities of that release."""
    mine = tuple(
        ContactChannel(
            id=each.id,
            channel_type=ChannelType(each.channel_type),
            channel_id=each.channel_id,
            scope=each.scope,
            identity=each.identity,
            channel_handle="",
            info_channel=each.scope,
            made_primary=None,
            created=each.created,
            updated=each.created,
        )
        for each in channels
    )
    contact = Contact(1, number, uuid(number), 1, CREATED, mine, CREATED)
    _, after = event.diff(Change(Kind.CONTACT_CREATED, None, contact))
    assert after is not None
    return after


async def _insert(database: str, into: str, rows: list[tuple[object, ...]]) -> None:
    places = range(1, len(rows[0]) + 1)
    if database.startswith("sqlite"):
        values = ", ".join(f"?{place}" for place in places)
        connection = apsw.Connection(str(opening.sqlite_path(database)))
        with connection:
            connection.executemany(f"INSERT INTO {into} VALUES ({values})", rows)
        connection.close()
        return
    postgres = await asyncpg.connect(database)
    values = ", ".join(f"${place}" for place in places)
    await postgres.executemany(f"INSERT INTO {into} VALUES ({values})", rows)
    await postgres.close()
