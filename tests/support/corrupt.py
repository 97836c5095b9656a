"""Changes rows with SQL in ways that the program does not, and makes random valid writes."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any

import apsw
import asyncpg

from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel import ChannelSelector
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Refusal
from reachbook.service import Service, TeamKeys, WriteContext
from reachbook.storage.opening import sqlite_path
from tests.support.personas import MASTER_KEY, Api

TYPES = ("phone", "sms", "whatsapp", "email", "facebook")
PAGES = ("", "page-1", "page-2")


async def execute_unchecked(database: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements without foreign key checks; return the rows of the last."""
    rows: list[Any] = []
    if database.startswith("sqlite:"):
        connection = apsw.Connection(str(sqlite_path(database)))
        connection.set_busy_timeout(5_000)
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        connection.close()
        return rows
    session = await asyncpg.connect(database)
    try:
        await session.execute("SET session_replication_role = replica")
        for statement in statements:
            rows = await session.fetch(statement)
    finally:
        await session.close()
    return [tuple(row) for row in rows]


async def make_random_writes(api: Api, steps: int, seed: int = 1) -> None:
    """Make random valid writes in both teams."""
    choose = random.Random(seed)
    service = Service(api.store, TeamKeys(api.store, (MASTER_KEY,)))
    teams = [
        (TeamId(client.team.team_id), await _contacts(service, client.team.team_id))
        for client in (api.bob, api.charlie)
    ]
    for _ in range(steps):
        team_id, uuids = choose.choice(teams)
        with suppress(Refusal):
            await step(service, team_id, choose.choice(uuids), choose)


async def _contacts(service: Service, team_id: int) -> list[str]:
    context = WriteContext(TeamId(team_id), "test", "test")
    made = [
        await service.contacts.create(context, ContactInput(first=f"Person {number}"))
        for number in range(8)
    ]
    return [contact.uuid for contact in made]


async def step(service: Service, team_id: TeamId, uuid: str, choose: random.Random) -> None:
    """Make a random write to a contact, which may be refused."""
    context = WriteContext(team_id, "test", "test")
    kind = addresses.channel_type(choose.choice(TYPES))
    address = addresses.parse(kind, _random_spelling(kind, choose))
    handle, page = choose.choice(["", "A handle"]), choose.choice(PAGES)
    match choose.randrange(12):
        case 0 | 1:
            await service.channels.remove(context, uuid, ChannelSelector(kind))
        case 2 | 3 | 4:
            wanted = ChannelInput(address, channel_handle=handle)
            await service.channels.replace(context, uuid, wanted, ChannelSelector(kind))
        case 5 if choose.random() < 0.2:
            await service.contacts.delete(context, uuid)
        case _:
            wanted = ChannelInput(address, channel_handle=handle, info_channel=page)
            await service.channels.add(context, uuid, wanted)


def _random_spelling(kind: str, choose: random.Random) -> str:
    number = choose.randrange(30)
    if kind == "email":
        return choose.choice([f"P{number}@Example.com", f"p{number}@bücher.example"])
    if kind == "facebook":
        return f"1789004{number:03}"
    plain = [f"1510555{number:04}", f"+44 (0)20 7946 {number:04}", f"5491123456{number:03}"]
    return choose.choice([*plain, f"5511961234{number:03}", f"5215512345{number:03}"])


async def number_feed(database: str) -> None:
    """Number both teams' events from 1, like a read of the feed."""
    numbered = (
        "SELECT count(*) FROM event AS e WHERE e.team_id = event.team_id AND e.id <= event.id"
    )
    await execute_unchecked(database, f"UPDATE event SET seq = ({numbered})")
