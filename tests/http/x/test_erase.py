"""Erase: nothing of the person stands anywhere. Export: all that is held, as one document."""

from __future__ import annotations

from typing import Any

import pytest

from reachbook.storage.opening import sqlite_path
from tests.support import catalogs as catalogue
from tests.support.http import refusal
from tests.support.personas import NOBODY, Api
from tests.support.raw_sql import beside

pytestmark = pytest.mark.anyio

MARKS = [
    "15105553344",
    "14155551234",
    "zz-mail@example.com",
    "zz-handle",
    "zz-label",
    "zz-source",
    "zz-first",
    "zz-last",
    "zz-shown",
    "zz-face",
    "zz-crm",
    "zz-custom",
    "zz-page",
    "zz-old",
    "zz-request",
]
TABLES = (
    *("contact", "contact_channel", "contact_name", "event", "event_body"),
    *("idempotency", "idempotency_contact"),
    *("suppression", "ended_suppression"),
)
WITHOUT_CONTACTS = {
    *("team", "api_secret", "api_key", "suppression_key"),
    *("team_user", "sign_in_link", "console_session"),
}
PERSON = {
    "first": "zz-first",
    "last": "zz-last",
    "display_name": "zz-shown",
    "avatar": "zz-face",
    "external_id": "zz-crm",
    "custom": {"1": "zz-custom"},
    "is_opted_out": True,
    "tags": [{"tag_id": 3}],
    "assignee_id": 4,
    "contact_channels": [
        {"channel_type": "phone", "channel_id": "15105553344", "channel_handle": "zz-handle"},
        {"channel_type": "email", "channel_id": "zz-mail@example.com"},
        {"channel_type": "facebook", "channel_id": "zz-old", "info_channel": "zz-page"},
    ],
}


async def ok(api: Api, method: str, path: str, body: object = None, key: str = "") -> Any:
    by = {**api.bob.by_key(), "x-request-id": "zz-request"}
    if key:
        by["idempotency-key"] = key
    answer = await api.request(method, path, body, by=by)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def person(api: Api) -> str:
    """A contact whose traces stand in every table, kept answers of every shape included."""
    uuid = str((await ok(api, "POST", "/v2/contact", PERSON, "create"))["uuid"])
    path = f"/v2/contact/{uuid}"
    [phone, _, page] = await ok(api, "GET", f"/x/contact/{uuid}/channels")
    patch = {"label": "zz-label", "consent": "opted_in", "consent_source": "zz-source"}
    await ok(api, "PATCH", f"/x/contact/{uuid}/channel/{phone['id']}", patch, "patch")
    await ok(api, "DELETE", f"/x/contact/{uuid}/channel/{page['id']}", None, "remove")
    second = {"channel_type": "phone", "channel_id": "14155551234"}
    await ok(api, "POST", f"{path}/channel?representation=integer_ids", second, "add")
    await ok(api, "PUT", path, {"first": "zz-first", "last": "zz-last"}, "update")
    await ok(api, "POST", "/x/resolve", {"channel_id": "14155551234", "create": {}}, "found")
    rows = [{"contact_id": uuid}, {"first": "zz-first", "phone": "15105553344"}]
    told = await ok(api, "POST", "/v2/contacts", {"contacts": rows}, "bulk")
    assert len(told["failed_contacts"]) == 1
    return uuid


async def everything(api: Api) -> str:
    """Every row of every table of Bob's team, as text; bytes as the text they hold."""
    sent, team = beside(api.database), api.bob.team.team_id
    cells = []
    for table in TABLES:
        for row in await sent(f"SELECT * FROM {table} WHERE team_id = {team}"):
            cells += [
                one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)
                for one in row
            ]
    return "\n".join(cells)


async def count(api: Api, table: str) -> int:
    team = api.bob.team.team_id
    [[number]] = await beside(api.database)(f"SELECT count(*) FROM {table} WHERE team_id = {team}")
    return int(number)


@pytest.mark.parametrize("deleted_before", [False, True])
async def test_it_works(api: Api, *, deleted_before: bool) -> None:
    """Nothing of the person stands in any table's rows, whether or not they were deleted before."""
    uuid = await person(api)
    before = await everything(api)
    assert [mark for mark in MARKS if mark not in before] == []
    if deleted_before:
        await ok(api, "DELETE", f"/v2/contact/{uuid}")
    events = await count(api, "event")

    assert await ok(api, "DELETE", f"/x/contact/{uuid}/erase") == "contact erased"

    after = await everything(api)
    assert [mark for mark in MARKS if mark in after] == []
    assert await count(api, "idempotency_contact") == 0
    assert await count(api, "event") == events + 1
    assert (await count(api, "contact"), await count(api, "contact_channel")) == (1, 0)
    assert await count(api, "contact_name") == 0
    assert await count(api, "event_body") == 0


