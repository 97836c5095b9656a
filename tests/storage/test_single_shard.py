"""A commit written as steps for Citus has the same outcome as a commit in one statement."""

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
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

TEXTS = sql.statements("postgres")
STEPS = {name for name in TEXTS if name.startswith("step_")}
SINGLE_STATEMENTS = {"commit", "commit_new_channel", "store_response", "end_suppression"}
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
def sent_statements(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the statements that were sent to PostgreSQL."""
    names: set[str] = set()
    by_text = {text: name for name, text in TEXTS.items()}
    fetch = Connection.fetch

    async def recorded(self: Connection, text: str, *values: object, **more: Any) -> Any:
        names.add(by_text.get(text, ""))
        return await fetch(self, text, *values, **more)

    monkeypatch.setattr(Connection, "fetch", recorded)
    return names


async def run_requests(url: str, *, has_citus: bool) -> tuple[list[tuple[int, str]], list[Any]]:
    """Return the responses without UUIDs, and the rows of the database after the requests."""
    async with open_api(url) as api:
        assert isinstance(api.store.engine, Postgres)
        api.store.engine.has_citus = has_citus
        api.clock.now = START
        names = {"a": await api.contact(("phone", PHONE), ("line", "a")), "b": await api.contact()}
        responses = [await send(api, names, *request) for request in REQUESTS]
    return responses, [await sql_runner(url)(text) for text in ROWS]


async def send(
    api: Api, names: dict[str, str], method: str, path: str, body: object
) -> tuple[int, str]:
    api.clock.forward(1)
    if "{p}" in path:
        listed = (await api.request("GET", f"/x/contact/{names['a']}/channels")).json()
        [channel] = [item for item in listed if item["channel_id"] == PHONE]
        names["p"] = str(channel["id"])
    key = f"{api.clock() - START}"
    by = {**api.bob.by_key(), "idempotency-key": key} if method in ("POST", "DELETE") else None
    response = await api.request(method, path.format(**names), body, by=by)
    return response.status_code, re.sub(
        r"rbk_\w+|\"incarnation\":\"\w+\"", "", _UUID.sub("", response.text)
    )


async def test_steps_have_the_same_outcome_as_one_statement(
    copied_postgres: str, copy_postgres: Callable[[], Awaitable[str]], sent_statements: set[str]
) -> None:
    responses, rows = await run_requests(copied_postgres, has_citus=False)
    assert sent_statements >= SINGLE_STATEMENTS
    assert not sent_statements & STEPS
    sent_statements.clear()

    by_steps = await run_requests(await copy_postgres(), has_citus=True)

    assert sent_statements >= STEPS
    assert not sent_statements & SINGLE_STATEMENTS
    assert [status for status, _ in responses if status != 200] == [409, 404]
    assert by_steps[0] == responses
    assert by_steps[1] == rows
    assert all(rows)
