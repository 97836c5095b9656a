"""Erasures during the storing of a response: in any order, the response is not replayed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.http import refusal
from tests.support.personas import Api
from tests.support.raw_sql import locked, sql_runner

pytestmark = pytest.mark.anyio

PHONE = "15105553344"
WAIT_TRIES = 200

Store = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Write:
    """A request with an Idempotency-Key whose response has data of an existing contact.

    `step` is the method of the store that stores the response. In the body, {uuid} is the
    contact's UUID, {upper} the same in capitals and {escaped} with a JSON escape for each letter.
    """

    method: str
    path: str
    body: str
    step: str


def bulk(row: str, step: str = "store_response") -> Write:
    return Write("POST", "/v2/contacts", f'{{"contacts": [{row}]}}', step)


def single(method: str, path: str, body: str = "") -> Write:
    return Write(method, path, body, "commit")


ONE_PHONE = f'{{"channel_type": "phone", "channel_id": "{PHONE}"}}'
WRITES = {
    "bulk update": bulk('{"contact_id": "{uuid}", "first": "zz-again"}'),
    "bulk create that conflicts": bulk(f'{{"phone": "{PHONE}", "first": "zz-again"}}'),
    "resolve that finds": Write(
        "POST", "/x/resolve", f'{{"channel_id": "{PHONE}", "create": {{}}}}', "store_response"
    ),
    "PUT with a change": single("PUT", "/v2/contact/{uuid}", '{"first": "zz-again"}'),
    "PUT without a change": single("PUT", "/v2/contact/{uuid}", '{"first": "zz-first"}'),
    "PATCH without a change": single(
        "PATCH", "/x/contact/{uuid}/channel/{id}", '{"label": "zz-label"}'
    ),
}
MORE_WRITES = {
    **WRITES,
    "bulk update without a change": bulk('{"contact_id": "{uuid}"}', "update_contacts"),
    "bulk update of two": bulk('{"contact_id": "{uuid}", "first": "zz-again"}, {"first": "Bob"}'),
    "POST of a channel without a change": single("POST", "/v2/contact/{uuid}/channel", ONE_PHONE),
    "PUT of a channel without a change": single("PUT", "/v2/contact/{uuid}/channel", ONE_PHONE),
    "primary already": single("POST", "/x/contact/{uuid}/channel/{id}/primary"),
}
ECHOES = {
    "as it is": bulk('{"contact_id": "{uuid}", "phone": "nope"}'),
    "in upper case": bulk('{"contact_id": "{upper}", "phone": "nope"}'),
    "with escapes": bulk('{"contact_id": "{escaped}", "phone": "nope"}'),
    "after an escape": bulk('{"contact_id": "\\u0041{upper}", "phone": "nope"}'),
    "under another key": bulk('{"uuid": "{uuid}", "phone": "nope"}'),
    "under a key that comes twice": bulk('{"contact_id": "{uuid}", "contact_id": "7"}'),
    "nested": bulk('{"phone": "nope", "custom": {"a": [{"b": "see {escaped}."}]}}'),
    "as a key": bulk('{"phone": "nope", "custom": {"{uuid}": 1}}'),
    "next to a UUID that overlaps it": bulk(
        '{"phone": "nope", "custom": {"a": "00000000-0000-4000-8000-0000{uuid}"}}'
    ),
    "after two backslashes": bulk('{"phone": "nope", "custom": {"a": "\\\\\\\\{escaped}"}}'),
    "in a row that is no object": bulk('["{uuid}"]'),
}


async def create_contact(api: Api) -> dict[str, str]:
    """Create a contact with a phone; return its UUID in several spellings, and the channel's id."""
    body = {"first": "zz-first", "phone": PHONE}
    uuid = str((await api.request("POST", "/v2/contact", body)).json()["uuid"])
    [phone] = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
    patch = {"label": "zz-label"}
    await api.request("PATCH", f"/x/contact/{uuid}/channel/{phone['id']}", patch)
    escaped = "".join(f"\\u{ord(char):04x}" if char.isalnum() else char for char in uuid)
    return {"uuid": uuid, "upper": uuid.upper(), "escaped": escaped, "id": phone["id"]}


async def send(api: Api, write: Write, names: dict[str, str]) -> httpx.Response:
    path, body = write.path, write.body
    for name, value in names.items():
        path, body = path.replace(f"{{{name}}}", value), body.replace(f"{{{name}}}", value)
    by = {**api.bob.by_key(), "idempotency-key": "k"}
    return await api.request(write.method, path, body.encode() or None, by=by)


async def erase(api: Api, names: dict[str, str]) -> None:
    response = await api.request("DELETE", f"/x/contact/{names['uuid']}/erase")
    assert response.status_code == 200, response.text


async def stored_keys(api: Api) -> list[str]:
    """Return the keys of the team's stored responses."""
    statement = f"SELECT key FROM idempotency WHERE team_id = {api.bob.team.team_id}"
    return [str(row[0]) for row in await sql_runner(api.database)(statement)]


