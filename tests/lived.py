"""The life of a contact that its history, its past and the feed are asked about."""

from __future__ import annotations

from typing import Any

from asks import ok
from cast import Book

ONE, TWO, EMAIL = "15105553344", "14155551234", "alice@example.com"


def phone(value: str) -> dict[str, str]:
    return {"channel_type": "phone", "channel_id": value}


async def history(book: Book, uuid: str, query: str = "") -> Any:
    """A page of its events, newest first."""
    return await ok(book, "GET", f"/x/contact/{uuid}/history{query}")


async def told_of_alice(book: Book) -> str:
    """A contact with a revision of every kind that one contact alone can have, a second apart."""
    body = {"first": "Alice", "contact_channels": [phone(ONE)], "tags": [{"tag_id": 3}]}
    uuid = str((await ok(book, "POST", "/v2/contact", body))["uuid"])
    for method, path, change in [
        ("POST", "/channel", phone(TWO)),
        ("PUT", f"/channel?channel_id={TWO}", phone("12125550199")),
        ("DELETE", f"/channel/phone?channel_id={ONE}", None),
        ("PUT", "", {"last": "Liddell", "email": EMAIL}),
        ("DELETE", "", None),
    ]:
        book.clock.forward(1)
        await ok(book, method, f"/v2/contact/{uuid}{path}", change)
    return uuid
