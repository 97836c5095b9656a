"""PUT of a contact: absent fields are unchanged, `phone` and `email` are its primary channels."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import refusal
from tests.support.personas import NOBODY, Api

pytestmark = pytest.mark.anyio

ONE, TWO, THREE = "15105553344", "14155551234", "12125550199"


def phone(value: str) -> dict[str, str]:
    return {"channel_type": "phone", "channel_id": value}


async def put(api: Api, uuid: str, body: object, query: str = "") -> Any:
    response = await api.request("PUT", f"/v2/contact/{uuid}{query}", body)
    assert response.status_code == 200, response.text
    return response.json()


async def get(api: Api, uuid: str) -> Any:
    response = await api.request("GET", f"/v2/contact/{uuid}")
    assert response.status_code == 200, response.text
    return response.json()


def addresses_of(contact: Any) -> list[str]:
    return [channel["channel_id"] for channel in contact["contact_channels"]]


async def test_put_changes_only_the_fields_of_the_body(api: Api) -> None:
    """The response is the whole Contact."""
    uuid = await api.contact(("phone", ONE))
    before = await put(api, uuid, {"first": "Alice", "tags": [{"tag_id": 1}], "avatar": "a"})
    api.clock.forward(1)

    after = await put(api, uuid, {"last": "Liddell", "assignee_id": 7})

    changed = {"last": "Liddell", "assigned_user_id": 7}
    moved = {"rev": before["rev"] + 1, "updated": after["updated"]}
    assert after == {**before, **changed, **moved}
    assert after["updated"] > before["updated"]
    assert await get(api, uuid) == after


async def test_a_contact_sent_back_whole_changes_nothing(api: Api) -> None:
    body = {
        "first": "Alice",
        "external_id": "crm-1",
        "custom": {"1": "x"},
        "tags": [{"tag_id": 3}],
        "contact_channels": [
            phone(ONE),
            phone(TWO),
            {"channel_type": "facebook", "channel_id": "100", "info_channel": "page"},
        ],
    }
    created = (await api.request("POST", "/v2/contact", body)).json()
    api.clock.forward(5)

    assert await put(api, created["uuid"], created) == created
    assert await put(api, created["uuid"], created, "?overwrite=true") == created
    assert await put(api, created["uuid"], {}) == created


@pytest.mark.parametrize("query", ["", "?overwrite=true"])
async def test_names_are_always_overwritten(api: Api, query: str) -> None:
    uuid = await api.contact()
    await put(api, uuid, {"first": "Alice", "last": "Liddell", "display_name": "Al"})

    after = await put(api, uuid, {"first": "Bob", "last": "", "display_name": None}, query)

    assert (after["first"], after["last"], after["display_name"]) == ("Bob", "", "")


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", {"1": "new", "2": [2], "3": None}),
        ("?overwrite=false", {"1": "new", "2": [2], "3": None}),
        ("?overwrite=true", {"1": "new", "3": None}),
    ],
)
async def test_custom_is_merged_or_replaced(api: Api, query: str, left: dict[str, object]) -> None:
    uuid = await api.contact()
    await put(api, uuid, {"custom": {"1": "old", "2": [2]}})

    assert (await put(api, uuid, {"custom": {"1": "new", "3": None}}, query))["custom"] == left
    assert (await put(api, uuid, {"first": "A"}, query))["custom"] == left


@pytest.mark.parametrize(
    "custom", [{"a\0": 1}, {"a": "\0"}, {"a": [{"b": "c\0"}]}, {"a": {"\0": None}}]
)
async def test_custom_with_a_nul_character_is_refused(api: Api, custom: object) -> None:
    response = await api.request("POST", "/v2/contact", {"custom": custom})

    assert refusal(response) == (400, "bad_value")
    assert list(response.json()["fields"]) == ["custom"]


async def test_a_contact_has_at_most_five_tags(api: Api) -> None:
    uuid = await api.contact()
    five = [{"tag_id": number} for number in range(5)]
    await put(api, uuid, {"tags": five})

    response = await api.request("PUT", f"/v2/contact/{uuid}", {"tags": [*five, {"tag_id": 5}]})

    assert refusal(response) == (400, "bad_value")
    assert (await get(api, uuid))["tags"] == five
    assert (await put(api, uuid, {"tags": []}))["tags"] == []


async def test_assignee_minus_one_clears_the_assignee(api: Api) -> None:
    uuid = await api.contact()
    assert (await put(api, uuid, {"assignee_id": 7}))["assigned_user_id"] == 7
    assert (await put(api, uuid, {"assignee_id": -1}))["assigned_user_id"] is None


# ── external_id ──────────────────────────────────────────────────────────────────────────────


async def test_an_external_id_is_unique_until_it_is_cleared(api: Api) -> None:
    first = await api.contact()
    second = await api.contact()
    await put(api, first, {"external_id": "crm-1"})
    taken = await api.request(
        "PUT", f"/v2/contact/{second}", {"external_id": "crm-1", "first": "B"}
    )

    assert refusal(taken) == (409, "external_id_taken")
    assert taken.json()["conflicting_contact_id"] == first
    assert (await get(api, second))["first"] == ""
    assert (await put(api, first, {"external_id": None}))["external_id"] is None
    assert (await put(api, second, {"external_id": "crm-1"}))["external_id"] == "crm-1"


async def test_deleting_a_contact_frees_its_external_id(api: Api) -> None:
    first = await api.contact()
    await put(api, first, {"external_id": "crm-1"})
    await api.request("DELETE", f"/v2/contact/{first}")

    response = await api.request("POST", "/v2/contact", {"external_id": "crm-1"})

    assert response.status_code == 200, response.text


# ── phone and email ──────────────────────────────────────────────────────────────────────────


async def test_writing_phone_replaces_the_primary_channels_address(api: Api) -> None:
    uuid = await api.contact(("phone", ONE), ("phone", TWO))
    before = await get(api, uuid)
    api.clock.forward(5)

    after = await put(api, uuid, {"phone": "+1 (212) 555-0199"})

    assert after["phone"] == THREE
    assert addresses_of(after) == [THREE, TWO]
    assert after["contact_channels"][0]["id"] == before["contact_channels"][0]["id"]
    assert after["contact_channels"][0]["created"] == before["contact_channels"][0]["created"]
    assert after["contact_channels"][1] == before["contact_channels"][1]
    assert await api.contact(("phone", ONE))


async def test_writing_phone_adds_a_channel_if_there_is_none(api: Api) -> None:
    uuid = await api.contact(("email", "alice@example.com"))

    after = await put(api, uuid, {"phone": ONE})

    assert (after["phone"], after["email"]) == (ONE, "alice@example.com")
    assert addresses_of(after) == ["alice@example.com", ONE]


@pytest.mark.parametrize("empty", ["", None])
async def test_an_empty_phone_deletes_the_primary_channel(api: Api, empty: str | None) -> None:
    uuid = await api.contact(("phone", ONE), ("phone", TWO), ("email", "alice@example.com"))

    after = await put(api, uuid, {"phone": empty, "email": empty})

    assert (after["phone"], after["email"]) == (TWO, "")
    assert addresses_of(after) == [TWO]
    assert addresses_of(await put(api, uuid, {"phone": empty})) == []
    last = await put(api, uuid, {"phone": empty})
    assert last["rev"] == 3


async def test_writing_a_secondary_address_makes_it_primary(api: Api) -> None:
    """Both channels keep their ids."""
    uuid = await api.contact(("phone", ONE), ("phone", TWO))
    before = await get(api, uuid)

    after = await put(api, uuid, {"phone": TWO})

    assert after["phone"] == TWO
    assert addresses_of(after) == [ONE, TWO]
    ids = [
        [channel["id"] for channel in contact["contact_channels"]] for contact in (before, after)
    ]
    assert ids[0] == ids[1]
    assert (await put(api, uuid, {"phone": TWO}))["rev"] == after["rev"]
    primary = await api.request("GET", f"/v2/contact/{uuid}/channel/phone")
    assert primary.json()["channel_id"] == TWO


@pytest.mark.parametrize("others", [[], [("email", "first@example.com")]])
async def test_a_new_spelling_is_returned_as_written(
    api: Api, others: list[tuple[str, str]]
) -> None:
    """This holds whether the address was primary before the request or is made so by it."""
    uuid = await api.contact(*others, ("email", "alice@example.com"))

    after = await put(api, uuid, {"email": "Alice@EXAMPLE.com"})

    assert after["email"] == "Alice@example.com"
    assert len(after["contact_channels"]) == len(others) + 1


async def test_channels_phone_and_email_are_written_as_one_change(api: Api) -> None:
    uuid = await api.contact(("phone", ONE))

    after = await put(
        api, uuid, {"phone": TWO, "contact_channels": [phone(ONE)], "email": "a@b.test"}
    )

    assert after["rev"] == 2
    assert (after["phone"], after["email"]) == (TWO, "a@b.test")
    assert sorted(addresses_of(after)) == sorted([TWO, ONE, "a@b.test"])
    assert len({channel["updated"] for channel in after["contact_channels"]}) == 1


async def test_a_request_with_an_address_of_another_contact_changes_nothing(api: Api) -> None:
    owner = await api.contact(("phone", ONE))
    uuid = await api.contact(("phone", TWO))
    before = await get(api, uuid)
    for body in ({"phone": ONE}, {"contact_channels": [phone(ONE)]}):
        response = await api.request("PUT", f"/v2/contact/{uuid}", {"first": "A", **body})

        assert refusal(response) == (409, "address_taken")
        assert response.json()["conflicting_contact_id"] == owner
    assert await get(api, uuid) == before


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("uuid", "body", "expected"),
    [
        (NOBODY, {"first": "A"}, (404, "no_contact")),
        (NOBODY, {"first": 1}, (400, "wrong_type")),
        (NOBODY, {"phone": "x"}, (400, "bad_phone")),
        ("7", {"first": "A"}, (400, "bad_uuid")),
        (NOBODY, b"{", (400, "malformed_json")),
    ],
)
async def test_the_body_is_validated_before_the_contact_is_looked_up(
    api: Api, uuid: str, body: object, expected: tuple[int, str]
) -> None:
    assert refusal(await api.request("PUT", f"/v2/contact/{uuid}", body)) == expected


async def test_another_team_cannot_change_the_contact(api: Api) -> None:
    uuid = await api.contact(("phone", ONE))
    before = await get(api, uuid)

    response = await api.request(
        "PUT", f"/v2/contact/{uuid}", {"first": "Mine"}, by=api.charlie.by_key()
    )

    assert refusal(response) == (404, "no_contact")
    assert await get(api, uuid) == before
