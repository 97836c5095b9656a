"""The five operations of the seeds, on both stores."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.personas import ALICE, NOBODY, Book

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


async def rev(book: Book, uuid: str) -> int:
    return int((await book.ask("GET", f"/v2/contact/{uuid}")).json()["rev"])


async def listed(book: Book, uuid: str) -> Any:
    """All nine keys of each channel."""
    return (await book.ask("GET", f"/v2/contact/{uuid}/channels?representation=integer_ids")).json()


async def test_it_works(book: Book) -> None:
    uuid = await book.contact(("phone", "+1 510-555-3344"))

    answer = await book.ask(
        "POST",
        f"/v2/contact/{uuid}/channel",
        {"channel_type": "email", "channel_id": "alice@example.com"},
    )

    assert answer.status_code == 200, answer.text
    assert [one["channel_id"] for one in answer.json()] == ["15105553344", "alice@example.com"]


# ── the contact in the path ──────────────────────────────────────────────────────────────────


async def test_the_uuid_may_be_in_any_letter_case(book: Book) -> None:
    uuid = await book.contact(PHONE)

    assert values(await book.ask("GET", f"/v2/contact/{uuid.upper()}/channels")) == [PHONE[1]]


@pytest.mark.parametrize("uuid", [NOBODY, ALICE, "00000000-0000-0000-0000-000000000000"])
async def test_a_uuid_of_any_version_is_taken_and_unknown(book: Book, uuid: str) -> None:
    answer = await book.ask("GET", f"/v2/contact/{uuid}/channels")

    assert refusal(answer) == (404, "not_found", "no_contact")


@pytest.mark.parametrize(
    "text",
    ["alice", NOBODY.replace("-", ""), f"{{{NOBODY}}}", f"urn:uuid:{NOBODY}", NOBODY[:-1],
     NOBODY + "0", NOBODY.replace("0", "g"), NOBODY.replace("0", "\u0660"), f"{NOBODY}%0A"],
)  # fmt: skip
async def test_anything_else_is_no_uuid(book: Book, text: str) -> None:
    answer = await book.ask("GET", f"/v2/contact/{text}/channels")

    assert refusal(answer) == (400, "bad_data", "bad_uuid")
    assert answer.json()["fields"] == {"contactID": "not a UUID"}


@pytest.mark.parametrize("method", ["POST", "PUT", "GET", "DELETE"])
async def test_an_integer_is_told_that_the_path_takes_the_uuid(book: Book, method: str) -> None:
    tail = "channel" if method in ("POST", "PUT") else "channel/phone"
    answer = await book.ask(method, f"/v2/contact/123/{tail}", body(PHONE))

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
    book: Book, first: tuple[str, str], again: str
) -> None:
    uuid = await book.contact(first)
    before = await listed(book, uuid), await rev(book, uuid)
    book.clock.forward(60)

    answer = await book.ask("POST", f"/v2/contact/{uuid}/channel", body((first[0], again)))

    assert values(answer) == [first[1]]
    assert (await listed(book, uuid), await rev(book, uuid)) == before


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [({}, ("@alice", "page-1")), ({"channel_handle": "@a"}, ("@a", "page-1")),
     ({"info_channel": "page-2"}, ("@alice", "page-2")),
     ({"channel_handle": "", "info_channel": None}, ("", "")),
     ({"channel_handle": None}, ("", "page-1")), ({"info_channel": ""}, ("@alice", ""))],
)  # fmt: skip
async def test_a_supplied_field_is_kept_and_an_absent_one_left(
    book: Book, method: str, sent: dict[str, object], kept: tuple[str, str]
) -> None:
    uuid = await book.contact()
    path, channel = f"/v2/contact/{uuid}/channel", ("facebook", "100")
    await book.ask("POST", path, body(channel, channel_handle="@alice", info_channel="page-1"))
    revision = await rev(book, uuid)
    book.clock.forward(60)

    answer = await book.ask(method, f"{path}?representation=integer_ids", body(channel, **sent))

    [one] = answer.json()
    assert (one["channel_handle"], one["info_channel"]) == kept
    assert (one["updated"] > one["created"], await rev(book, uuid) - revision) == (
        (True, 1) if sent else (False, 0)
    )


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
async def test_a_client_may_send_a_whole_object_back(
    book: Book, method: str, representation: str
) -> None:
    uuid = await book.contact(PHONE, EMAIL)
    before = await listed(book, uuid), await rev(book, uuid)
    path = f"/v2/contact/{uuid}/channel"
    whole = (await book.ask("GET", f"{path}/email?representation={representation}")).json()

    answer = await book.ask(method, path, {**whole, "unheard": {"of": [None]}})

    assert values(answer) == [PHONE[1], EMAIL[1]]
    assert (await listed(book, uuid), await rev(book, uuid)) == before


async def test_lists_run_oldest_first_and_times_are_whole_seconds(book: Book) -> None:
    book.clock.set("2024-01-15T10:00:00Z")
    uuid = await book.contact(EMAIL)
    for second, channel in enumerate([PHONE, ("facebook", "9"), OTHER_PHONE], start=1):
        book.clock.forward(0.9 if second == 1 else 1)
        await book.ask("POST", f"/v2/contact/{uuid}/channel", body(channel))

    shown = await listed(book, uuid)

    assert [one["channel_id"] for one in shown] == [EMAIL[1], PHONE[1], "9", OTHER_PHONE[1]]
    assert [one["created"][-4:] for one in shown] == [":00Z", ":00Z", ":01Z", ":02Z"]


# ── PUT ──────────────────────────────────────────────────────────────────────────────────────


async def test_put_replaces_the_address_and_keeps_id_and_created(book: Book) -> None:
    book.clock.set("2024-01-15T10:00:00Z")
    uuid = await book.contact(PHONE, EMAIL)
    [phone, email] = await listed(book, uuid)
    book.clock.forward(90)

    answer = await book.ask(
        "PUT", f"/v2/contact/{uuid}/channel", body(("email", "new@example.com"))
    )

    assert values(answer) == [PHONE[1], "new@example.com"]
    changed = {"channel_id": "new@example.com", "updated": "2024-01-15T10:01:30Z"}
    assert await listed(book, uuid) == [phone, {**email, **changed}]


async def test_put_frees_the_old_address(book: Book) -> None:
    uuid = await book.contact(PHONE)
    await book.ask("PUT", f"/v2/contact/{uuid}/channel", body(OTHER_PHONE))

    other = await book.contact(PHONE)

    assert values(await book.ask("GET", f"/v2/contact/{other}/channels")) == [PHONE[1]]


async def test_put_rewrites_a_new_spelling_of_the_same_identity(book: Book) -> None:
    uuid = await book.contact(EMAIL)
    [before] = await listed(book, uuid)
    book.clock.forward(60)

    answer = await book.ask(
        "PUT", f"/v2/contact/{uuid}/channel", body(("email", "ALICE@Example.com"))
    )

    assert values(answer) == ["ALICE@example.com"]
    [after] = await listed(book, uuid)
    assert after["id"] == before["id"]
    assert after["updated"] > before["updated"]


@pytest.mark.parametrize("query", ["", "?channel_id=15105553344"])
async def test_put_of_a_type_that_the_contact_lacks_creates_nothing(book: Book, query: str) -> None:
    uuid = await book.contact(EMAIL)

    answer = await book.ask("PUT", f"/v2/contact/{uuid}/channel{query}", body(PHONE))

    assert refusal(answer) == (404, "not_found", "no_channel")
    assert [one["channel_id"] for one in await listed(book, uuid)] == [EMAIL[1]]


async def test_put_of_an_address_that_another_own_channel_has_names_it(book: Book) -> None:
    uuid = await book.contact(PHONE, OTHER_PHONE)
    before = await listed(book, uuid), await rev(book, uuid)

    answer = await book.ask(
        "PUT", f"/v2/contact/{uuid}/channel", body(("phone", "+1 415 555 1234"))
    )

    assert refusal(answer) == (409, "conflict", "address_taken")
    said = answer.json()
    assert said["conflicting_contact_id"] == uuid
    assert said["conflicting_channel_id"] == f"ch_{before[0][1]['id']:03d}"
    assert said["channel_id"] == OTHER_PHONE[1]
    assert (await listed(book, uuid), await rev(book, uuid)) == before


# ── DELETE ───────────────────────────────────────────────────────────────────────────────────


async def test_delete_answers_with_what_is_left(book: Book) -> None:
    uuid = await book.contact(PHONE, EMAIL)
    path = f"/v2/contact/{uuid}/channel/email"

    answer = await book.ask("DELETE", path)

    assert values(answer) == [PHONE[1]]
    assert "x-contact-reachable" not in answer.headers
    assert refusal(await book.ask("DELETE", path)) == (404, "not_found", "no_channel")
    assert refusal(await book.ask("GET", path)) == (404, "not_found", "no_channel")
    assert values(await book.ask("GET", f"/v2/contact/{await book.contact(EMAIL)}/channels"))


async def test_the_last_channel_may_go_and_the_answer_says_so(book: Book) -> None:
    uuid = await book.contact(PHONE)

    answer = await book.ask("DELETE", f"/v2/contact/{uuid}/channel/phone")

    assert values(answer) == []
    assert answer.headers["x-contact-reachable"] == "false"
    assert values(await book.ask("GET", f"/v2/contact/{uuid}/channels")) == []


async def test_a_number_is_never_given_twice(book: Book) -> None:
    uuid = await book.contact(PHONE)
    [before] = await listed(book, uuid)
    await book.ask("DELETE", f"/v2/contact/{uuid}/channel/phone")
    await book.ask("POST", f"/v2/contact/{uuid}/channel", body(PHONE))

    assert (await listed(book, uuid))[0]["id"] > before["id"]
