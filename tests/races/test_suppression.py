"""A contact with an opt-out loses an address while another contact gets it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from reachbook.storage import Outcome
from tests.support.personas import Api
from tests.support.raw_sql import sql_runner
from tests.support.suppressions import PHONE, channel, ok, opted_out, patch

pytestmark = pytest.mark.anyio

Action = Callable[[], Awaitable[object]]
POST = {"channel_type": "phone", "channel_id": PHONE}


def run_before_the_first_commit(api: Api, monkeypatch: pytest.MonkeyPatch, action: Action) -> None:
    """Run `action` after the next write has read, and before it commits."""
    store, commit = api.store, api.store.commit

    async def interrupted(*wanted: Any) -> Outcome:
        monkeypatch.setattr(store, "commit", commit)
        await action()
        return await commit(*wanted)

    monkeypatch.setattr(store, "commit", interrupted)


async def consent(api: Api, uuid: str) -> tuple[str, str]:
    shown = await channel(api, uuid)
    return shown["consent"], shown["consent_source"]


def ways_to_lose(api: Api, uuid: str, other: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Return functions that take the address from its contact; afterwards it has no owner."""

    async def removal() -> None:
        await ok(api, "DELETE", f"/v2/contact/{uuid}/channel/phone")

    async def move() -> None:
        await ok(api, "POST", f"/v2/contact/{other}/channel?on_conflict=move", POST)
        await ok(api, "DELETE", f"/v2/contact/{other}/channel/phone")

    async def erasure() -> None:
        await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    async def opt_out_and_removal() -> None:
        await patch(api, uuid, {"consent": "opted_in"})
        await patch(api, uuid, {"consent": "opted_out"})
        await removal()

    return {
        "removal": removal,
        "move": move,
        "erasure": erasure,
        "opt-out and removal": opt_out_and_removal,
    }


@pytest.mark.parametrize("way", ["removal", "move", "erasure", "opt-out and removal"])
@pytest.mark.parametrize("gain", ["POST", "PUT", "create"])
async def test_an_opt_out_applies_to_an_address_lost_before_the_commit(
    api: Api, monkeypatch: pytest.MonkeyPatch, way: str, gain: str
) -> None:
    """The contact loses the address between the read of the write and its commit."""
    uuid, _ = await opted_out(api)
    other, taker = await api.contact(), await api.contact(("phone", "14155550000"))
    run_before_the_first_commit(api, monkeypatch, ways_to_lose(api, uuid, other)[way])

    if gain == "create":
        taker = (await ok(api, "POST", "/v2/contact", {"phone": PHONE}))["uuid"]
    else:
        await ok(api, gain, f"/v2/contact/{taker}/channel", POST)

    assert await consent(api, taker) == ("opted_out", "suppression")


async def test_a_suppression_ended_before_the_commit_does_not_apply(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suppression is ended between the read of the write and its commit."""
    uuid, _ = await opted_out(api)
    await ok(api, "DELETE", f"/v2/contact/{uuid}/channel/phone")
    taker = await api.contact()

    async def end_suppression() -> None:
        await ok(api, "DELETE", "/x/suppression", {**POST, "reason": "opted_out"})

    run_before_the_first_commit(api, monkeypatch, end_suppression)
    await ok(api, "POST", f"/v2/contact/{taker}/channel", POST)

    assert await consent(api, taker) == ("unknown", "")


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
async def test_an_opt_out_applies_to_an_address_removed_by_a_concurrent_transaction(
    api: Api,
) -> None:
    """The statement of the write starts before that transaction commits, and cannot read its rows.

    The transaction is that of an older release: it stores the suppression and removes the channel.
    """
    uuid, _ = await opted_out(api)
    taker, team = await api.contact(), api.bob.team.team_id
    execute = sql_runner(api.database)
    [row] = await execute(f"SELECT digest, reason, at FROM suppression WHERE team_id = {team}")
    await execute(f"DELETE FROM suppression WHERE team_id = {team}")
    connection = await asyncpg.connect(api.database)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("INSERT INTO suppression VALUES ($1, $2, $3, 1, $4)", team, *row)
    await connection.execute(
        "DELETE FROM contact_channel WHERE team_id = $1 AND channel_type = 'phone'", team
    )
    adding = asyncio.create_task(api.request("POST", f"/v2/contact/{taker}/channel", POST))
    await asyncio.wait({adding}, timeout=0.3)
    await transaction.commit()
    await connection.close()

    response = await adding
    if response.status_code != 200:
        assert response.json()["conflicting_contact_id"] == uuid
        await ok(api, "POST", f"/v2/contact/{taker}/channel", POST)

    assert await consent(api, taker) == ("opted_out", "suppression")


async def test_an_opt_out_applies_during_concurrent_adds_and_removals(api: Api) -> None:
    """Clients add and remove the address concurrently; it is opted out on each contact."""
    uuid, _ = await opted_out(api)
    takers = [uuid, *[await api.contact() for _ in range(3)]]

    async def turn(number: int) -> None:
        taker = takers[number % len(takers)]
        query = "?on_conflict=move" if number % 3 else ""
        await api.request("POST", f"/v2/contact/{taker}/channel{query}", POST)
        listed = (await api.request("GET", f"/x/contact/{taker}/channels")).json()
        assert {channel["consent"] for channel in listed} <= {"opted_out"}
        await api.request("DELETE", f"/v2/contact/{taker}/channel/phone")

    await asyncio.gather(*(turn(number) for number in range(24)))
