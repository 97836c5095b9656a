"""Contacts with long histories."""

from __future__ import annotations

import json
from typing import Any

from reachbook.domain.channel import ChannelList
from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from tests.support.http import ok
from tests.support.personas import Api
from tests.support.raw_sql import sql_runner

ONE, TWO, EMAIL = "15105553344", "14155551234", "alice@example.com"


def phone(value: str) -> dict[str, str]:
    return {"channel_type": "phone", "channel_id": value}


async def history(api: Api, uuid: str, query: str = "") -> Any:
    """Return a page of the events of a contact, newest first."""
    return await ok(api, "GET", f"/x/contact/{uuid}/history{query}")


async def create_alice_with_history(api: Api) -> str:
    """Create a contact with each kind of revision that needs no other contact, a second apart."""
    body = {"first": "Alice", "contact_channels": [phone(ONE)], "tags": [{"tag_id": 3}]}
    uuid = str((await ok(api, "POST", "/v2/contact", body))["uuid"])
    for method, path, change in [
        ("POST", "/channel", phone(TWO)),
        ("PUT", f"/channel?channel_id={TWO}", phone("12125550199")),
        ("DELETE", f"/channel/phone?channel_id={ONE}", None),
        ("PUT", "", {"last": "Liddell", "email": EMAIL}),
        ("DELETE", "", None),
    ]:
        api.clock.forward(1)
        await ok(api, method, f"/v2/contact/{uuid}{path}", change)
    return uuid


async def plant_events(api: Api, uuid: str, count: int, *, custom_bytes: int = 0) -> None:
    """Add revisions to a contact; see `plant`."""
    seen = await api.store.read(Contact, TeamId(api.bob.team.team_id), uuid)
    assert seen
    await plant(api.database, seen, count, custom_bytes)


async def plant(database: str, seen: ChannelList, count: int, custom_bytes: int) -> None:
    """Add revisions to a contact, a microsecond apart, by SQL.

    Each of them replaces `custom` by an object of about `custom_bytes`, before and after.
    """
    number, first, last = 7_000_000 + seen.id * 200_000, seen.rev + 1, seen.rev + count
    numbers = (
        f"WITH RECURSIVE n (i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})"
    )
    custom = json.dumps({"channels": [], "custom": {"a": "x" * custom_bytes}})
    raw = sql_runner(database)
    await raw(
        f"{numbers} INSERT INTO event"
        " (team_id, id, contact_id, contact_rev, kind, actor, request_id, at)"
        f" SELECT {seen.team_id}, {number} + i, {seen.id}, i, 'contact_updated', 'a', 'r',"
        f" {seen.updated} + i FROM n"
    )
    await raw(
        f"{numbers} INSERT INTO event_body (team_id, event_id, before, after)"
        f" SELECT {seen.team_id}, {number} + i, '{custom}', '{custom}' FROM n"
    )
    await raw(
        f"UPDATE contact SET rev = {last}, updated = {seen.updated + last}"
        f" WHERE team_id = {seen.team_id} AND id = {seen.id}"
    )
