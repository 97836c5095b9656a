"""Lists by time of change, and search by address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import refusal
from tests.support.personas import Asker, Book

pytestmark = pytest.mark.anyio

PHONE, EMAIL = "15105553344", "alice@example.com"


async def listed(book: Book, body: object, by: Asker | None = None) -> list[Any]:
    answer = await book.ask("POST", "/v2/contacts/list", body, by=(by or book.bob).by_key())
    assert answer.status_code == 200, answer.text
    return list(answer.json())


async def searched(book: Book, *entries: object, by: Asker | None = None) -> list[str]:
    body = {"contact_channels": entries}
    answer = await book.ask("POST", "/v2/contacts/search", body, by=(by or book.bob).by_key())
    assert answer.status_code == 200, answer.text
    return [one["uuid"] for one in answer.json()]


async def walked(book: Book, *, limit: int, ascending: bool) -> list[list[str]]:
    """Every page of a list, each begun with the `updated` of the last row as it was."""
    pages: list[list[str]] = []
    date = None
    for _ in range(20):
        page = await listed(book, {"limit": limit, "ascending": ascending, "date": date})
        if not page:
            return pages
        pages.append([one["uuid"] for one in page])
        date = page[-1]["updated"]
    raise AssertionError(pages)


async def in_moments(book: Book, *counts: int) -> list[list[str]]:
    """Contacts made in groups; each group shares one instant, in a second of its own."""
    made = []
    for count in counts:
        book.clock.forward(1)
        made.append([await book.contact() for _ in range(count)])
    return made


# ── list ─────────────────────────────────────────────────────────────────────────────────────


async def test_it_works(book: Book) -> None:
    """Newest first by default, thirty of them, each a whole Contact."""
    made = await in_moments(book, *[1] * 32)
    expected = [group[0] for group in reversed(made)]

    page = await listed(book, {})

    assert [one["uuid"] for one in page] == expected[:30]
    assert page[0] == (await book.ask("GET", f"/v2/contact/{expected[0]}")).json()
    rest = await listed(book, {"date": page[-1]["updated"]})
    assert [one["uuid"] for one in rest] == expected[30:]


async def test_a_body_may_be_left_out(book: Book) -> None:
    uuid = await book.contact()
    answer = await book.ask("POST", "/v2/contacts/list")
    assert [one["uuid"] for one in answer.json()] == [uuid]


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 500])
async def test_a_page_never_ends_inside_an_instant(
    book: Book, limit: int, *, ascending: bool
) -> None:
    groups = await in_moments(book, 1, 3, 2, 1)
    order = groups if ascending else groups[::-1]

    pages = await walked(book, limit=limit, ascending=ascending)

    seen = [uuid for page in pages for uuid in page]
    assert sorted(seen) == sorted(uuid for group in groups for uuid in group)
    where = {uuid: number for number, group in enumerate(order) for uuid in group}
    assert [where[uuid] for uuid in seen] == sorted(where.values())
    for page in pages:
        assert {where[uuid] for uuid in page}.isdisjoint(
            {where[uuid] for other in pages if other is not page for uuid in other}
        )
    assert all(len(page) >= limit for page in pages[:-1])


async def test_a_change_moves_a_contact_to_the_new_end(book: Book) -> None:
    first, second = [group[0] for group in await in_moments(book, 1, 1)]
    book.clock.forward(1)
    await book.ask(
        "POST",
        f"/v2/contact/{first}/channel",
        {"channel_type": "phone", "channel_id": PHONE},
    )

    rows = await listed(book, {"ascending": True})

    assert [one["uuid"] for one in rows] == [second, first]
    assert [one["phone"] for one in rows] == ["", PHONE]


async def test_any_spelling_of_the_moment_is_taken(book: Book) -> None:
    book.clock.set("2026-01-02T10:00:00+00:00")
    early = await book.contact()
    book.clock.forward(1)
    late = await book.contact()
    dates = ("2026-01-02T10:00:00.000Z", "2026-01-02T12:00:00.000000+02:00")
    for date in dates:
        rows = await listed(book, {"date": date, "ascending": True})
        assert [one["uuid"] for one in rows] == [late]
        assert await listed(book, {"date": date}) == []
    after = {"date": "2026-01-02T10:00:00.000001Z"}
    assert [one["uuid"] for one in await listed(book, after)] == [early]


async def test_deleted_and_foreign_contacts_are_not_listed(book: Book) -> None:
    kept, gone = await book.contact(), await book.contact()
    own = await book.contact(by=book.charlie.by_key())
    await book.ask("DELETE", f"/v2/contact/{gone}")

    assert [one["uuid"] for one in await listed(book, {})] == [kept]
    assert [one["uuid"] for one in await listed(book, {}, book.charlie)] == [own]


@pytest.mark.parametrize(
    ("body", "expected", "field"),
    [
        ({"limit": 501}, (400, "too_many"), "limit"),
        ({"limit": 0}, (400, "wrong_type"), "limit"),
        ({"limit": "30"}, (400, "wrong_type"), "limit"),
        ({"date": "yesterday"}, (400, "bad_value"), "date"),
        ({"date": "2026-01-02T10:00:00"}, (400, "bad_value"), "date"),
        ({"date": 1767348000}, (400, "wrong_type"), "date"),
        ({"ascending": "true"}, (400, "wrong_type"), "ascending"),
    ],
)
async def test_a_wrong_list_is_refused(
    book: Book, body: object, expected: tuple[int, str], field: str
) -> None:
    answer = await book.ask("POST", "/v2/contacts/list", body)

    assert refusal(answer) == expected
    assert list(answer.json()["fields"]) == [field]


# ── search ───────────────────────────────────────────────────────────────────────────────────


async def test_search_finds_the_owners_in_order_and_each_once(book: Book) -> None:
    alice = await book.contact(("phone", PHONE), ("email", EMAIL))
    bobby = await book.contact(("facebook", "100"))

    found = await searched(
        book,
        {"channel_type": "facebook", "channel_ids": ["100", "200"]},
        {"channel_type": "email", "channel_ids": ["ALICE@EXAMPLE.COM"]},
        {"channel_ids": ["+1 (510) 555-3344"]},
    )

    assert found == [bobby, alice]
    assert await searched(book) == []
    assert await searched(book, {"channel_ids": []}) == []


@pytest.mark.parametrize(
    "value", [PHONE, "+1 510.555.3344", EMAIL, "Alice@Example.COM", "541123456789", "5491123456789"]
)
async def test_the_type_is_inferred(book: Book, value: str) -> None:
    uuid = await book.contact(("phone", PHONE), ("email", EMAIL), ("phone", "5491123456789"))
    assert await searched(book, {"channel_ids": [value]}) == [uuid]


@pytest.mark.parametrize("kind", ["phone", "sms", "whatsapp", "viber", "rcs"])
async def test_a_number_is_looked_for_in_its_type_then_in_the_phone_family(
    book: Book, kind: str
) -> None:
    by_sms = await book.contact(("sms", PHONE))
    assert await searched(book, {"channel_type": kind, "channel_ids": [PHONE]}) == [by_sms]
    by_phone = await book.contact(("phone", PHONE))
    expected = by_sms if kind == "sms" else by_phone
    assert await searched(book, {"channel_type": kind, "channel_ids": [PHONE]}) == [expected]


async def test_an_integrations_id_is_found_under_any_page(book: Book) -> None:
    owners = []
    for page in ("a", "b"):
        one = {"channel_type": "facebook", "channel_id": "100", "info_channel": page}
        made = await book.ask("POST", "/v2/contact", {"contact_channels": [one]})
        owners.append(made.json()["uuid"])

    found = await searched(book, {"channel_type": "facebook", "channel_ids": ["100"]})

    assert found == owners


async def test_deleted_and_foreign_contacts_are_not_found(book: Book) -> None:
    gone = await book.contact(("phone", PHONE))
    assert await searched(book, {"channel_ids": [PHONE]}, by=book.charlie) == []
    await book.ask("DELETE", f"/v2/contact/{gone}")
    assert await searched(book, {"channel_ids": [PHONE]}) == []


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        ({"channel_ids": ["123", "124"]}, "contact_channels[1].channel_ids[0]"),
        ({"channel_ids": ["alice"]}, "contact_channels[1].channel_type"),
        ({"channel_ids": ["alice2"]}, "contact_channels[1].channel_type"),
        ({"channel_type": "id", "channel_ids": ["1"]}, "contact_channels[1].channel_type"),
    ],
)
async def test_a_wrong_search_is_told_where(book: Book, bad: object, place: str) -> None:
    """The first address is refused if none of them can be read."""
    body = {"contact_channels": [{"channel_ids": []}, bad]}
    answer = await book.ask("POST", "/v2/contacts/search", body)

    assert list(answer.json()["fields"]) == [place]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([{"channel_ids": ["alice"]}], (400, "bad_value")),
        ([{"channel_ids": ["123"]}], (400, "bad_phone")),
        ([{"channel_ids": ["a@"]}], (400, "bad_email")),
        ([{"channel_type": "Id", "channel_ids": ["1"]}], (400, "bad_channel_type")),
        ([{"channel_type": "phone"}], (400, "missing_field")),
        ([{"channel_ids": [15105553344]}], (400, "wrong_type")),
        ([{"channel_ids": [PHONE] * 1001}], (400, "too_many")),
        (None, (400, "wrong_type")),
    ],
)
async def test_a_wrong_search_is_refused(
    book: Book, entries: object, expected: tuple[int, str]
) -> None:
    answer = await book.ask("POST", "/v2/contacts/search", {"contact_channels": entries})
    assert refusal(answer) == expected
