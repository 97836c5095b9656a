"""A contact that a client read, changed in one place, and sent back whole: nothing else is lost."""

from __future__ import annotations

from typing import Any

import pytest

from cast import Book

pytestmark = pytest.mark.anyio

PHONE, OTHER_PHONE = "15105553344", "14155551234"
EMAIL, OTHER_EMAIL = "alice@example.com", "other@example.com"
OPTED_OUT = {"consent": "opted_out", "held": True}


async def read(book: Book) -> tuple[str, Any]:
    """A contact none of whose channels may be used: the UUID, and what the vendor's clients see."""
    uuid = await book.contact(("phone", PHONE), ("email", EMAIL))
    for one in (await book.ask("GET", f"/x/contact/{uuid}/channels")).json():
        await book.ask("PATCH", f"/x/contact/{uuid}/channel/{one['id']}", OPTED_OUT)
    return uuid, (await book.ask("GET", f"/v2/contact/{uuid}")).json()


async def sent_back(book: Book, uuid: str, whole: object) -> dict[str, tuple[str, bool, bool]]:
    """What is known of each address when the contact has been put as it is sent."""
    answer = await book.ask("PUT", f"/v2/contact/{uuid}", whole)
    assert answer.status_code == 200, answer.text
    known = (await book.ask("GET", f"/x/contact/{uuid}/channels")).json()
    return {one["channel_id"]: (one["consent"], one["held"], one["primary"]) for one in known}


async def test_it_works(book: Book) -> None:
    uuid, whole = await read(book)

    told = await sent_back(book, uuid, {**whole, "first": "Alice"})

    assert told == {PHONE: ("opted_out", True, True), EMAIL: ("opted_out", True, True)}


async def test_another_phone_comes_beside_the_old_one(book: Book) -> None:
    uuid, whole = await read(book)
    changed = {**whole, "phone": OTHER_PHONE, "email": OTHER_EMAIL}

    told = await sent_back(book, uuid, changed)

    assert told == {
        **dict.fromkeys((PHONE, EMAIL), ("opted_out", True, False)),
        **dict.fromkeys((OTHER_PHONE, OTHER_EMAIL), ("unknown", False, True)),
    }
    assert await sent_back(book, uuid, changed) == told


@pytest.mark.parametrize("nothing", ["", None])
async def test_an_email_of_null_is_gone(book: Book, nothing: str | None) -> None:
    uuid, whole = await read(book)

    told = await sent_back(book, uuid, {**whole, "email": nothing})

    assert told == {PHONE: ("opted_out", True, True)}
