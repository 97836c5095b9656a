"""Idempotency-Key: a retry gets the stored response, and has no effect (section 8)."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from uuid import uuid4

import pytest

from tests.support.http import (
    MANY,
    ONE,
    ONE_CONTACT,
    PHONE,
    TWO,
    WITHOUT_CHANGE,
    Call,
    alice,
    count,
    refusal,
    rev,
    send,
)
from tests.support.personas import ALICE, Api
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

DAY = 24 * 60 * 60
UUID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.parametrize(
    "call", [*ONE_CONTACT, *MANY, *WITHOUT_CHANGE], ids=lambda call: f"{call[0]} {call[1]}"
)
async def test_a_retry_gets_the_same_response_byte_for_byte(api: Api, call: Call) -> None:
    """This holds for every write, also for a write that changes nothing."""
    names, key = await alice(api), {"idempotency-key": "k"}
    first = await send(api, call, names, key)
    assert first.status_code == 200, first.text
    feed = (await api.request("GET", "/x/events")).content
    api.clock.forward(DAY - 1)

    again = await send(api, call, names, key)

    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    for name in ("etag", "x-contact-reachable", "x-representation", "content-type"):
        assert again.headers.get(name) == first.headers.get(name)
    assert (await api.request("GET", "/x/events")).content == feed


@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
async def test_a_stored_response_is_indexed_by_every_contact_in_it(
    api: Api, representation: str
) -> None:
    """An erasure finds responses by these UUIDs; a text such as "contact deleted" has none."""
    for method, path, body in [*ONE_CONTACT, *MANY, *WITHOUT_CHANGE]:
        names, key = await alice(api), {"idempotency-key": uuid4().hex}
        query = "" if path.startswith("/x/") else f"?representation={representation}"
        response = await send(api, (method, path + query, body), names, key)
        assert response.status_code == 200, response.text

        expected = set(UUID.findall(response.text)) - {ALICE}  # the example in a message
        if "{uuid}" in path and not isinstance(response.json(), str):
            expected.add(names["uuid"])
        rows = await sql_runner(api.database)(
            f"SELECT contact_uuid FROM idempotency_contact WHERE key = '{key['idempotency-key']}'"
        )
        assert {row[0] for row in rows} == expected, (method, path)
        await send(api, ("DELETE", "/v2/contact/{uuid}", None), names)


async def test_a_reused_key_is_indexed_by_the_contacts_of_its_new_response(api: Api) -> None:
    """A key can be used for another request after a day."""
    key, first, other = {"idempotency-key": "k"}, await api.contact(), await api.contact()
    uuids = []
    for uuid in (first, other, other):
        await send(api, ("PUT", f"/v2/contact/{uuid}", {"first": "A"}), {}, key)
        rows = await sql_runner(api.database)(
            "SELECT contact_uuid FROM idempotency_contact "
            f"WHERE team_id = {api.bob.team.team_id} AND key = 'k'"
        )
        uuids.append([row[0] for row in rows])
        api.clock.forward(DAY + 1)

    assert uuids == [[first], [other], [other]]


async def test_a_different_request_under_the_same_key_is_refused(api: Api) -> None:
    names, key = await alice(api), {"idempotency-key": "k"}
    path, body = "/v2/contact/{uuid}/channel", {**PHONE, "channel_id": TWO}
    await send(api, ("POST", path, body), names, key)
    other = await api.contact()
    for call, path_values in [
        (("POST", path, {**body, "channel_handle": "x"}), names),
        (("PUT", path, body), names),
        (("POST", path, body), {"uuid": other}),
        (("POST", f"{path}?on_conflict=refuse", body), names),
        (("POST", f"{path}?representation=integer_ids", body), names),
        (("POST", "/v2/contacts", {"contacts": []}), names),
        (("DELETE", "/x/contact/{uuid}/erase", None), names),
    ]:
        assert refusal(await send(api, call, path_values, key)) == (422, "key_reused"), call
    by = {**api.bob.by_jwt(), **key}
    response = await api.request("POST", path.replace("{uuid}", names["uuid"]), body, by=by)
    assert refusal(response) == (422, "key_reused")
    assert await rev(api, names["uuid"]) == 2


async def test_an_error_response_is_not_stored(api: Api) -> None:
    owner, key = await alice(api), {"idempotency-key": "k"}
    taken = ("POST", "/v2/contact", {"phone": ONE})
    assert refusal(await send(api, taken, {}, key)) == (409, "address_taken")
    await send(api, ("DELETE", "/v2/contact/{uuid}", None), owner)

    response = await send(api, taken, {}, key)

    assert response.status_code == 200
    assert "idempotent-replayed" not in response.headers
    assert (await send(api, taken, {}, key)).content == response.content


async def test_a_key_can_be_used_again_after_a_day(api: Api) -> None:
    key, call = {"idempotency-key": "k"}, ("POST", "/v2/contact", {"first": "A"})
    first = await send(api, call, {}, key)
    api.clock.forward(DAY + 1)

    second = await send(api, ("POST", "/v2/contact", {"first": "B"}), {}, key)

    assert second.status_code == 200
    assert second.json()["uuid"] != first.json()["uuid"]
    assert refusal(await send(api, call, {}, key)) == (422, "key_reused")


async def test_a_key_is_valid_within_its_team(api: Api) -> None:
    """Each credential of the team can retry; the same key of another team is independent."""
    key, call = {"idempotency-key": "k"}, ("POST", "/v2/contact", {"first": "A"})
    first = await send(api, call, {}, key)
    by = {**api.bob.by_jwt(), **key}
    again = await api.request("POST", "/v2/contact", call[2], by=by)
    assert refusal(again) == (422, "key_reused")  # the response would be in integer_ids

    charlies = await api.request("POST", "/v2/contact", call[2], by={**api.charlie.by_key(), **key})

    assert charlies.status_code == 200
    assert "idempotent-replayed" not in charlies.headers
    assert charlies.json()["uuid"] != first.json()["uuid"]


async def test_simultaneous_retries_have_one_effect(api: Api) -> None:
    key = {"idempotency-key": "k"}
    for call in MANY[:2]:
        before = await count(api)
        key = {"idempotency-key": call[1].replace("/", "-")}
        names = {"uuid": await api.contact()}
        responses = await asyncio.gather(*(send(api, call, names, key) for _ in range(8)))
        assert len({response.content for response in responses}) == 1, call
        created = 1 if call is MANY[0] else 2
        assert await count(api) == before + 1 + created


@pytest.mark.parametrize("key", ["", " ", "a b", "é".encode(), "x" * 256, "\x7f"])
async def test_a_malformed_key_is_refused(api: Api, key: Any) -> None:
    headers: Any = {**api.bob.by_key(), "idempotency-key": key}
    response = await api.request("POST", "/v2/contact", {}, by=headers)

    assert refusal(response) == (400, "bad_value")
    assert list(response.json()["fields"]) == ["Idempotency-Key"]
    assert await count(api) == 0


async def test_the_longest_key_is_accepted_and_reads_ignore_keys(api: Api) -> None:
    key = {"idempotency-key": "~" * 255}
    assert (await send(api, ("POST", "/v2/contact", {}), {}, key)).status_code == 200
    reads: list[Call] = [
        ("GET", "/v1/team", None),
        ("POST", "/v2/contacts/list", None),
        ("POST", "/v2/contacts/search", {"contact_channels": []}),
        ("POST", "/x/resolve/batch", {"addresses": []}),
    ]
    for call in reads:
        for headers in (key, {"idempotency-key": "a b"}):
            response = await send(api, call, {}, headers)
            assert response.status_code == 200
            assert "idempotent-replayed" not in response.headers
