"""Resolve for many addresses: an answer for each, in order, and nobody is made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

PHONE, EMAIL = "15105553344", "alice@example.com"
NOBODY_OWNS_IT = {"contact": None, "channel": None, "created": False, "suppressed": None}


async def batch(api: Api, *addresses: object, **options: Any) -> list[Any]:
    body = {"addresses": addresses}
    answer = await api.request("POST", "/x/resolve/batch", body, **options)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["results"])


async def test_it_works(api: Api) -> None:
    """A bad address is an error in its place; batches only look up."""
    alice = await api.contact(("phone", PHONE), ("email", EMAIL))
    bobby = await api.contact(("facebook", "100"))

    told = await batch(
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

    owners = [one.get("contact") and one["contact"]["uuid"] for one in told]
    assert owners == [bobby, None, None, alice, None, alice, None, None]
    codes = [one.get("error_code") for one in told]
    assert codes == [
        None, "bad_value", "bad_email", None, None, None, "unknown_name", "wrong_type"
    ]  # fmt: skip
    assert told[4] == NOBODY_OWNS_IT
    assert {one["error"] for one in told if "error" in one} == {"bad_data"}
    assert [set(told[place]["fields"]) for place in (1, 2, 6, 7)] == [
        {"channel_type"}, {"channel_id"}, {"create"}, {"body"}
    ]  # fmt: skip
    assert told[5] == (await api.request("POST", "/x/resolve", {"channel_id": EMAIL})).json()
    assert await batch(api) == []


async def test_a_batch_of_a_thousand_is_taken_and_no_more(api: Api) -> None:
    uuid = await api.contact(("phone", PHONE))
    one = {"channel_id": PHONE}

    told = await batch(api, *[one] * 1000)

    assert {row["contact"]["uuid"] for row in told} == {uuid}
    assert len(told) == 1000
    answer = await api.request("POST", "/x/resolve/batch", {"addresses": [one] * 1001})
    assert refusal(answer) == (400, "too_many")
