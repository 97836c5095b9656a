"""Asking over HTTP: every write there is, and what is made of an answer."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.personas import Book

ONE, TWO = "15105553344", "14155551234"
PHONE = {"channel_type": "phone", "channel_id": ONE}
Ask = tuple[str, str, object]

ONE_CONTACT: list[Ask] = [
    ("PUT", "/v2/contact/{uuid}", {"first": "A"}),
    ("DELETE", "/v2/contact/{uuid}", None),
    ("POST", "/v2/contact/{uuid}/channel", {**PHONE, "channel_id": TWO}),
    ("PUT", "/v2/contact/{uuid}/channel", {**PHONE, "channel_id": TWO}),
    ("DELETE", "/v2/contact/{uuid}/channel/phone", None),
    ("PATCH", "/x/contact/{uuid}/channel/{id}", {"label": "x"}),
    ("DELETE", "/x/contact/{uuid}/channel/{id}", None),
    ("POST", "/x/contact/{uuid}/channel/{id}/primary", None),
    ("DELETE", "/x/contact/{uuid}/erase", None),
]
WITHOUT_CHANGE: list[Ask] = [
    ("PUT", "/v2/contact/{uuid}", {"phone": ONE}),
    ("POST", "/v2/contact/{uuid}/channel", PHONE),
    ("PUT", "/v2/contact/{uuid}/channel", PHONE),
    ("PATCH", "/x/contact/{uuid}/channel/{id}", {"label": ""}),
    ("POST", "/x/contact/{uuid}/channel/{id}/primary", None),
    ("POST", "/x/resolve", {"channel_id": ONE, "create": {}}),
    ("POST", "/v2/contacts", {"contacts": []}),
    ("POST", "/v2/contacts", {"contacts": [{"contact_id": "7"}, {"phone": ONE}]}),
]
ERASING = {"contact_channels": [{"channel_type": "id", "channel_ids": ["{uuid}"]}]}
MANY: list[Ask] = [
    ("POST", "/v2/contact", {"first": "A"}),
    ("POST", "/v2/contacts", {"contacts": [{"first": "A"}, {"contact_id": "{uuid}"}, {}]}),
    ("DELETE", "/v2/contacts", ERASING),
    ("POST", "/x/resolve", {"channel_id": TWO, "create": {"first": "A"}}),
]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """The status and the reason of a refusal."""
    return answer.status_code, answer.json()["error_code"]


async def ok(book: Book, method: str, path: str, body: object = None) -> Any:
    """What is answered to a request that is granted."""
    answer = await book.ask(method, path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def alice(book: Book) -> dict[str, str]:
    """A contact's UUID, and the id of its phone."""
    uuid = await book.contact(("phone", ONE))
    [phone] = (await book.ask("GET", f"/v2/contact/{uuid}/channels")).json()
    return {"uuid": uuid, "id": phone["id"]}


async def ask(
    book: Book, what: Ask, names: dict[str, str], headers: dict[str, str] | None = None
) -> httpx.Response:
    method, path, body = what
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    if body == ERASING:
        entry = {"channel_type": "id", "channel_ids": [names["uuid"]]}
        body = {"contact_channels": [entry]}
    by = {**book.bob.by_key(), **(headers or {})}
    return await book.ask(method, path, body, by=by)


async def rev(book: Book, uuid: str) -> int:
    return int((await book.ask("GET", f"/v2/contact/{uuid}")).json()["rev"])


async def count(book: Book) -> int:
    return len((await book.ask("POST", "/v2/contacts/list", {"limit": 500})).json())
