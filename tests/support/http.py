"""Requests of every operation that writes, and checks of their responses."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.personas import Api

ONE, TWO = "15105553344", "14155551234"
PHONE = {"channel_type": "phone", "channel_id": ONE}
Call = tuple[str, str, object]

ONE_CONTACT: list[Call] = [
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
WITHOUT_CHANGE: list[Call] = [
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
MANY: list[Call] = [
    ("POST", "/v2/contact", {"first": "A"}),
    ("POST", "/v2/contacts", {"contacts": [{"first": "A"}, {"contact_id": "{uuid}"}, {}]}),
    ("DELETE", "/v2/contacts", ERASING),
    ("POST", "/x/resolve", {"channel_id": TWO, "create": {"first": "A"}}),
]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the reason of a refusal."""
    return answer.status_code, answer.json()["error_code"]


async def ok(api: Api, method: str, path: str, body: object = None) -> Any:
    """Send a request that must succeed, and return the value of its response."""
    answer = await api.request(method, path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def alice(api: Api) -> dict[str, str]:
    """Create a contact; return its UUID, and the id of its phone."""
    uuid = await api.contact(("phone", ONE))
    [phone] = (await api.request("GET", f"/v2/contact/{uuid}/channels")).json()
    return {"uuid": uuid, "id": phone["id"]}


async def send(
    api: Api, what: Call, names: dict[str, str], headers: dict[str, str] | None = None
) -> httpx.Response:
    method, path, body = what
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
    if body == ERASING:
        entry = {"channel_type": "id", "channel_ids": [names["uuid"]]}
        body = {"contact_channels": [entry]}
    by = {**api.bob.by_key(), **(headers or {})}
    return await api.request(method, path, body, by=by)


async def rev(api: Api, uuid: str) -> int:
    return int((await api.request("GET", f"/v2/contact/{uuid}")).json()["rev"])


async def count(api: Api) -> int:
    return len((await api.request("POST", "/v2/contacts/list", {"limit": 500})).json())
