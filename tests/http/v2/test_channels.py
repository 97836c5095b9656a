"""The five channel operations of the vendor's documents, on both stores."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.personas import ALICE, NOBODY, Api

pytestmark = pytest.mark.anyio

PHONE, EMAIL = ("phone", "15105553344"), ("email", "alice@example.com")
OTHER_PHONE = ("phone", "14155551234")


def channel_body(channel: tuple[str, str], **fields: object) -> dict[str, object]:
    return {"channel_type": channel[0], "channel_id": channel[1], **fields}


def channel_ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [channel["channel_id"] for channel in response.json()]


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()
    return response.status_code, error["error"], error["error_code"]


async def rev(api: Api, uuid: str) -> int:
    return int((await api.request("GET", f"/v2/contact/{uuid}")).json()["rev"])


async def get_channels(api: Api, uuid: str) -> Any:
    """Returns the channels of a contact, with all nine keys each."""
    return (
        await api.request("GET", f"/v2/contact/{uuid}/channels?representation=integer_ids")
    ).json()


async def test_post_adds_a_channel(api: Api) -> None:
    uuid = await api.contact(("phone", "+1 510-555-3344"))

    response = await api.request(
        "POST",
        f"/v2/contact/{uuid}/channel",
        {"channel_type": "email", "channel_id": "alice@example.com"},
    )

    assert response.status_code == 200, response.text
    assert [channel["channel_id"] for channel in response.json()] == [
        "15105553344",
        "alice@example.com",
    ]


# ── the contact in the path ──────────────────────────────────────────────────────────────────


async def test_the_uuid_may_be_in_any_letter_case(api: Api) -> None:
    uuid = await api.contact(PHONE)

    assert channel_ids(await api.request("GET", f"/v2/contact/{uuid.upper()}/channels")) == [
        PHONE[1]
    ]


@pytest.mark.parametrize("uuid", [NOBODY, ALICE, "00000000-0000-0000-0000-000000000000"])
async def test_a_uuid_of_any_version_is_accepted(api: Api, uuid: str) -> None:
    response = await api.request("GET", f"/v2/contact/{uuid}/channels")

    assert refusal(response) == (404, "not_found", "no_contact")


@pytest.mark.parametrize(
    "text",
    ["alice", NOBODY.replace("-", ""), f"{{{NOBODY}}}", f"urn:uuid:{NOBODY}", NOBODY[:-1],
     NOBODY + "0", NOBODY.replace("0", "g"), NOBODY.replace("0", "\u0660"), f"{NOBODY}%0A"],
)  # fmt: skip
async def test_a_contact_id_that_is_not_a_uuid_is_refused(api: Api, text: str) -> None:
    response = await api.request("GET", f"/v2/contact/{text}/channels")

    assert refusal(response) == (400, "bad_data", "bad_uuid")
    assert response.json()["fields"] == {"contactID": "not a UUID"}


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
async def test_the_error_for_an_integer_id_names_the_uuid(api: Api, method: str) -> None:
    tail = "channel" if method in ("POST", "PUT") else "channel/phone"
    response = await api.request(method, f"/v2/contact/123/{tail}", channel_body(PHONE))

    assert refusal(response) == (400, "bad_data", "bad_uuid")
    assert "got an integer id" in response.json()["message"]


# ── POST ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (PHONE, "+1 (510) 555-3344"),
        (EMAIL, "Alice@EXAMPLE.com"),
        (("facebook", "100"), "100"),
        (("phone", "5491123456789"), "+54 11 2345-6789"),
        (("phone", "525512345678"), "5215512345678"),
        (("phone", "5511987654321"), "551187654321"),
    ],
)
async def test_adding_an_existing_channel_writes_nothing(
    api: Api, first: tuple[str, str], again: str
) -> None:
    uuid = await api.contact(first)
    before = await get_channels(api, uuid), await rev(api, uuid)
    api.clock.forward(60)

    response = await api.request(
        "POST", f"/v2/contact/{uuid}/channel", channel_body((first[0], again))
    )

    assert channel_ids(response) == [first[1]]
    assert (await get_channels(api, uuid), await rev(api, uuid)) == before


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("sent", "stored"),
    [({}, ("@alice", "page-1")), ({"channel_handle": "@a"}, ("@a", "page-1")),
     ({"info_channel": "page-2"}, ("@alice", "page-2")),
     ({"channel_handle": "", "info_channel": None}, ("", "")),
     ({"channel_handle": None}, ("", "page-1")), ({"info_channel": ""}, ("@alice", ""))],
)  # fmt: skip
async def test_a_supplied_field_is_stored_and_an_absent_field_unchanged(
    api: Api, method: str, sent: dict[str, object], stored: tuple[str, str]
) -> None:
    uuid = await api.contact()
    path, channel = f"/v2/contact/{uuid}/channel", ("facebook", "100")
    await api.request(
        "POST", path, channel_body(channel, channel_handle="@alice", info_channel="page-1")
    )
    revision = await rev(api, uuid)
    api.clock.forward(60)

    response = await api.request(
        method, f"{path}?representation=integer_ids", channel_body(channel, **sent)
    )

    [returned] = response.json()
    assert (returned["channel_handle"], returned["info_channel"]) == stored
    assert (returned["updated"] > returned["created"], await rev(api, uuid) - revision) == (
        (True, 1) if sent else (False, 0)
    )


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
async def test_a_returned_channel_can_be_sent_back_whole(
    api: Api, method: str, representation: str
) -> None:
    uuid = await api.contact(PHONE, EMAIL)
    before = await get_channels(api, uuid), await rev(api, uuid)
    path = f"/v2/contact/{uuid}/channel"
    whole = (await api.request("GET", f"{path}/email?representation={representation}")).json()

    response = await api.request(method, path, {**whole, "unheard": {"of": [None]}})

    assert channel_ids(response) == [PHONE[1], EMAIL[1]]
    assert (await get_channels(api, uuid), await rev(api, uuid)) == before


async def test_channels_are_listed_oldest_first_with_times_in_seconds(api: Api) -> None:
    api.clock.set("2024-01-15T10:00:00Z")
    uuid = await api.contact(EMAIL)
    for second, address in enumerate([PHONE, ("facebook", "9"), OTHER_PHONE], start=1):
        api.clock.forward(0.9 if second == 1 else 1)
        await api.request("POST", f"/v2/contact/{uuid}/channel", channel_body(address))

    channels = await get_channels(api, uuid)

    assert [channel["channel_id"] for channel in channels] == [
        EMAIL[1],
        PHONE[1],
        "9",
        OTHER_PHONE[1],
    ]
    assert [channel["created"][-4:] for channel in channels] == [":00Z", ":00Z", ":01Z", ":02Z"]


# ── PUT ──────────────────────────────────────────────────────────────────────────────────────


async def test_put_replaces_the_address_but_not_id_and_created(api: Api) -> None:
    api.clock.set("2024-01-15T10:00:00Z")
    uuid = await api.contact(PHONE, EMAIL)
    [phone, email] = await get_channels(api, uuid)
    api.clock.forward(90)

    response = await api.request(
        "PUT", f"/v2/contact/{uuid}/channel", channel_body(("email", "new@example.com"))
    )

    assert channel_ids(response) == [PHONE[1], "new@example.com"]
    changed = {"channel_id": "new@example.com", "updated": "2024-01-15T10:01:30Z"}
    assert await get_channels(api, uuid) == [phone, {**email, **changed}]


async def test_put_frees_the_old_address(api: Api) -> None:
    uuid = await api.contact(PHONE)
    await api.request("PUT", f"/v2/contact/{uuid}/channel", channel_body(OTHER_PHONE))

    other = await api.contact(PHONE)

    assert channel_ids(await api.request("GET", f"/v2/contact/{other}/channels")) == [PHONE[1]]


async def test_put_stores_a_new_spelling_of_the_same_address(api: Api) -> None:
    uuid = await api.contact(EMAIL)
    [before] = await get_channels(api, uuid)
    api.clock.forward(60)

    response = await api.request(
        "PUT", f"/v2/contact/{uuid}/channel", channel_body(("email", "ALICE@Example.com"))
    )

    assert channel_ids(response) == ["ALICE@example.com"]
    [after] = await get_channels(api, uuid)
    assert after["id"] == before["id"]
    assert after["updated"] > before["updated"]


@pytest.mark.parametrize("query", ["", "?channel_id=15105553344"])
async def test_put_creates_no_channel_of_a_new_type(api: Api, query: str) -> None:
    uuid = await api.contact(EMAIL)

    response = await api.request("PUT", f"/v2/contact/{uuid}/channel{query}", channel_body(PHONE))

    assert refusal(response) == (404, "not_found", "no_channel")
    assert [channel["channel_id"] for channel in await get_channels(api, uuid)] == [EMAIL[1]]


async def test_put_of_an_address_of_a_sibling_channel_is_a_conflict(api: Api) -> None:
    uuid = await api.contact(PHONE, OTHER_PHONE)
    before = await get_channels(api, uuid), await rev(api, uuid)

    response = await api.request(
        "PUT", f"/v2/contact/{uuid}/channel", channel_body(("phone", "+1 415 555 1234"))
    )

    assert refusal(response) == (409, "conflict", "address_taken")
    error = response.json()
    assert error["conflicting_contact_id"] == uuid
    assert error["conflicting_channel_id"] == f"ch_{before[0][1]['id']:03d}"
    assert error["channel_id"] == OTHER_PHONE[1]
    assert (await get_channels(api, uuid), await rev(api, uuid)) == before


# ── DELETE ───────────────────────────────────────────────────────────────────────────────────


async def test_delete_returns_the_remaining_channels(api: Api) -> None:
    uuid = await api.contact(PHONE, EMAIL)
    path = f"/v2/contact/{uuid}/channel/email"

    response = await api.request("DELETE", path)

    assert channel_ids(response) == [PHONE[1]]
    assert "x-contact-reachable" not in response.headers
    assert refusal(await api.request("DELETE", path)) == (404, "not_found", "no_channel")
    assert refusal(await api.request("GET", path)) == (404, "not_found", "no_channel")
    assert channel_ids(await api.request("GET", f"/v2/contact/{await api.contact(EMAIL)}/channels"))


async def test_deleting_the_last_channel_is_reported_in_a_header(api: Api) -> None:
    uuid = await api.contact(PHONE)

    response = await api.request("DELETE", f"/v2/contact/{uuid}/channel/phone")

    assert channel_ids(response) == []
    assert response.headers["x-contact-reachable"] == "false"
    assert channel_ids(await api.request("GET", f"/v2/contact/{uuid}/channels")) == []


async def test_a_channel_id_is_never_reused(api: Api) -> None:
    uuid = await api.contact(PHONE)
    [before] = await get_channels(api, uuid)
    await api.request("DELETE", f"/v2/contact/{uuid}/channel/phone")
    await api.request("POST", f"/v2/contact/{uuid}/channel", channel_body(PHONE))

    assert (await get_channels(api, uuid))[0]["id"] > before["id"]
