"""Selecting a channel if a contact has several of its type (contract section 2.2)."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from tests.support.http import refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

FIRST, SECOND, THIRD = "15105553344", "14155551234", "442079460000"


def channel_ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [channel["channel_id"] for channel in response.json()]


async def create_with_phones(api: Api, *numbers: str) -> str:
    """Creates a contact with phones, one after the other, and returns its path."""
    path = f"/v2/contact/{await api.contact()}"
    for number in numbers:
        api.clock.forward(1)
        await api.request(
            "POST", f"{path}/channel", {"channel_type": "phone", "channel_id": number}
        )
    return path


async def test_get_by_type_returns_the_oldest(api: Api) -> None:
    path = await create_with_phones(api, SECOND, FIRST, THIRD)

    assert (await api.request("GET", f"{path}/channel/phone")).json()["channel_id"] == SECOND


async def test_get_by_type_returns_the_next_oldest_after_a_deletion(api: Api) -> None:
    path = await create_with_phones(api, SECOND, FIRST, THIRD)
    await api.request("DELETE", f"{path}/channel/phone?channel_id={SECOND}")

    assert (await api.request("GET", f"{path}/channel/phone")).json()["channel_id"] == FIRST


async def test_put_by_type_replaces_the_oldest(api: Api) -> None:
    path = await create_with_phones(api, FIRST, SECOND)
    wanted = {"channel_type": "phone", "channel_id": THIRD}

    assert channel_ids(await api.request("PUT", f"{path}/channel", wanted)) == [THIRD, SECOND]


async def test_delete_by_type_is_refused_if_there_are_several(api: Api) -> None:
    path = await create_with_phones(api, FIRST, SECOND)
    await api.request("POST", f"{path}/channel", {"channel_type": "facebook", "channel_id": "1"})
    before = (await api.request("GET", f"{path}/channels")).json()

    response = await api.request("DELETE", f"{path}/channel/phone")

    assert refusal(response) == (409, "several")
    assert response.json()["error"] == "conflict"
    assert response.json()["channels"] == before[:2]
    assert (await api.request("GET", f"{path}/channels")).json() == before


async def test_a_repeated_delete_deletes_no_other_number(api: Api) -> None:
    path = await create_with_phones(api, FIRST, SECOND)
    url = f"{path}/channel/phone?channel_id={FIRST}"

    assert channel_ids(await api.request("DELETE", url)) == [SECOND]
    assert refusal(await api.request("DELETE", url)) == (404, "no_channel")
    assert channel_ids(await api.request("GET", f"{path}/channels")) == [SECOND]


@pytest.mark.parametrize(
    ("kind", "stored", "spelling"),
    [
        ("phone", SECOND, "+1 (415) 555-1234"),
        ("phone", SECOND, " 14155551234 "),
        ("phone", "5491123456789", "541123456789"),
        ("phone", "541123456789", "+54 9 11 2345 6789"),
        ("phone", "525512345678", "+52 1 55 1234 5678"),
        ("phone", "5511987654321", "55 11 8765-4321"),
        ("phone", "551187654321", "5511987654321"),
        ("sms", SECOND, "1.415.555.1234"),
        ("whatsapp", SECOND, "+1/415/555/1234"),
        ("whatsapp", "wa:é?&=%", "wa:é?&=%"),
        ("email", "Alice@example.com", "aLICE@EXAMPLE.COM"),
        ("email", "a@bücher.example", "a@xn--bcher-kva.example"),
        ("facebook", "a b/c+d", "a b/c+d"),
    ],
)
async def test_channel_id_selects_a_channel_in_any_spelling(
    api: Api, kind: str, stored: str, spelling: str
) -> None:
    other = "other@example.com" if kind == "email" else THIRD
    uuid = await api.contact((kind, other), (kind, stored))
    path = f"/v2/contact/{uuid}/channel"
    query = f"?channel_id={quote(spelling, safe='')}"

    got = await api.request("GET", f"{path}/{kind}{query}")
    put = await api.request(
        "PUT",
        f"{path}{query}",
        {"channel_type": kind, "channel_id": stored, "channel_handle": "named"},
    )
    left = await api.request("DELETE", f"{path}/{kind}{query}")

    assert got.json()["channel_id"] == stored
    assert [channel.get("channel_handle") for channel in put.json()] == [None, "named"]
    assert channel_ids(left) == [other]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_the_error_explains_a_plus_in_the_query(api: Api, method: str) -> None:
    """A + in a query is decoded as a space, so a plus-tagged address becomes another text."""
    tagged = {"email": "a+b@example.com", "facebook": "a+b", "phone": FIRST}
    for kind, value in tagged.items():
        uuid = await api.contact((kind, value))
        path = f"/v2/contact/{uuid}/channel" + ("" if method == "PUT" else f"/{kind}")
        body = {"channel_type": kind, "channel_id": value}

        async def send(
            query: str, path: str = path, body: dict[str, str] = body
        ) -> tuple[int, bool]:
            response = await api.request(method, f"{path}?channel_id={query}", body)
            return response.status_code, "write %2B for a +" in response.text

        refused = 404 if kind == "facebook" else 400
        assert await send("x+b@" if kind == "email" else "+x+b") == (refused, True)
        assert await send("x%20b@" if kind == "email" else "%20x%20b") == (refused, False)
        assert await send(value.replace("+", "%2B")) == (200, False)


async def test_put_replaces_the_selected_channel(api: Api) -> None:
    path = await create_with_phones(api, FIRST, SECOND)
    wanted = {"channel_type": "phone", "channel_id": THIRD}

    response = await api.request("PUT", f"{path}/channel?channel_id=%2B{SECOND}", wanted)

    assert channel_ids(response) == [FIRST, THIRD]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_an_address_that_the_contact_does_not_have_is_not_found(
    api: Api, method: str
) -> None:
    """This holds even if another contact has it, or the contact has it under another type."""
    await api.contact(("phone", THIRD))
    uuid = await api.contact(("phone", FIRST), ("sms", SECOND))
    path = f"/v2/contact/{uuid}/channel" + ("" if method == "PUT" else "/phone")
    wanted = {"channel_type": "phone", "channel_id": "14155550000"}

    for value in (SECOND, THIRD):
        response = await api.request(method, f"{path}?channel_id={value}", wanted)
        assert refusal(response) == (404, "no_channel")
    assert channel_ids(await api.request("GET", f"/v2/contact/{uuid}/channels")) == [FIRST, SECOND]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("value", ["", "alice", "001510555334", "%FF", "%ED%A0%80"])
async def test_a_malformed_channel_id_is_refused(api: Api, method: str, value: str) -> None:
    uuid = await api.contact(("phone", FIRST))
    path = f"/v2/contact/{uuid}/channel" + ("" if method == "PUT" else "/phone")
    wanted = {"channel_type": "phone", "channel_id": SECOND}

    response = await api.request(method, f"{path}?channel_id={value}", wanted)

    assert response.status_code == 400, response.text
    assert channel_ids(await api.request("GET", f"/v2/contact/{uuid}/channels")) == [FIRST]


async def test_a_contact_has_a_facebook_id_only_once(api: Api) -> None:
    """The page makes no difference, so `?channel_id=` selects exactly one channel."""
    path = f"/v2/contact/{await api.contact()}/channel"
    for value, page in (("100", "page-1"), ("200", "page-2")):
        wanted = {"channel_type": "facebook", "channel_id": value, "info_channel": page}
        await api.request("POST", path, wanted)
    same = {"channel_type": "facebook", "channel_id": "100", "info_channel": "page-2"}

    replaced = await api.request("PUT", f"{path}?channel_id=200", same)
    added = await api.request("POST", path, same)

    assert refusal(replaced) == (409, "address_taken")
    assert [(channel["channel_id"], channel["info_channel"]) for channel in added.json()] == [
        ("100", "page-2"),
        ("200", "page-2"),
    ]
