"""Resolve for many addresses: one result each, in order; no contact is created."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

PHONE, EMAIL = "15105553344", "alice@example.com"
NOT_FOUND = {"contact": None, "channel": None, "created": False, "suppressed": None}


async def batch(api: Api, *addresses: object, **options: Any) -> list[Any]:
    body = {"addresses": addresses}
    response = await api.request("POST", "/x/resolve/batch", body, **options)
    assert response.status_code == 200, response.text
    return list(response.json()["results"])


async def test_a_batch_returns_a_result_or_an_error_for_each_address(api: Api) -> None:
    """A malformed address has an error as its result, and so has an address with `create`."""
    alice = await api.contact(("phone", PHONE), ("email", EMAIL))
    bobby = await api.contact(("facebook", "100"))

    results = await batch(
        api,
        {"channel_type": "facebook", "channel_id": "100"},
        {"channel_id": "nope"},
        {"channel_id": "alice@"},
        {"channel_type": "sms", "channel_id": PHONE},
        {"channel_id": "14155551234"},
        {"channel_id": EMAIL},
        {"channel_id": EMAIL, "create": {}},
        7,
    )

    owners = [result.get("contact") and result["contact"]["uuid"] for result in results]
    assert owners == [bobby, None, None, alice, None, alice, None, None]
    codes = [result.get("error_code") for result in results]
    assert codes == [
        None, "bad_value", "bad_email", None, None, None, "unknown_name", "wrong_type"
    ]  # fmt: skip
    assert results[4] == NOT_FOUND
    assert {result["error"] for result in results if "error" in result} == {"bad_data"}
    assert [set(results[index]["fields"]) for index in (1, 2, 6, 7)] == [
        {"channel_type"}, {"channel_id"}, {"create"}, {"body"}
    ]  # fmt: skip
    assert results[5] == (await api.request("POST", "/x/resolve", {"channel_id": EMAIL})).json()
    assert await batch(api) == []


async def test_a_batch_has_at_most_a_thousand_addresses(api: Api) -> None:
    uuid = await api.contact(("phone", PHONE))
    address = {"channel_id": PHONE}

    results = await batch(api, *[address] * 1000)

    assert {result["contact"]["uuid"] for result in results} == {uuid}
    assert len(results) == 1000
    response = await api.request("POST", "/x/resolve/batch", {"addresses": [address] * 1001})
    assert refusal(response) == (400, "too_many")
