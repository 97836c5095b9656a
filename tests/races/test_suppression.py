"""An opt-out that is lost to its contact while another contact gains the address."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from reachbook.storage import Outcome
from tests.support.personas import Api
from tests.support.raw_sql import beside
from tests.support.suppressions import PHONE, channel, ok, opted_out, patch

pytestmark = pytest.mark.anyio

Between = Callable[[], Awaitable[object]]
POST = {"channel_type": "phone", "channel_id": PHONE}


def before_the_first_commit(api: Api, monkeypatch: pytest.MonkeyPatch, between: Between) -> None:
    """Run something after the next write has read, and before it commits."""
    store, commit = api.store, api.store.commit

    async def interrupted(*wanted: Any) -> Outcome:
        monkeypatch.setattr(store, "commit", commit)
        await between()
        return await commit(*wanted)

    monkeypatch.setattr(store, "commit", interrupted)


async def consent(api: Api, uuid: str) -> tuple[str, str]:
    shown = await channel(api, uuid)
    return shown["consent"], shown["consent_source"]


def losses(api: Api, uuid: str, other: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Ways in which the address leaves the contact that opted it out; all end with no owner."""

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
async def test_an_add_meets_a_loss(
    api: Api, monkeypatch: pytest.MonkeyPatch, way: str, gain: str
) -> None:
    """The loss is committed between the read of the add and its commit."""
    uuid, _ = await opted_out(api)
    other, taker = await api.contact(), await api.contact(("phone", "14155550000"))
    before_the_first_commit(api, monkeypatch, losses(api, uuid, other)[way])

    if gain == "create":
        taker = (await ok(api, "POST", "/v2/contact", {"phone": PHONE}))["uuid"]
    else:
        await ok(api, gain, f"/v2/contact/{taker}/channel", POST)

    assert await consent(api, taker) == ("opted_out", "suppression")


async def test_an_add_meets_the_end_of_a_suppression(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suppression is ended and set again between the read of the add and its commit."""
    uuid, _ = await opted_out(api)
    await ok(api, "DELETE", f"/v2/contact/{uuid}/channel/phone")
    taker = await api.contact()

    async def ends() -> None:
        await ok(api, "DELETE", "/x/suppression", {**POST, "reason": "opted_out"})

    before_the_first_commit(api, monkeypatch, ends)
    await ok(api, "POST", f"/v2/contact/{taker}/channel", POST)

    assert await consent(api, taker) == ("unknown", "")


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
async def test_an_add_does_not_wait_for_a_loss_that_is_not_committed(api: Api) -> None:
    """Its statement began before the loss was committed, and would not see what that stored.

    The opt-out is one of an older release: it is stored by the very transaction that removes it.
    """
    uuid, _ = await opted_out(api)
    taker, team = await api.contact(), api.bob.team.team_id
    sent = beside(api.database)
    [row] = await sent(f"SELECT digest, reason, at FROM suppression WHERE team_id = {team}")
    await sent(f"DELETE FROM suppression WHERE team_id = {team}")
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

    answer = await adding
    if answer.status_code != 200:
        assert answer.json()["conflicting_contact_id"] == uuid
        await ok(api, "POST", f"/v2/contact/{taker}/channel", POST)

    assert await consent(api, taker) == ("opted_out", "suppression")


async def test_concurrent_adds_and_removals(api: Api) -> None:
    """Clients add and remove the address at once; each contact that has it has it opted out."""
    uuid, _ = await opted_out(api)
    takers = [uuid, *[await api.contact() for _ in range(3)]]

    async def turn(number: int) -> None:
        taker = takers[number % len(takers)]
        query = "?on_conflict=move" if number % 3 else ""
        await api.request("POST", f"/v2/contact/{taker}/channel{query}", POST)
        listed = (await api.request("GET", f"/x/contact/{taker}/channels")).json()
        assert {one["consent"] for one in listed} <= {"opted_out"}
        await api.request("DELETE", f"/v2/contact/{taker}/channel/phone")

    await asyncio.gather(*(turn(number) for number in range(24)))
