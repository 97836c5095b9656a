"""The keys of the hashes of suppressed addresses; each team has its own."""

from __future__ import annotations

import asyncio

import pytest

from reachbook.doctor import examine
from reachbook.domain.errors import Reason, Refusal
from reachbook.server.master_key import require_team_keys
from reachbook.service import TeamKeys
from reachbook.service.administration import Rekeyed
from reachbook.settings import BadSettingError
from tests.support.personas import MASTER_KEY, Api
from tests.support.raw_sql import sql_runner
from tests.support.suppressions import PHONE, channel, ok, opted_out

pytestmark = pytest.mark.anyio

NEW_KEY, OTHER_KEY = b"n" * 32, b"o" * 32


@pytest.fixture
def api(fresh_api: Api) -> Api:
    """The API on a database of its own: the tests change the whole store."""
    return fresh_api


async def test_the_key_of_a_team_is_created_once(api: Api) -> None:
    """The first process that needs it creates it; each team has a different key."""
    bob, charlie = api.bob.team.team_id, api.charlie.team.team_id
    several = [TeamKeys(api.store, (MASTER_KEY,)) for _ in range(8)]

    keys = await asyncio.gather(*(team_keys.of(bob) for team_keys in several))

    assert len(set(keys)) == 1
    assert await several[0].of(charlie) != keys[0]
    assert await TeamKeys(api.store, (NEW_KEY, MASTER_KEY)).of(bob) == keys[0]
    rows = await sql_runner(api.database)("SELECT sealed FROM suppression_key")
    assert all(keys[0] not in bytes(row[0]) for row in rows)


async def test_a_read_request_creates_no_key(api: Api) -> None:
    await ok(api, "POST", "/x/resolve", {"channel_id": PHONE})
    assert await sql_runner(api.database)("SELECT team_id FROM suppression_key") == []


async def test_the_master_keys_are_reread_if_the_key_cannot_be_unsealed(api: Api) -> None:
    bob = api.bob.team.team_id
    created = await TeamKeys(api.store, (NEW_KEY,)).of(bob)

    async def reread() -> tuple[bytes, ...]:
        return NEW_KEY, MASTER_KEY

    assert await TeamKeys(api.store, (MASTER_KEY,), reread).of(bob) == created
    with pytest.raises(Refusal, match=f"team {bob}") as error:
        await TeamKeys(api.store, (MASTER_KEY,)).of(bob)
    assert error.value.reason is Reason.STORE_UNFIT


async def test_rekey_reseals_the_keys_of_teams(api: Api) -> None:
    uuid, at = await opted_out(api)
    await ok(api, "DELETE", f"/v2/contact/{uuid}")
    keys = (NEW_KEY, MASTER_KEY)
    found = {finding.kind async for finding in examine(api.store, keys)}
    assert found == {"previous_key"}

    done = await api.administration.rekey_teams(keys, discard=False)
    await api.administration.rekey(keys)

    assert done == Rekeyed(0, [], team_keys=1)
    assert (await api.administration.rekey_teams(keys, discard=False)).team_keys == 0
    assert [finding async for finding in examine(api.store, (NEW_KEY,))] == []
    await require_team_keys(api.store, (NEW_KEY,))
    again = (await ok(api, "POST", "/v2/contact", {"phone": PHONE}))["uuid"]
    assert (await channel(api, again))["consent_at"] == at


async def test_serve_refuses_a_key_that_cannot_be_unsealed_until_it_is_discarded(api: Api) -> None:
    bob = api.bob.team.team_id
    uuid, _ = await opted_out(api)
    await ok(api, "DELETE", f"/v2/contact/{uuid}")
    wrong_keys = (OTHER_KEY,)

    with pytest.raises(BadSettingError, match=f"team {bob}.*--discard-suppressions"):
        await require_team_keys(api.store, wrong_keys)
    found = [finding async for finding in examine(api.store, wrong_keys)]
    assert any("suppression key" in finding.message and finding.team_id == bob for finding in found)
    done = await api.administration.rekey_teams(wrong_keys, discard=False)
    assert done.unopened_teams == [bob]

    done = await api.administration.rekey_teams(wrong_keys, discard=True)

    assert done.discarded_teams == [bob]
    await require_team_keys(api.store, wrong_keys)
    assert await sql_runner(api.database)("SELECT digest FROM suppression") == []