async def assert_not_stored(api: Api, write: Write, names: dict[str, str]) -> None:
    """Assert that no response with data of the contact is stored, and a retry is a new request."""
    assert set(await stored_keys(api)) <= {"k 1"}  # the response of another row
    again = await send(api, write, names)
    assert "idempotent-replayed" not in again.headers
    uuid = names["uuid"]
    assert uuid not in json.dumps(again.json().get("contacts", "")), again.text
    assert refusal(await api.request("GET", f"/v2/contact/{uuid}")) == (404, "no_contact")


def run_before(
    api: Api, patch: pytest.MonkeyPatch, step: str, run: Callable[[Store], Awaitable[Any]]
) -> None:
    """Replace the next call of a method of the store by `run`, which gets the original call."""
    original = getattr(api.store, step)

    async def replacement(*values: Any) -> Any:
        patch.undo()
        return await run(lambda: original(*values))

    patch.setattr(api.store, step, replacement)


def expected_status(write: Write) -> int:
    """Return the status of a request whose contact is erased before its response is stored."""
    return 404 if write.step == "commit" and write.path != "/v2/contacts" else 200


async def wait_for_lock_waiters(api: Api, count: int) -> None:
    """Wait until `count` statements wait for a lock."""
    statement = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    for _ in range(WAIT_TRIES):
        if await sql_runner(api.database)(statement) == [(count,)]:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"there were never {count} statements that waited for a lock")


@pytest.mark.parametrize("name", MORE_WRITES)
async def test_the_response_is_not_stored_after_an_erasure(
    api: Api, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The request gets its usual response, but it is not stored."""
    write, names = MORE_WRITES[name], await create_contact(api)

    async def erase_before_storing(store: Store) -> Any:
        await erase(api, names)
        return await store()

    run_before(api, monkeypatch, write.step, erase_before_storing)

    assert (await send(api, write, names)).status_code == expected_status(write)
    await assert_not_stored(api, write, names)


@pytest.mark.parametrize("name", [*MORE_WRITES, *ECHOES])
async def test_an_erasure_deletes_the_stored_response(api: Api, name: str) -> None:
    write, names = {**MORE_WRITES, **ECHOES}[name], await create_contact(api)
    first = await send(api, write, names)
    again = await send(api, write, names)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")

    await erase(api, names)

    await assert_not_stored(api, write, names)


async def test_an_erasure_deletes_the_response_that_created_the_contact(api: Api) -> None:
    """The contact is created by a resolve, a single write, and a row of a bulk write."""
    create = f'{{"first": "zz-first", "phone": "{PHONE}"}}'
    for write in (
        Write("POST", "/x/resolve", f'{{"channel_id": "{PHONE}", "create": {{}}}}', ""),
        Write("POST", "/v2/contact", create, ""),
        bulk(create),
    ):
        assert (await send(api, write, {})).status_code == 200
        found = await api.request("POST", "/x/resolve", {"channel_id": PHONE})
        names = {"uuid": str(found.json()["contact"]["uuid"])}
        await erase(api, names)
        assert await stored_keys(api) == []
        again = await send(api, write, {})
        assert "idempotent-replayed" not in again.headers
        assert names["uuid"] not in again.text
        found = await api.request("POST", "/x/resolve", {"channel_id": PHONE})
        await erase(api, {"uuid": str(found.json()["contact"]["uuid"])})


# ── PostgreSQL: concurrent transactions ──────────────────────────────────────────────────────────


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
@pytest.mark.parametrize("name", WRITES)
async def test_a_request_waits_for_a_running_erasure(
    api: Api, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The erasure has locked the contact, and waits for an event that the test has locked."""
    write, names = WRITES[name], await create_contact(api)
    uuid = names["uuid"]
    event = f"(SELECT id FROM contact WHERE uuid = '{uuid}') FOR UPDATE"

    async def erase_meanwhile(store: Store) -> Any:
        async with locked(api.database, f"SELECT id FROM event WHERE contact_id = {event}"):
            erasing = asyncio.create_task(erase(api, names))
            await wait_for_lock_waiters(api, 1)
            storing = asyncio.ensure_future(store())
            await wait_for_lock_waiters(api, 2)
        await erasing
        return await storing

    run_before(api, monkeypatch, write.step, erase_meanwhile)

    assert (await send(api, write, names)).status_code == expected_status(write)
    await assert_not_stored(api, write, names)


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
@pytest.mark.parametrize("name", WRITES)
async def test_an_erasure_waits_for_the_storing_of_a_response(
    api: Api, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The request has stored its response, and waits for the contact that the test has locked."""
    write, names = WRITES[name], await create_contact(api)
    contact = f"SELECT id FROM contact WHERE uuid = '{names['uuid']}' FOR UPDATE"

    async def erase_meanwhile(store: Store) -> Any:
        async with locked(api.database, contact):
            storing = asyncio.ensure_future(store())
            await wait_for_lock_waiters(api, 1)
            erasing = asyncio.create_task(erase(api, names))
            await wait_for_lock_waiters(api, 2)
        outcome = await storing
        await erasing
        return outcome

    run_before(api, monkeypatch, write.step, erase_meanwhile)

    assert (await send(api, write, names)).status_code == 200
    await assert_not_stored(api, write, names)
