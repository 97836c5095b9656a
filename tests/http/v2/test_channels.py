"""The five operations of the seeds, on both stores."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.personas import ALICE, NOBODY, Api

pytestmark = pytest.mark.anyio

PHONE, EMAIL = ("phone", "15105553344"), ("email", "alice@example.com")
OTHER_PHONE = ("phone", "14155551234")


def body(channel: tuple[str, str], **fields: object) -> dict[str, object]:
    return {"channel_type": channel[0], "channel_id": channel[1], **fields}


def values(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["channel_id"] for one in answer.json()]


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    said = answer.json()
    return answer.status_code, said["error"], said["error_code"]


async def rev(api: Api, uuid: str) -> int:
    return int((await api.request("GET", f"/v2/contact/{uuid}")).json()["rev"])


async def listed(api: Api, uuid: str) -> Any:
    """All nine keys of each channel."""
    return (
        await api.request("GET", f"/v2/contact/{uuid}/channels?representation=integer_ids")
    ).json()


async def test_it_works(api: Api) -> None:
    uuid = await api.contact(("phone", "+1 510-555-3344"))

    answer = await api.request(
        "POST",
        f"/v2/contact/{uuid}/channel",
        {"channel_type": "email", "channel_id": "alice@example.com"},
    )

    assert answer.status_code == 200, answer.text
    assert [one["channel_id"] for one in answer.json()] == ["15105553344", "alice@example.com"]


# ── the contact in the path ──────────────────────────────────────────────────────────────────


async def test_the_uuid_may_be_in_any_letter_case(api: Api) -> None:
    uuid = await api.contact(PHONE)

    assert values(await api.request("GET", f"/v2/contact/{uuid.upper()}/channels")) == [PHONE[1]]


@pytest.mark.parametrize("uuid", [NOBODY, ALICE, "00000000-0000-0000-0000-000000000000"])
async def test_a_uuid_of_any_version_is_taken_and_unknown(api: Api, uuid: str) -> None:
    answer = await api.request("GET", f"/v2/contact/{uuid}/channels")

    assert refusal(answer) == (404, "not_found", "no_contact")


@pytest.mark.parametrize(
    "text",
    ["alice", NOBODY.replace("-", ""), f"{{{NOBODY}}}", f"urn:uuid:{NOBODY}", NOBODY[:-1],
     NOBODY + "0", NOBODY.replace("0", "g"), NOBODY.replace("0", "\u0660"), f"{NOBODY}%0A"],
)  # fmt: skip
async def test_anything_else_is_no_uuid(api: Api, text: str) -> None:
    answer = await api.request("GET", f"/v2/contact/{text}/channels")

    assert refusal(answer) == (400, "bad_data", "bad_uuid")
    assert answer.json()["fields"] == {"contactID": "not a UUID"}


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
async def test_an_integer_is_told_that_the_path_takes_the_uuid(api: Api, method: str) -> None:
    tail = "channel" if method in ("POST", "PUT") else "channel/phone"
    answer = await api.request(method, f"/v2/contact/123/{tail}", body(PHONE))

    assert refusal(answer) == (400, "bad_data", "bad_uuid")
    assert "UUID, not the integer id" in answer.json()["message"]


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
async def test_adding_what_is_there_writes_nothing(
    api: Api, first: tuple[str, str], again: str
) -> None:
    uuid = await api.contact(first)
    before = await listed(api, uuid), await rev(api, uuid)
    api.clock.forward(60)

    answer = await api.request("POST", f"/v2/contact/{uuid}/channel", body((first[0], again)))

    assert values(answer) == [first[1]]
    assert (await listed(api, uuid), await rev(api, uuid)) == before


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [({}, ("@alice", "page-1")), ({"channel_handle": "@a"}, ("@a", "page-1")),
     ({"info_channel": "page-2"}, ("@alice", "page-2")),
     ({"channel_handle": "", "info_channel": None}, ("", "")),
     ({"channel_handle": None}, ("", "page-1")), ({"info_channel": ""}, ("@alice", ""))],
)  # fmt: skip
async def test_a_supplied_field_is_kept_and_an_absent_one_left(
    api: Api, method: str, sent: dict[str, object], kept: tuple[str, str]
) -> None:
    uuid = await api.contact()
    path, channel = f"/v2/contact/{uuid}/channel", ("facebook", "100")
    await api.request("POST", path, body(channel, channel_handle="@alice", info_channel="page-1"))
    revision = await rev(api, uuid)
    api.clock.forward(60)

    answer = await api.request(method, f"{path}?representation=integer_ids", body(channel, **sent))

    [one] = answer.json()
    assert (one["channel_handle"], one["info_channel"]) == kept
    assert (one["updated"] > one["created"], await rev(api, uuid) - revision) == (
        (True, 1) if sent else (False, 0)
    )


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
async def test_a_client_may_send_a_whole_object_back(
    api: Api, method: str, representation: str
) -> None:
    uuid = await api.contact(PHONE, EMAIL)
    before = await listed(api, uuid), await rev(api, uuid)
    path = f"/v2/contact/{uuid}/channel"
    whole = (await api.request("GET", f"{path}/email?representation={representation}")).json()

    answer = await api.request(method, path, {**whole, "unheard": {"of": [None]}})

    assert values(answer) == [PHONE[1], EMAIL[1]]
    assert (await listed(api, uuid), await rev(api, uuid)) == before


async def test_lists_run_oldest_first_and_times_are_whole_seconds(api: Api) -> None:
    api.clock.set("2024-01-15T10:00:00Z")
    uuid = await api.contact(EMAIL)
    for second, channel in enumerate([PHONE, ("facebook", "9"), OTHER_PHONE], start=1):
        api.clock.forward(0.9 if second == 1 else 1)
        await api.request("POST", f"/v2/contact/{uuid}/channel", body(channel))

    shown = await listed(api, uuid)

    assert [one["channel_id"] for one in shown] == [EMAIL[1], PHONE[1], "9", OTHER_PHONE[1]]
    assert [one["created"][-4:] for one in shown] == [":00Z", ":00Z", ":01Z", ":02Z"]


# ── PUT ──────────────────────────────────────────────────────────────────────────────────────


async def test_put_replaces_the_address_and_keeps_id_and_created(api: Api) -> None:
    api.clock.set("2024-01-15T10:00:00Z")
    uuid = await api.contact(PHONE, EMAIL)
    [phone, email] = await listed(api, uuid)
    api.clock.forward(90)

    answer = await api.request(
        "PUT", f"/v2/contact/{uuid}/channel", body(("email", "new@example.com"))
    )

    assert values(answer) == [PHONE[1], "new@example.com"]
    changed = {"channel_id": "new@example.com", "updated": "2024-01-15T10:01:30Z"}
    assert await listed(api, uuid) == [phone, {**email, **changed}]


async def test_put_frees_the_old_address(api: Api) -> None:
    uuid = await api.contact(PHONE)
    await api.request("PUT", f"/v2/contact/{uuid}/channel", body(OTHER_PHONE))

    other = await api.contact(PHONE)

    assert values(await api.request("GET", f"/v2/contact/{other}/channels")) == [PHONE[1]]


async def test_put_rewrites_a_new_spelling_of_the_same_identity(api: Api) -> None:
    uuid = await api.contact(EMAIL)
    [before] = await listed(api, uuid)
    api.clock.forward(60)

    answer = await api.request(
        "PUT", f"/v2/contact/{uuid}/channel", body(("email", "ALICE@Example.com"))
    )

    assert values(answer) == ["ALICE@example.com"]
    [after] = await listed(api, uuid)
    assert after["id"] == before["id"]
    assert after["updated"] > before["updated"]


@pytest.mark.parametrize("query", ["", "?channel_id=15105553344"])
async def test_put_of_a_type_that_the_contact_lacks_creates_nothing(api: Api, query: str) -> None:
    uuid = await api.contact(EMAIL)

    answer = await api.request("PUT", f"/v2/contact/{uuid}/channel{query}", body(PHONE))

    assert refusal(answer) == (404, "not_found", "no_channel")
    assert [one["channel_id"] for one in await listed(api, uuid)] == [EMAIL[1]]


async def test_put_of_an_address_that_another_own_channel_has_names_it(api: Api) -> None:
    uuid = await api.contact(PHONE, OTHER_PHONE)
    before = await listed(api, uuid), await rev(api, uuid)

    answer = await api.request(
        "PUT", f"/v2/contact/{uuid}/channel", body(("phone", "+1 415 555 1234"))
    )

    assert refusal(answer) == (409, "conflict", "address_taken")
    said = answer.json()
    assert said["conflicting_contact_id"] == uuid
    assert said["conflicting_channel_id"] == f"ch_{before[0][1]['id']:03d}"
    assert said["channel_id"] == OTHER_PHONE[1]
    assert (await listed(api, uuid), await rev(api, uuid)) == before


# ── DELETE ───────────────────────────────────────────────────────────────────────────────────


async def test_delete_answers_with_what_is_left(api: Api) -> None:
    uuid = await api.contact(PHONE, EMAIL)
    path = f"/v2/contact/{uuid}/channel/email"

    answer = await api.request("DELETE", path)

    assert values(answer) == [PHONE[1]]
    assert "x-contact-reachable" not in answer.headers
    assert refusal(await api.request("DELETE", path)) == (404, "not_found", "no_channel")
    assert refusal(await api.request("GET", path)) == (404, "not_found", "no_channel")
    assert values(await api.request("GET", f"/v2/contact/{await api.contact(EMAIL)}/channels"))


async def test_the_last_channel_may_go_and_the_answer_says_so(api: Api) -> None:
    uuid = await api.contact(PHONE)

    answer = await api.request("DELETE", f"/v2/contact/{uuid}/channel/phone")

    assert values(answer) == []
    assert answer.headers["x-contact-reachable"] == "false"
    assert values(await api.request("GET", f"/v2/contact/{uuid}/channels")) == []


async def test_a_number_is_never_given_twice(api: Api) -> None:
    uuid = await api.contact(PHONE)
    [before] = await listed(api, uuid)
    await api.request("DELETE", f"/v2/contact/{uuid}/channel/phone")
    await api.request("POST", f"/v2/contact/{uuid}/channel", body(PHONE))

    assert (await listed(api, uuid))[0]["id"] > before["id"]
