"""The machine's own PostgreSQL 15, where there is one: the same store on an older server."""

from __future__ import annotations

import pytest

from reachbook.storage import open_store
from tests.support.personas import open_api

pytestmark = pytest.mark.anyio


async def test_it_works(debian_postgres: str) -> None:
    store = await open_store(debian_postgres)
    assert (await store.migrate()).before == 0
    await store.close()
    async with open_api(debian_postgres) as api:
        uuid = await api.contact(("phone", "+1 510-555-3344"))
        channel = f"/v2/contact/{uuid}/channel"

        added = await api.request("POST", channel, {"channel_type": "line", "channel_id": "a"})
        replaced = await api.request("PUT", channel, {"channel_type": "line", "channel_id": "b"})
        removed = await api.request("DELETE", f"{channel}/phone")
        taken = await api.request(
            "POST",
            "/v2/contact",
            {"contact_channels": [{"channel_type": "line", "channel_id": "b"}]},
        )

    assert [one.status_code for one in (added, replaced, removed, taken)] == [200, 200, 200, 409]
    assert [one["channel_id"] for one in replaced.json()] == ["15105553344", "b"]
    assert [one["channel_id"] for one in removed.json()] == ["b"]
    assert taken.json()["conflicting_contact_id"] == uuid