async def test_every_table_of_a_team_is_searched(api: Api) -> None:
    """A new table that holds contacts must be among those that these tests read."""
    raw = beside(api.database)
    of = catalogue.of_sqlite if api.database.startswith("sqlite") else catalogue.of_postgres
    assert (await of(raw)).keys() == {*TABLES, *WITHOUT_CONTACTS}


async def test_what_stays_of_an_event(api: Api) -> None:
    """Kind, revision, time, actor and place in the feed stay; the request id does not."""
    uuid = await person(api)
    before = (await ok(api, "GET", "/x/events"))["events"]

    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    *after, erased = (await ok(api, "GET", "/x/events"))["events"]
    gone = {"before": None, "after": None, "request_id": ""}
    assert after == [{**event, **gone} for event in before]
    assert {name: erased[name] for name in gone} == gone


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_nothing_of_the_person_stands_in_the_file(api: Api) -> None:
    """Not in what SQLite has freed either, once its log is written back."""
    for _ in range(5):
        uuid = await person(api)
        await ok(api, "DELETE", f"/x/contact/{uuid}/erase")
    [[busy, *_]] = await beside(api.database)("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not busy

    file = sqlite_path(api.database)
    text = file.read_bytes().lower() + file.with_name(f"{file.name}-wal").read_bytes().lower()
    assert [mark for mark in MARKS if mark.encode() in text] == []


async def test_no_answer_tells_of_the_person(api: Api) -> None:
    """The past is gone, /v2 knows nobody, retries are new requests; the feed says `erased`."""
    uuid = await person(api)
    at = (await ok(api, "GET", f"/v2/contact/{uuid}"))["updated"]
    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    for tail in ("history", "export", f"channels?as_of={at}", f"channel/1?as_of={at}"):
        answer = await api.request("GET", f"/x/contact/{uuid}/{tail}")
        assert refusal(answer) == (410, "erased"), tail
        assert answer.json()["error"] == "gone"
    again = await api.request("DELETE", f"/x/contact/{uuid}/erase")
    assert refusal(again) == (410, "erased")
    for method, path, body in [
        ("GET", f"/v2/contact/{uuid}", None),
        ("PUT", f"/v2/contact/{uuid}", {"first": "A"}),
        ("DELETE", f"/v2/contact/{uuid}", None),
        ("GET", f"/v2/contact/{uuid}/channels", None),
        ("GET", f"/v2/contact/{uuid}/channel/phone", None),
        ("POST", f"/v2/contact/{uuid}/channel", PERSON["contact_channels"][0]),  # type: ignore[index]
        ("GET", f"/x/contact/{uuid}/channels", None),
        ("GET", f"/x/contact/{uuid}/channel/1", None),
    ]:
        assert refusal(await api.request(method, path, body)) == (404, "no_contact"), (method, path)
    assert await ok(api, "POST", "/v2/contacts/list") == []
    feed = await api.request("GET", "/x/events")
    assert [mark for mark in MARKS if mark in feed.text] == []
    events = feed.json()["events"]
    assert {(one["before"], one["after"]) for one in events} == {(None, None)}
    assert [one["seq"] for one in events] == list(range(1, len(events) + 1))
    assert (events[-1]["kind"], events[-1]["contact_id"]) == ("erased", uuid)
    assert events[-1]["actor"]["credential_id"] == api.bob.key.id


async def test_what_was_theirs_is_free(api: Api) -> None:
    """Addresses, external id and keys; not the UUID."""
    uuid = await person(api)
    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    again = await ok(api, "POST", "/v2/contact", PERSON, "create")

    assert again["uuid"] != uuid
    assert again["external_id"] == "zz-crm"
    assert len(again["contact_channels"]) == 3


async def test_an_address_that_moved_on_stays_where_it_is(api: Api) -> None:
    uuid = await person(api)
    taker = await api.contact(("email", "taker@example.com"))
    phone = {"channel_type": "phone", "channel_id": "15105553344"}
    await ok(api, "POST", f"/v2/contact/{taker}/channel?on_conflict=move", phone, "move")
    kept = await ok(api, "GET", f"/x/contact/{taker}/export")

    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    assert await ok(api, "GET", f"/x/contact/{taker}/export") == kept
    assert kept["contact"]["phone"] == "15105553344"
    left = [mark for mark in MARKS if mark in await everything(api)]
    assert left == ["15105553344", "zz-request"]  # of the event by which the taker got it
    found = await ok(api, "POST", "/x/resolve", {"channel_id": "15105553344"})
    assert found["contact"]["uuid"] == taker


async def test_others_are_untouched(api: Api) -> None:
    """Contacts, their events and the answers kept for them; another team's above all."""
    uuid = await person(api)
    body = {"first": "Other", "contact_channels": [{"channel_type": "sms", "channel_id": "1"}]}
    body = {"first": "Other", "email": "other@example.com"}
    other = await ok(api, "POST", "/v2/contact", body, "other")
    theirs = (await api.request("POST", "/v2/contact", PERSON, by=api.charlie.by_key())).json()
    export = await ok(api, "GET", f"/x/contact/{other['uuid']}/export")
    assert {event["request_id"] for event in export["events"]} == {"zz-request"}

    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    assert await ok(api, "GET", f"/x/contact/{other['uuid']}/export") == export
    assert await ok(api, "POST", "/v2/contact", body, "other") == other
    by = api.charlie.by_key()
    assert (await api.request("GET", f"/v2/contact/{theirs['uuid']}", by=by)).json() == theirs


async def test_a_row_that_names_them_in_capitals_is_forgotten_too(api: Api) -> None:
    """A failed row is echoed as sent, and kept with the answer."""
    uuid = str((await ok(api, "POST", "/v2/contact", {}))["uuid"])
    row = {"contact_id": uuid.upper(), "first": "zz-first", "phone": "nope"}
    await ok(api, "POST", "/v2/contacts", {"contacts": [row]}, "bulk")
    assert "zz-first" in await everything(api)

    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    assert "zz-first" not in await everything(api)


async def test_a_retry_of_the_erasure_is_answered(api: Api) -> None:
    uuid = await person(api)
    first = await ok(api, "DELETE", f"/x/contact/{uuid}/erase", None, "erase")
    assert await ok(api, "DELETE", f"/x/contact/{uuid}/erase", None, "erase") == first


async def test_who_may_not_erases_nothing(api: Api) -> None:
    uuid = await person(api)
    path = f"/x/contact/{uuid}/erase"
    by = {**api.charlie.by_key(), "x-request-id": "same"}
    foreign = await api.request("DELETE", path, by=by)
    missing = await api.request("DELETE", path.replace(uuid, NOBODY), by=by)

    assert refusal(foreign) == (404, "no_contact")
    assert foreign.content == missing.content
    assert refusal(await api.request("DELETE", "/x/contact/7/erase")) == (400, "bad_uuid")
    assert refusal(await api.request("DELETE", f"{path}?yes=1")) == (400, "unknown_name")
    assert refusal(await api.request("POST", path)) == (405, "method_not_allowed")
    assert (await ok(api, "GET", f"/v2/contact/{uuid}"))["first"] == "zz-first"


# ── export ───────────────────────────────────────────────────────────────────────────────────


async def test_export_is_all_that_is_held(api: Api) -> None:
    uuid = await person(api)

    told = await ok(api, "GET", f"/x/contact/{uuid}/export")

    assert told["contact"] == await ok(api, "GET", f"/v2/contact/{uuid}")
    assert told["channels"] == await ok(api, "GET", f"/x/contact/{uuid}/channels")
    history = (await ok(api, "GET", f"/x/contact/{uuid}/history"))["events"]
    assert [one["rev"] for one in told["events"]] == list(range(1, len(history) + 1))
    assert sorted(told["events"], key=lambda one: -int(one["rev"])) == history
    assert told["deleted"] is None
    assert [mark for mark in MARKS if mark not in str(told)] == []


async def test_a_deleted_contact_is_exported_with_its_past(api: Api) -> None:
    uuid = await person(api)
    await ok(api, "DELETE", f"/v2/contact/{uuid}")

    told = await ok(api, "GET", f"/x/contact/{uuid}/export")

    assert told["deleted"] == told["events"][-1]["at"]
    assert told["channels"] == []
    assert told["contact"]["first"] == "zz-first"
