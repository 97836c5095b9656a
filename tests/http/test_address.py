"""Addresses as a client meets them: what is taken, refused, ambiguous or owned (section 3)."""

from __future__ import annotations

import httpx
import pytest

from cast import Asker, Book, asker
from reachbook.administration import Terms
from reachbook.credential import Representation

pytestmark = pytest.mark.anyio

EGYPT_OR_US = "2025550123"


def channel(kind: object, value: object, **fields: object) -> dict[str, object]:
    return {"channel_type": kind, "channel_id": value, **fields}


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    said = answer.json()
    return answer.status_code, said["error"], said["error_code"]


async def stored(book: Book, kind: str, value: str) -> httpx.Response:
    uuid = await book.contact()
    return await book.ask("POST", f"/v2/contact/{uuid}/channel", channel(kind, value))


@pytest.mark.parametrize(
    ("kind", "sent", "returned"),
    [
        ("phone", "+1 510-555-3344", "15105553344"),
        ("phone", "  1.510.555.3344 ", "15105553344"),
        ("phone", "1(510)555/3344", "15105553344"),
        ("phone", "15550100123", "15550100123"),
        ("phone", "5215512345678", "525512345678"),
        ("phone", "+5491123456789", "5491123456789"),
        ("phone", "551133334444", "551133334444"),
        ("sms", "+1 510 555 3344", "15105553344"),
        ("rcs", "+1 510 555 3344", "15105553344"),
        ("viber", "+1 510 555 3344", "15105553344"),
        ("viber", "abc==", "abc=="),
        ("whatsapp", "BR.1234", "BR.1234"),
        ("email", "Alice.B+tag@EXAMPLE.com", "Alice.B+tag@example.com"),
        ("email", "a@b.test", "a@b.test"),
        ("email", "e\u0301@xn--bcher-kva.example", "\u00e9@bücher.example"),
        ("facebook", " as Given\u202e ", " as Given\u202e "),
        ("a_b-9", "\U0001f600" * 255, "\U0001f600" * 255),
    ],
)
async def test_it_is_stored_and_returned(book: Book, kind: str, sent: str, returned: str) -> None:
    answer = await stored(book, kind, sent)

    assert answer.status_code == 200, answer.text
    assert [(one["channel_type"], one["channel_id"]) for one in answer.json()] == [(kind, returned)]


@pytest.mark.parametrize(
    ("kind", "sent", "code", "example"),
    [
        ("phone", "alice", "bad_phone", "15105553344"),
        ("phone", "0015105553344", "bad_phone", "15105553344"),
        ("phone", "tel:+15105553344", "bad_phone", "15105553344"),
        ("phone", "15105553344;ext=1", "bad_phone", "15105553344"),
        ("phone", "1510555334\u0664", "bad_phone", "15105553344"),
        ("phone", "++15105553344", "bad_phone", "15105553344"),
        ("phone", "+", "bad_phone", "15105553344"),
        ("phone", "", "bad_phone", "15105553344"),
        ("phone", "5105553344\n", "bad_phone", "15105553344"),
        ("phone", "999123456789", "bad_phone", "15105553344"),
        ("phone", "1510555", "bad_phone", "15105553344"),
        ("whatsapp", "123", "bad_phone", "15105553344"),
        ("viber", "0015105553344", "bad_phone", "15105553344"),
        ("rcs", "abc", "bad_phone", "15105553344"),
        ("email", "alice", "bad_email", "alice@example.com"),
        ("email", '"a b"@example.com', "bad_email", "alice@example.com"),
        ("email", "a@[127.0.0.1]", "bad_email", "alice@example.com"),
        ("email", "a@localhost", "bad_email", "alice@example.com"),
        ("email", "a@my_host.example", "bad_email", "alice@example.com"),
        ("email", "a" * 65 + "@example.com", "bad_email", "alice@example.com"),
        ("email", "a@" + "b" * 60 + ".c" * 100, "bad_email", "alice@example.com"),
        ("email", "Alice <alice@example.com>", "bad_email", "alice@example.com"),
        ("email", "a\u0000@example.com", "bad_email", "alice@example.com"),
        ("facebook", "", "bad_channel_id", "1789004512"),
        ("facebook", "a" * 256, "bad_channel_id", "1789004512"),
        ("facebook", "a\u0000", "bad_channel_id", "1789004512"),
        ("facebook", "a\u0085", "bad_channel_id", "1789004512"),
    ],
)
async def test_a_refusal_shows_an_example_of_what_would_be_taken(
    book: Book, kind: str, sent: str, code: str, example: str
) -> None:
    answer = await stored(book, kind, sent)

    assert refusal(answer) == (400, "bad_data", code)
    assert example in answer.json()["message"]
    assert list(answer.json()["fields"]) == ["channel_id"]


