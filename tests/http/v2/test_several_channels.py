"""Several channels of one type: which one is meant (contract section 2.2)."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from tests.support.http import refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

FIRST, SECOND, THIRD = "15105553344", "14155551234", "442079460000"


def values(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["channel_id"] for one in answer.json()]


async def with_phones(api: Api, *numbers: str) -> str:
    """The path of a contact that was given these phones one after the other."""
    path = f"/v2/contact/{await api.contact()}"
    for number in numbers:
        api.clock.forward(1)
        await api.request(
            "POST", f"{path}/channel", {"channel_type": "phone", "channel_id": number}
        )
    return path


async def test_get_by_type_means_the_oldest(api: Api) -> None:
    path = await with_phones(api, SECOND, FIRST, THIRD)

    assert (await api.request("GET", f"{path}/channel/phone")).json()["channel_id"] == SECOND


async def test_the_next_oldest_follows_when_the_primary_goes(api: Api) -> None:
    path = await with_phones(api, SECOND, FIRST, THIRD)
    await api.request("DELETE", f"{path}/channel/phone?channel_id={SECOND}")

    assert (await api.request("GET", f"{path}/channel/phone")).json()["channel_id"] == FIRST


async def test_put_by_type_means_the_oldest(api: Api) -> None:
    path = await with_phones(api, FIRST, SECOND)
    wanted = {"channel_type": "phone", "channel_id": THIRD}

    assert values(await api.request("PUT", f"{path}/channel", wanted)) == [THIRD, SECOND]


async def test_delete_by_type_removes_none_of_several(api: Api) -> None:
    path = await with_phones(api, FIRST, SECOND)
    await api.request("POST", f"{path}/channel", {"channel_type": "facebook", "channel_id": "1"})
    before = (await api.request("GET", f"{path}/channels")).json()

    answer = await api.request("DELETE", f"{path}/channel/phone")

    assert refusal(answer) == (409, "several")
    assert answer.json()["error"] == "conflict"
    assert answer.json()["channels"] == before[:2]
    assert (await api.request("GET", f"{path}/channels")).json() == before


async def test_a_repeated_delete_takes_no_other_number(api: Api) -> None:
    path = await with_phones(api, FIRST, SECOND)
    named = f"{path}/channel/phone?channel_id={FIRST}"

    assert values(await api.request("DELETE", named)) == [SECOND]
    assert refusal(await api.request("DELETE", named)) == (404, "no_channel")
    assert values(await api.request("GET", f"{path}/channels")) == [SECOND]


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
async def test_channel_id_names_one_in_any_spelling(
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
    assert [one.get("channel_handle") for one in put.json()] == [None, "named"]
    assert values(left) == [other]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_plus_in_the_query_is_explained(api: Api, method: str) -> None:
    """A + means a blank in a query, so a plus-tagged address is read as another text."""
    tagged = {"email": "a+b@example.com", "facebook": "a+b", "phone": FIRST}
    for kind, value in tagged.items():
        uuid = await api.contact((kind, value))
        path = f"/v2/contact/{uuid}/channel" + ("" if method == "PUT" else f"/{kind}")
        body = {"channel_type": kind, "channel_id": value}

        async def send(
            query: str, path: str = path, body: dict[str, str] = body
        ) -> tuple[int, bool]:
            answer = await api.request(method, f"{path}?channel_id={query}", body)
            return answer.status_code, "write %2B for a +" in answer.text

        refused = 404 if kind == "facebook" else 400
        assert await send("x+b@" if kind == "email" else "+x+b") == (refused, True)
        assert await send("x%20b@" if kind == "email" else "%20x%20b") == (refused, False)
        assert await send(value.replace("+", "%2B")) == (200, False)


async def test_put_gives_the_named_one_another_address(api: Api) -> None:
    path = await with_phones(api, FIRST, SECOND)
    wanted = {"channel_type": "phone", "channel_id": THIRD}

    answer = await api.request("PUT", f"{path}/channel?channel_id=%2B{SECOND}", wanted)

    assert values(answer) == [FIRST, THIRD]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_naming_what_the_contact_lacks_finds_nothing(api: Api, method: str) -> None:
    """Not even when another contact has it, or the contact has it under another type."""
    await api.contact(("phone", THIRD))
    uuid = await api.contact(("phone", FIRST), ("sms", SECOND))
    path = f"/v2/contact/{uuid}/channel" + ("" if method == "PUT" else "/phone")
    wanted = {"channel_type": "phone", "channel_id": "14155550000"}

    for value in (SECOND, THIRD):
        answer = await api.request(method, f"{path}?channel_id={value}", wanted)
        assert refusal(answer) == (404, "no_channel")
    assert values(await api.request("GET", f"/v2/contact/{uuid}/channels")) == [FIRST, SECOND]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("value", ["", "alice", "001510555334", "%FF", "%ED%A0%80"])
async def test_naming_with_what_is_no_address_is_refused(api: Api, method: str, value: str) -> None:
    uuid = await api.contact(("phone", FIRST))
    path = f"/v2/contact/{uuid}/channel" + ("" if method == "PUT" else "/phone")
    wanted = {"channel_type": "phone", "channel_id": SECOND}

    answer = await api.request(method, f"{path}?channel_id={value}", wanted)

    assert answer.status_code == 400, answer.text
    assert values(await api.request("GET", f"/v2/contact/{uuid}/channels")) == [FIRST]


async def test_a_contact_has_an_id_once_whatever_the_page(api: Api) -> None:
    """So that `?channel_id=` names one exactly."""
    path = f"/v2/contact/{await api.contact()}/channel"
    for value, page in (("100", "page-1"), ("200", "page-2")):
        wanted = {"channel_type": "facebook", "channel_id": value, "info_channel": page}
        await api.request("POST", path, wanted)
    same = {"channel_type": "facebook", "channel_id": "100", "info_channel": "page-2"}

    replaced = await api.request("PUT", f"{path}?channel_id=200", same)
    added = await api.request("POST", path, same)

    assert refusal(replaced) == (409, "address_taken")
    assert [(one["channel_id"], one["info_channel"]) for one in added.json()] == [
        ("100", "page-2"),
        ("200", "page-2"),
    ]
