"""The store on the PostgreSQL 15 of the machine, an older server, if it is installed."""

from __future__ import annotations

import pytest

from reachbook.storage import open_store
from tests.support.personas import open_api

pytestmark = pytest.mark.anyio


async def test_writes_work_on_postgresql_15(debian_postgres: str) -> None:
    store = await open_store(debian_postgres)
    assert (await store.migrate()).before == 0
    await store.close()
    async with open_api(debian_postgres) as api:
        uuid = await api.contact(("phone", "+1 510-555-3344"))
        path = f"/v2/contact/{uuid}/channel"

        added = await api.request("POST", path, {"channel_type": "line", "channel_id": "a"})
        replaced = await api.request("PUT", path, {"channel_type": "line", "channel_id": "b"})
        removed = await api.request("DELETE", f"{path}/phone")
        taken = await api.request(
            "POST",
            "/v2/contact",
            {"contact_channels": [{"channel_type": "line", "channel_id": "b"}]},
        )

    assert [response.status_code for response in (added, replaced, removed, taken)] == [
        200,
        200,
        200,
        409,
    ]
    assert [channel["channel_id"] for channel in replaced.json()] == ["15105553344", "b"]
    assert [channel["channel_id"] for channel in removed.json()] == ["b"]
    assert taken.json()["conflicting_contact_id"] == uuid
