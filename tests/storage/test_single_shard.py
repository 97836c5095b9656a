"""A commit as steps for Citus has the outcome of the commit as one statement."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from reachbook.domain import timestamps
from reachbook.storage import sql
from reachbook.storage.postgres.connection import Connection
from reachbook.storage.postgres.engine import Postgres
from tests.support.personas import Api, open_api
from tests.support.raw_sql import beside

pytestmark = pytest.mark.anyio

TEXTS = sql.statements("postgres")
STEPS = {name for name in TEXTS if name.startswith("step_")}
AT_ONCE = {"commit", "commit_new_channel", "store_response", "end_suppression"}
START = timestamps.now()
PHONE, OTHER = "15105553344", "15105553345"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def phone(digits: str, **more: object) -> dict[str, object]:
    return {"channel_type": "phone", "channel_id": digits, **more}


def line(handle: str) -> dict[str, object]:
    return {"channel_type": "line", "channel_id": handle}


# The paths name two contacts, a and b, and a's channel with PHONE.
REQUESTS: list[tuple[str, str, object]] = [
    ("PUT", "/v2/contact/{a}", {"first": "Ada", "last": "Smith"}),
    ("POST", "/v2/contact/{a}/channel", phone(OTHER)),
    ("POST", "/v2/contact/{a}/channel", phone(OTHER)),
    ("POST", "/v2/contact/{b}/channel", phone(OTHER)),
    ("POST", "/v2/contact/{b}/channel", line("b")),
    ("PUT", "/v2/contact/{a}/channel", line("c")),
    ("PATCH", "/x/contact/{a}/channel/{p}", {"consent": "opted_out", "consent_source": "STOP"}),
    ("POST", "/v2/contact/{b}/channel?on_conflict=move", phone(PHONE)),
    ("GET", "/x/contact/{b}/channels", None),
    ("DELETE", "/v2/contact/{b}/channel/phone", None),
    ("POST", "/v2/contact/{a}/channel", phone(PHONE)),
    ("GET", "/x/contact/{a}/channels", None),
    ("PATCH", "/x/contact/{a}/channel/{p}", {"held": True, "held_reason": "bounced"}),
    ("DELETE", "/v2/contact/{a}/channel/phone?channel_id=" + PHONE, None),
    ("POST", "/v2/contact/{a}/channel", phone(PHONE)),
    ("PATCH", "/x/contact/{a}/channel/{p}", {"held": False}),
    ("PATCH", "/x/contact/{a}/channel/{p}", {"consent": "opted_in"}),
    ("POST", "/x/resolve", line("b")),
    (
        "POST",
        "/v2/contacts",
        {"contacts": [{"phone": "15105550001", "first": "Cora"}, {"phone": PHONE}]},
    ),
    (
        "PUT",
        "/v2/contact/{b}",
        {"is_opted_out": True, "contact_channels": [line("d"), phone("15105550009")]},
    ),
    ("GET", "/v2/contact/{b}", None),
    ("DELETE", "/v2/contact/{a}/channel/phone?channel_id=" + OTHER, None),
    ("POST", "/v2/contact/{a}/channel", phone("15105553346")),
    ("PATCH", "/x/contact/{a}/channel/{p}", {"consent": "opted_out"}),
    ("DELETE", "/v2/contact/{a}/channel/phone?channel_id=" + PHONE, None),
    ("DELETE", "/x/suppression", phone(PHONE, reason="opted_out")),
    ("DELETE", "/x/suppression", phone(PHONE, reason="opted_out")),
    ("POST", "/v2/contact/{a}/channel", phone(PHONE)),
    ("PATCH", "/x/contact/{a}/channel/{p}", {"consent": "opted_out"}),
    ("DELETE", "/x/contact/{a}/erase", None),
    ("DELETE", "/x/suppression", phone(PHONE, reason="opted_out")),
    ("DELETE", "/v2/contact/{b}", None),
    ("GET", "/x/events", None),
]
ROWS = (
    "SELECT id, rev, updated, created, deleted, erased, first FROM contact ORDER BY id",
    "SELECT * FROM contact_channel ORDER BY id",
    "SELECT contact_id, kind, contact_rev, at, seq FROM event ORDER BY id",
    (
        "SELECT e.contact_id, e.contact_rev, b.before IS NULL, length(b.after) FROM event AS e "
        "JOIN event_body AS b ON b.team_id = e.team_id AND b.event_id = e.id ORDER BY e.id"
    ),
    "SELECT reason, at, identity_version FROM suppression ORDER BY reason, at",
    "SELECT reason, ended FROM ended_suppression ORDER BY ended",
    "SELECT key, status, created FROM idempotency ORDER BY key",
    "SELECT key, count(*) FROM idempotency_contact GROUP BY key ORDER BY key",
    "SELECT word, contact_id FROM contact_name ORDER BY word, contact_id",
)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the statements that were sent."""
    names: set[str] = set()
    by_text = {text: name for name, text in TEXTS.items()}
    fetch = Connection.fetch

    async def recorded(self: Connection, text: str, *values: object, **more: Any) -> Any:
        names.add(by_text.get(text, ""))
        return await fetch(self, text, *values, **more)

    monkeypatch.setattr(Connection, "fetch", recorded)
    return names


async def outcome(url: str, *, has_citus: bool) -> tuple[list[tuple[int, str]], list[Any]]:
    """The responses to the requests without their UUIDs, and the rows that they leave."""
    async with open_api(url) as api:
        assert isinstance(api.store.engine, Postgres)
        api.store.engine.has_citus = has_citus
        api.clock.now = START
        names = {"a": await api.contact(("phone", PHONE), ("line", "a")), "b": await api.contact()}
        responses = [await answered(api, names, *request) for request in REQUESTS]
    return responses, [await beside(url)(text) for text in ROWS]


async def answered(
    api: Api, names: dict[str, str], method: str, path: str, body: object
) -> tuple[int, str]:
    api.clock.forward(1)
    if "{p}" in path:
        listed = (await api.request("GET", f"/x/contact/{names['a']}/channels")).json()
        [found] = [one for one in listed if one["channel_id"] == PHONE]
        names["p"] = str(found["id"])
    key = f"{api.clock() - START}"
    by = {**api.bob.by_key(), "idempotency-key": key} if method in ("POST", "DELETE") else None
    answer = await api.request(method, path.format(**names), body, by=by)
    return answer.status_code, re.sub(
        r"rbk_\w+|\"incarnation\":\"\w+\"", "", _UUID.sub("", answer.text)
    )


async def test_the_outcomes_are_the_same(
    copied_postgres: str, copy_postgres: Callable[[], Awaitable[str]], sent: set[str]
) -> None:
    responses, rows = await outcome(copied_postgres, has_citus=False)
    assert sent >= AT_ONCE
    assert not sent & STEPS
    sent.clear()

    of_steps = await outcome(await copy_postgres(), has_citus=True)

    assert sent >= STEPS
    assert not sent & AT_ONCE
    assert [status for status, _ in responses if status != 200] == [409, 404]
    assert of_steps[0] == responses
    assert of_steps[1] == rows
    assert all(rows)
