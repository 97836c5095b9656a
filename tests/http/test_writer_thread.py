"""On SQLite a response is rendered before its commit, never on the thread that writes.

A render on that thread would hold up every other write, and would run within a transaction.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

import pytest

from reachbook.storage.commit import STALE, Commit
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

FORBIDDEN = ("reachbook.http", "reachbook.wire", "reachbook.service")


@asynccontextmanager
async def modules_on_writer_thread(api: Api) -> AsyncIterator[set[str]]:
    """Collect the modules of the functions that are called on the writer's thread."""
    called: set[str] = set()

    def record_module(frame: FrameType, _event: str, _value: object) -> None:
        called.add(frame.f_globals["__name__"])

    writer = api.store.engine._writer  # type: ignore[attr-defined]
    await writer.run(lambda _: sys.setprofile(record_module))
    yield called
    await writer.run(lambda _: sys.setprofile(None))


async def send_each_write(api: Api) -> None:
    """Sends each kind of write, with a separate Idempotency-Key each."""
    keys = iter(range(100))

    async def write(method: str, path: str, body: object = None) -> dict[str, str]:
        by = {**api.bob.by_key(), "idempotency-key": f"key-{next(keys)}"}
        response = await api.request(method, path, body, by=by)
        assert response.status_code == 200, response.text
        return response.json()  # type: ignore[no-any-return]

    phone = {"channel_type": "phone", "channel_id": "15105553344"}
    alice = (await write("POST", "/v2/contact", {"contact_channels": [phone]}))["uuid"]
    bob = (await write("POST", "/v2/contact", {"first": "Bob"}))["uuid"]
    move = "?on_conflict=move"
    await write("POST", f"/v2/contact/{bob}/channel{move}", phone)
    await write("PUT", f"/v2/contact/{bob}/channel", {**phone, "channel_id": "15105553345"})
    await write("DELETE", f"/v2/contact/{bob}/channel/phone")
    await write("POST", "/x/resolve", {"channel_id": "15105553346", "create": {"first": "C"}})
    await write("POST", "/x/resolve", {"channel_id": "15105553346", "create": {"first": "C"}})
    await write("POST", "/v2/contacts", {"contacts": [{"contact_id": alice, "first": "A"}]})
    await write("DELETE", f"/v2/contact/{bob}")
    await write("DELETE", f"/x/contact/{alice}/erase")


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_only_storage_and_domain_run_on_the_writer_thread(api: Api) -> None:
    async with modules_on_writer_thread(api) as called:
        await send_each_write(api)

    assert "reachbook.storage.sqlite.engine" in called
    assert not [name for name in called if name.startswith(FORBIDDEN)]


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_only_storage_and_domain_run_there_when_contacts_are_locked(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every commit without locks is stale, as it is under contention."""

    async def stale(_commit: Commit, _complete: object) -> object:
        return STALE

    uuid = await api.contact()
    monkeypatch.setattr(api.store, "commit", stale)
    async with modules_on_writer_thread(api) as called:
        responses = await asyncio.gather(
            *(
                api.request(
                    "POST",
                    f"/v2/contact/{uuid}/channel",
                    {"channel_type": "phone", "channel_id": f"1510555{number:04d}"},
                    by={**api.bob.by_key(), "idempotency-key": f"key-{number}"},
                )
                for number in range(20)
            )
        )

    assert [response.status_code for response in responses] == [200] * 20
    assert "reachbook.storage.sqlite.engine" in called
    assert not [name for name in called if name.startswith(FORBIDDEN)]
