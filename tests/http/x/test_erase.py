"""Erase: no data of the person remains stored. Export: all stored data as a single document."""

from __future__ import annotations

from typing import Any

import pytest

from reachbook.storage.opening import sqlite_path
from tests.support import catalogs as catalogue
from tests.support.http import refusal
from tests.support.personas import NOBODY, Api
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

PERSONAL_VALUES = [
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
TABLES_WITHOUT_CONTACTS = {
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
    response = await api.request(method, path, body, by=by)
    assert response.status_code == 200, response.text
    return response.json()


async def create_person(api: Api) -> str:
    """Creates a contact with values in every table, including stored responses of every shape."""
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
    result = await ok(api, "POST", "/v2/contacts", {"contacts": rows}, "bulk")
    assert len(result["failed_contacts"]) == 1
    return uuid


async def all_rows(api: Api) -> str:
    """Returns every row of every table of Bob's team as text; bytes are decoded."""
    execute, team = sql_runner(api.database), api.bob.team.team_id
    cells = []
    for table in TABLES:
        for row in await execute(f"SELECT * FROM {table} WHERE team_id = {team}"):
            cells += [
                cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
                for cell in row
            ]
    return "\n".join(cells)


async def count(api: Api, table: str) -> int:
    team = api.bob.team.team_id
    [[number]] = await sql_runner(api.database)(
        f"SELECT count(*) FROM {table} WHERE team_id = {team}"
    )
    return int(number)


@pytest.mark.parametrize("deleted_before", [False, True])
async def test_no_table_has_values_of_an_erased_contact(api: Api, *, deleted_before: bool) -> None:
    """This holds whether or not the contact was deleted before."""
    uuid = await create_person(api)
    before = await all_rows(api)
    assert [value for value in PERSONAL_VALUES if value not in before] == []
    if deleted_before:
        await ok(api, "DELETE", f"/v2/contact/{uuid}")
    events = await count(api, "event")

    assert await ok(api, "DELETE", f"/x/contact/{uuid}/erase") == "contact erased"

    after = await all_rows(api)
    assert [value for value in PERSONAL_VALUES if value in after] == []
    assert await count(api, "idempotency_contact") == 0
    assert await count(api, "event") == events + 1
    assert (await count(api, "contact"), await count(api, "contact_channel")) == (1, 0)
    assert await count(api, "contact_name") == 0
    assert await count(api, "event_body") == 0


async def test_these_tests_read_every_table_of_a_team(api: Api) -> None:
    """A new table with data of contacts must be added to `TABLES`."""
    raw = sql_runner(api.database)
    list_tables = (
        catalogue.of_sqlite if api.database.startswith("sqlite") else catalogue.of_postgres
    )
    assert (await list_tables(raw)).keys() == {*TABLES, *TABLES_WITHOUT_CONTACTS}


async def test_an_erased_event_has_no_values_and_no_request_id(api: Api) -> None:
    """Its kind, revision, time, actor and position in the feed are unchanged."""
    uuid = await create_person(api)
    before = (await ok(api, "GET", "/x/events"))["events"]

    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    *after, erased = (await ok(api, "GET", "/x/events"))["events"]
    erased_fields = {"before": None, "after": None, "request_id": ""}
    assert after == [{**event, **erased_fields} for event in before]
    assert {name: erased[name] for name in erased_fields} == erased_fields


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_the_database_file_has_no_values_of_an_erased_contact(api: Api) -> None:
    """Nor do the pages that SQLite has freed, after a checkpoint of its log."""
    for _ in range(5):
        uuid = await create_person(api)
        await ok(api, "DELETE", f"/x/contact/{uuid}/erase")
    [[busy, *_]] = await sql_runner(api.database)("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not busy

    file = sqlite_path(api.database)
    text = file.read_bytes().lower() + file.with_name(f"{file.name}-wal").read_bytes().lower()
    assert [value for value in PERSONAL_VALUES if value.encode() in text] == []


async def test_no_response_has_values_of_an_erased_contact(api: Api) -> None:
    """History and export return 410, /v2 returns 404, and the feed has an `erased` event."""
    uuid = await create_person(api)
    at = (await ok(api, "GET", f"/v2/contact/{uuid}"))["updated"]
    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    for tail in ("history", "export", f"channels?as_of={at}", f"channel/1?as_of={at}"):
        response = await api.request("GET", f"/x/contact/{uuid}/{tail}")
        assert refusal(response) == (410, "erased"), tail
        assert response.json()["error"] == "gone"
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
    assert [value for value in PERSONAL_VALUES if value in feed.text] == []
    events = feed.json()["events"]
    assert {(event["before"], event["after"]) for event in events} == {(None, None)}
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[-1]["kind"], events[-1]["contact_id"]) == ("erased", uuid)
    assert events[-1]["actor"]["credential_id"] == api.bob.key.id


async def test_erasing_frees_addresses_external_id_and_idempotency_keys(api: Api) -> None:
    """The UUID is not reused."""
    uuid = await create_person(api)
    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    again = await ok(api, "POST", "/v2/contact", PERSON, "create")

    assert again["uuid"] != uuid
    assert again["external_id"] == "zz-crm"
    assert len(again["contact_channels"]) == 3


async def test_erasing_does_not_affect_an_address_that_was_moved(api: Api) -> None:
    uuid = await create_person(api)
    new_owner = await api.contact(("email", "taker@example.com"))
    phone = {"channel_type": "phone", "channel_id": "15105553344"}
    await ok(api, "POST", f"/v2/contact/{new_owner}/channel?on_conflict=move", phone, "move")
    before = await ok(api, "GET", f"/x/contact/{new_owner}/export")

    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    assert await ok(api, "GET", f"/x/contact/{new_owner}/export") == before
    assert before["contact"]["phone"] == "15105553344"
    left = [value for value in PERSONAL_VALUES if value in await all_rows(api)]
    assert left == ["15105553344", "zz-request"]  # in the event of the move
    found = await ok(api, "POST", "/x/resolve", {"channel_id": "15105553344"})
    assert found["contact"]["uuid"] == new_owner


async def test_erasing_does_not_affect_other_contacts_or_teams(api: Api) -> None:
    """Their data, events and stored responses are unchanged."""
    uuid = await create_person(api)
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


async def test_a_stored_row_with_the_uuid_in_capitals_is_erased(api: Api) -> None:
    """A failed row is returned as sent, and stored with the response."""
    uuid = str((await ok(api, "POST", "/v2/contact", {}))["uuid"])
    row = {"contact_id": uuid.upper(), "first": "zz-first", "phone": "nope"}
    await ok(api, "POST", "/v2/contacts", {"contacts": [row]}, "bulk")
    assert "zz-first" in await all_rows(api)

    await ok(api, "DELETE", f"/x/contact/{uuid}/erase")

    assert "zz-first" not in await all_rows(api)


async def test_a_retry_of_an_erasure_gets_the_same_response(api: Api) -> None:
    uuid = await create_person(api)
    first = await ok(api, "DELETE", f"/x/contact/{uuid}/erase", None, "erase")
    assert await ok(api, "DELETE", f"/x/contact/{uuid}/erase", None, "erase") == first


async def test_an_erasure_by_another_team_or_in_a_wrong_form_is_refused(api: Api) -> None:
    uuid = await create_person(api)
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


async def test_export_has_all_data_of_the_contact(api: Api) -> None:
    uuid = await create_person(api)

    exported = await ok(api, "GET", f"/x/contact/{uuid}/export")

    assert exported["contact"] == await ok(api, "GET", f"/v2/contact/{uuid}")
    assert exported["channels"] == await ok(api, "GET", f"/x/contact/{uuid}/channels")
    history = (await ok(api, "GET", f"/x/contact/{uuid}/history"))["events"]
    assert [event["rev"] for event in exported["events"]] == list(range(1, len(history) + 1))
    assert sorted(exported["events"], key=lambda event: -int(event["rev"])) == history
    assert exported["deleted"] is None
    assert [value for value in PERSONAL_VALUES if value not in str(exported)] == []


async def test_a_deleted_contact_is_exported_with_its_events(api: Api) -> None:
    uuid = await create_person(api)
    await ok(api, "DELETE", f"/v2/contact/{uuid}")

    exported = await ok(api, "GET", f"/x/contact/{uuid}/export")

    assert exported["deleted"] == exported["events"][-1]["at"]
    assert exported["channels"] == []
    assert exported["contact"]["first"] == "zz-first"