@pytest.mark.parametrize(
    "kind", ["id", "", "Phone", "1a", "_a", "a" * 33, "a b", "phone\n", "télé", "a\u0000"]
)
async def test_a_channel_type_is_a_plain_name_and_never_id(book: Book, kind: str) -> None:
    answer = await stored(book, kind, "15105553344")

    assert refusal(answer) == (400, "bad_data", "bad_channel_type")
    assert list(answer.json()["fields"]) == ["channel_type"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("kind", ["id", "Phone", "1a", "a" * 33, "a%20b", "phone%0A", "%00", "%FF"])
async def test_so_in_the_path(book: Book, method: str, kind: str) -> None:
    uuid = await book.contact(("phone", "15105553344"))

    answer = await book.ask(method, f"/v2/contact/{uuid}/channel/{kind}")

    assert refusal(answer) == (400, "bad_data", "bad_channel_type")


@pytest.mark.parametrize("field", ["channel_handle", "info_channel"])
@pytest.mark.parametrize("value", ["a\u0000", "\u007f", "a\u009f"])
async def test_no_store_is_handed_what_the_other_would_treat_differently(
    book: Book, field: str, value: str
) -> None:
    uuid = await book.contact()
    wanted = channel("facebook", "1", **{field: value})

    answer = await book.ask("POST", f"/v2/contact/{uuid}/channel", wanted)

    assert refusal(answer) == (400, "bad_data", "bad_value")
    assert list(answer.json()["fields"]) == [field]


@pytest.mark.parametrize(
    "field", ["channel_type", "channel_id", "channel_handle", "info_channel", "unheard"]
)
@pytest.mark.parametrize("half", ["\ud800", "a\udfff", "\udc00\ud800"])
async def test_half_of_a_surrogate_pair_is_no_text(book: Book, field: str, half: str) -> None:
    uuid = await book.contact()
    wanted = {**channel("facebook", "1"), field: half}

    answer = await book.ask("POST", f"/v2/contact/{uuid}/channel", wanted)

    assert refusal(answer)[:2] == (400, "bad_data")


# ── ambiguous digits ─────────────────────────────────────────────────────────────────────────


async def americans(book: Book) -> Asker:
    return await asker(book.administration, "A team at home in the US", book.clock, region="US")


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_digits_that_could_be_two_numbers_are_refused_with_both(
    book: Book, method: str
) -> None:
    us = (await americans(book)).by_key()
    uuid = await book.contact(("phone", "15105553344"), by=us)

    answer = await book.ask(
        method, f"/v2/contact/{uuid}/channel", channel("phone", EGYPT_OR_US), by=us
    )

    assert refusal(answer) == (400, "bad_data", "ambiguous")
    for reading in ("+2025550123", "+12025550123"):
        assert reading in answer.json()["message"]
    assert answer.json()["readings"] == ["+2025550123", "+12025550123"]
    assert list(answer.json()["fields"]) == ["channel_id"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("+12025550123", "12025550123"),
        ("12025550123", "12025550123"),
        ("+2025550123", "2025550123"),
    ],
)
async def test_a_plus_or_a_valid_international_number_is_certain(
    book: Book, sent: str, kept: str
) -> None:
    us = (await americans(book)).by_key()
    uuid = await book.contact(("phone", sent), by=us)

    answer = await book.ask("GET", f"/v2/contact/{uuid}/channels", by=us)

    assert [one["channel_id"] for one in answer.json()] == [kept]


async def test_a_team_without_a_region_takes_digits_as_they_stand(book: Book) -> None:
    answer = await stored(book, "phone", EGYPT_OR_US)

    assert answer.json()[0]["channel_id"] == EGYPT_OR_US


async def test_ambiguity_spares_look_ups_and_what_the_contact_has(book: Book) -> None:
    """The number was taken before the team said where it is at home."""
    team = book.bob.team.team_id
    uuid = await book.contact(("phone", EGYPT_OR_US))
    await book.administration.set_team(team, None, "US")
    _, api_key = await book.administration.create_key(team, Terms(Representation.STRING_IDS))
    us = {"authorization": f"Bearer {api_key}"}
    path = f"/v2/contact/{uuid}/channel"

    for method in ("POST", "PUT"):
        wanted = channel("phone", EGYPT_OR_US, channel_handle=method)
        answer = await book.ask(method, path, wanted, by=us)
        assert [one["channel_handle"] for one in answer.json()] == [method], answer.text
    for method in ("GET", "DELETE"):
        answer = await book.ask(method, f"{path}/phone?channel_id={EGYPT_OR_US}", by=us)
        assert answer.status_code == 200, answer.text


# ── one owner ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("owned", "wanted"),
    [
        (("phone", "15105553344"), "+1 510 555 3344"),
        (("phone", "5491123456789"), "541123456789"),
        (("phone", "5511987654321"), "551187654321"),
        (("email", "Alice@example.com"), "alice@EXAMPLE.com"),
        (("facebook", "100"), "100"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_an_identity_has_one_owner_and_the_refusal_names_it(
    book: Book, method: str, owned: tuple[str, str], wanted: str
) -> None:
    kind, address = owned
    owner = await book.contact(owned)
    theirs = (await book.ask("GET", f"/v2/contact/{owner}/channels")).json()
    mine = {"phone": "14155551234", "email": "bob@example.com", "facebook": "200"}[kind]
    uuid = await book.contact((kind, mine))

    answer = await book.ask(method, f"/v2/contact/{uuid}/channel", channel(kind, wanted))

    assert refusal(answer) == (409, "conflict", "address_taken")
    said = answer.json()
    assert said["conflicting_contact_id"] == owner
    assert said["conflicting_channel_id"] == theirs[0]["id"]
    assert said["channel_id"] == address
    assert list(said["fields"]) == ["channel_id"]
    left = (await book.ask("GET", f"/v2/contact/{uuid}/channels")).json()
    assert [one["channel_id"] for one in left] == [mine]


@pytest.mark.parametrize("kind", ["facebook", "telegram"])
async def test_the_ids_of_two_pages_are_two_identities(book: Book, kind: str) -> None:
    one, two = await book.contact(), await book.contact()
    for uuid, page in ((one, "page-1"), (two, "page-2")):
        wanted = channel(kind, "100", info_channel=page)
        answer = await book.ask("POST", f"/v2/contact/{uuid}/channel", wanted)
        assert answer.status_code == 200, answer.text
    into_the_other = channel(kind, "100", info_channel="page-1")

    answer = await book.ask("PUT", f"/v2/contact/{two}/channel", into_the_other)

    assert refusal(answer) == (409, "conflict", "address_taken")
    assert answer.json()["conflicting_contact_id"] == one


@pytest.mark.parametrize("kind", ["phone", "sms", "whatsapp", "viber", "rcs", "email"])
async def test_no_page_makes_a_second_identity_of_a_phone_or_an_email(
    book: Book, kind: str
) -> None:
    value = "alice@example.com" if kind == "email" else "15105553344"
    one, two = await book.contact((kind, value)), await book.contact()
    wanted = channel(kind, value, info_channel="page-2")

    answer = await book.ask("POST", f"/v2/contact/{two}/channel", wanted)

    assert refusal(answer) == (409, "conflict", "address_taken")
    assert answer.json()["conflicting_contact_id"] == one


async def test_one_number_under_two_types_is_two_identities(book: Book) -> None:
    await book.contact(("phone", "15105553344"))

    assert (await stored(book, "sms", "15105553344")).status_code == 200
