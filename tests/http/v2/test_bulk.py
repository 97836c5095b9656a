"""Bulk writes and deletions: partial success, limits, and retries under an idempotency key."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID

import apsw
import asyncpg
import pytest

from reachbook.http.v2 import bulk as contacts
from reachbook.storage.engine import unavailable
from reachbook.storage.opening import sqlite_path
from tests.support.http import refusal
from tests.support.personas import NOBODY, Api, create_team_client
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

PHONE = {"channel_type": "phone", "channel_id": "15105553344"}


async def bulk(api: Api, *rows: object, query: str = "") -> Any:
    response = await api.request("POST", f"/v2/contacts{query}", {"contacts": rows})
    assert response.status_code == 200, response.text
    return response.json()


async def get(api: Api, uuid: str) -> Any:
    return (await api.request("GET", f"/v2/contact/{uuid}")).json()


def deletion(*uuids: str, kind: str = "id") -> dict[str, object]:
    return {"contact_channels": [{"channel_type": kind, "channel_ids": uuids}]}


# ── create and update ────────────────────────────────────────────────────────────────────────


async def test_a_bulk_write_creates_and_updates_contacts(api: Api) -> None:
    """A row with a `contact_id` is an update, one without it creates a contact."""
    uuid = await api.contact(("email", "alice@example.com"))

    result = await bulk(
        api,
        {"first": "Bob", "contact_channels": [{**PHONE, "channel_handle": "b"}]},
        {"contact_id": uuid.upper(), "first": "Alice"},
        {"contact_id": None},
    )

    assert result["failed_contacts"] == []
    created, updated, empty = result["contacts"]
    assert (created["first"], created["phone"], created["rev"]) == ("Bob", PHONE["channel_id"], 1)
    assert created["contact_channels"][0]["channel_handle"] == "b"
    assert (updated["uuid"], updated["first"], updated["rev"]) == (uuid, "Alice", 2)
    assert updated["email"] == "alice@example.com"
    for contact in (created, updated, empty):
        assert await get(api, contact["uuid"]) == contact
    assert await bulk(api) == {"contacts": [], "failed_contacts": []}


async def test_bad_rows_fail_alone_and_are_returned_as_sent(api: Api) -> None:
    """Each is returned byte for byte, with its error, error code and message."""
    owner = await api.contact(("phone", PHONE["channel_id"]))
    bad = [
        (b'{"phone":  "nope", "1.50": 1.50, "unknown": null}', "bad_data", "bad_phone"),
        (b'{"phone": "+1 (510) 555-3344", "first":"\\u0041"}', "conflict", "address_taken"),
        (b'{"contact_id": "%s"}' % NOBODY.encode(), "not_found", "no_contact"),
        (b'{"contact_id": 7}', "bad_data", "wrong_type"),
        (b'{"contact_id": "7"}', "bad_data", "bad_uuid"),
        (b'{"contact_channels": [{"channel_type": "phone"}]}', "bad_data", "missing_field"),
        (b'{"tags":[%s]}' % b",".join([b'{"tag_id":1}'] * 6), "bad_data", "bad_value"),
        (b"[1,  2]", "bad_data", "wrong_type"),
        (b"null", "bad_data", "wrong_type"),
    ]
    rows = [b'{"first": "first"}', *(row for row, _, _ in bad), b'{"first": "last"}']

    response = await api.request("POST", "/v2/contacts", b'{"contacts": [%s]}' % b", ".join(rows))

    result = response.json()
    assert [contact["first"] for contact in result["contacts"]] == ["first", "last"]
    assert [(failure["error"], failure["error_code"]) for failure in result["failed_contacts"]] == [
        (error, code) for _, error, code in bad
    ]
    for row, failed in zip(bad, result["failed_contacts"], strict=True):
        assert {"contact", "index", "error", "error_code", "message"} <= set(failed)
        assert failed["contact"] == json.loads(row[0])
        assert row[0] in response.content
        assert failed["message"].endswith(".")
    assert owner in result["failed_contacts"][1]["message"]


@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"phone": "+1 (510) 555-3344"}, "phone"),
        ({"email": "ALICE@example.com"}, "email"),
        ({"contact_channels": [{"channel_type": "facebook", "channel_id": "7"}, PHONE]},
         "contact_channels[1].channel_id"),
        ({"contact_channels": [PHONE, {"channel_type": "email", "channel_id": "@"}]},
         "contact_channels[1].channel_id"),
        ({"external_id": "crm-1"}, "external_id"),
        ({"phone": "+1 510"}, "phone"),
        ({"phone": "nope"}, "phone"),
        ({"tags": 7}, "tags"),
        ({"custom": {"1": "\0"}}, "custom"),
    ],
)  # fmt: skip
async def test_a_failed_row_has_the_error_of_the_same_single_write(
    api: Api, row: dict[str, Any], field: str, representation: str
) -> None:
    path = f"?representation={representation}"
    by = {**api.bob.by_key(), "x-request-id": "1"}
    owner = {
        "external_id": "crm-1",
        "contact_channels": [PHONE, {"channel_type": "email", "channel_id": "alice@example.com"}],
    }
    assert (await api.request("POST", "/v2/contact", owner)).status_code == 200

    single = (await api.request("POST", f"/v2/contact{path}", row, by=by)).json()
    [failed] = (await bulk(api, {}, row, query=path))["failed_contacts"]

    assert single.pop("request_id") == "1"
    assert failed == {"contact": row, "index": 1, **single}
    assert set(failed["fields"]) == {field}


async def test_a_failed_row_has_both_readings_of_an_ambiguous_number(api: Api) -> None:
    us_team = await create_team_client(api.administration, "US team", api.clock, region="US")
    rows = {"contacts": [{"phone": "(646) 555-0123"}]}

    response = await api.request("POST", "/v2/contacts", rows, by=us_team.by_key())

    [failed] = response.json()["failed_contacts"]
    assert failed["error_code"] == "ambiguous"
    assert sorted(failed["readings"]) == ["+16465550123", "+6465550123"]
    assert set(failed["fields"]) == {"phone"}


async def test_a_row_can_conflict_with_an_earlier_row(api: Api) -> None:
    result = await bulk(api, {"phone": PHONE["channel_id"]}, {"phone": PHONE["channel_id"]})

    assert len(result["contacts"]) == 1
    assert [row["error_code"] for row in result["failed_contacts"]] == ["address_taken"]


async def test_the_query_options_apply_to_every_row(api: Api) -> None:
    owner = await api.contact(("phone", PHONE["channel_id"]))
    uuid = (await bulk(api, {"custom": {"1": "x"}}))["contacts"][0]["uuid"]

    result = await bulk(
        api,
        {"contact_id": uuid, "custom": {"2": "y"}, "contact_channels": [PHONE]},
        query="?on_conflict=move&overwrite=true&representation=integer_ids",
    )

    assert result["contacts"][0]["custom"] == {"2": "y"}
    assert isinstance(result["contacts"][0]["contact_channels"][0]["id"], int)
    assert (await get(api, owner))["contact_channels"] == []


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_a_locked_database_file_is_a_503_within_three_seconds(api: Api) -> None:
    """Another program has locked the file: no row is tried after the first."""
    other = apsw.Connection(str(sqlite_path(api.database)))
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    response = await api.request("POST", "/v2/contacts", {"contacts": [{"first": "A"}] * 10})
    took = time.monotonic() - began
    other.execute("ROLLBACK")
    other.close()

    assert refusal(response) == (503, "store_unavailable")
    assert response.headers["retry-after"] == "1"
    assert took < 3
    assert (await api.request("POST", "/v2/contact", {"first": "B"})).status_code == 200
    result = (await api.request("POST", "/v2/contacts/list", {})).json()
    assert [contact["first"] for contact in result] == ["B"], "a refused row was written later"


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
async def test_a_row_that_is_locked_by_another_client_fails_alone(api: Api) -> None:
    uuid = await api.contact()
    other = await asyncpg.connect(api.database)
    async with other.transaction():
        await other.fetch("SELECT id FROM contact WHERE uuid = $1 FOR UPDATE", uuid)
        result = await bulk(api, {"contact_id": uuid, "first": "A"}, {"first": "B"})
        alone = await api.request("PUT", f"/v2/contact/{uuid}", {"first": "A"})
    await other.close()

    assert [contact["first"] for contact in result["contacts"]] == ["B"]
    assert [row["error_code"] for row in result["failed_contacts"]] == ["contended"]
    assert (refusal(alone), alone.headers["retry-after"]) == ((503, "contended"), "1")


async def test_rows_after_the_deadline_are_returned_as_failed(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response also has the rows that were written; it is not an error as a whole."""
    left = iter([60.0, 1.0, 1.0])
    monkeypatch.setattr(contacts, "CHUNK_ROWS", 1)
    monkeypatch.setattr(contacts, "_seconds_left", lambda _: next(left))

    result = await bulk(api, {"first": "A"}, {"first": "B"}, {"first": "C"})

    assert [contact["first"] for contact in result["contacts"]] == ["A"]
    assert [row["contact"]["first"] for row in result["failed_contacts"]] == ["B", "C"]


async def test_bad_rows_among_a_thousand_fail_alone(api: Api) -> None:
    """The rows around them are written in the same transaction."""
    owner = await api.contact(("phone", "15105550500"))
    rows = [{"first": f"Person {n}", "phone": f"1510555{n:04d}"} for n in range(1000)]
    rows[7] = {"first": 7}  # type: ignore[dict-item]
    rows[8] = {"first": "Bad", "phone": "12"}

    result = await bulk(api, *rows)

    failed = result["failed_contacts"]
    assert [row["index"] for row in failed] == [7, 8, 500]
    assert failed[2]["conflicting_contact_id"] == owner
    firsts = [contact["first"] for contact in result["contacts"]]
    assert firsts == [f"Person {n}" for n in range(1000) if n not in (7, 8, 500)]


async def test_rows_with_the_same_address_are_written_in_order(api: Api) -> None:
    """The second row frees an address; the third gets it, so the fourth fails."""
    alice = await api.contact(("phone", "15105553344"))

    result = await bulk(
        api,
        {"first": "Early", "phone": "15105550001"},
        {"contact_id": alice, "phone": "15105550002"},
        {"first": "Heir", "phone": "15105553344"},
        {"first": "Late", "phone": "15105553344"},
        {"first": "Too late", "phone": "15105550002"},
    )

    assert [contact["first"] for contact in result["contacts"]] == ["Early", "", "Heir"]
    heir = result["contacts"][2]["uuid"]
    assert [row["index"] for row in result["failed_contacts"]] == [3, 4]
    owners = [row["conflicting_contact_id"] for row in result["failed_contacts"]]
    assert owners == [heir, alice]


async def test_on_conflict_move_applies_within_many_rows(api: Api) -> None:
    owner = await api.contact(("phone", "15105553344"))

    result = await bulk(
        api,
        {"first": "A", "phone": "15105550001"},
        {"first": "B", "phone": "15105553344"},
        query="?on_conflict=move",
    )

    assert result["failed_contacts"] == []
    assert (await get(api, owner))["contact_channels"] == []
    assert [contact["phone"] for contact in result["contacts"]] == ["15105550001", "15105553344"]


async def test_rows_of_an_unknown_outcome_are_not_retried(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction may have been committed, so trying again could create contacts twice."""
    create = api.store.create_contacts

    async def commit_and_fail(*arguments: Any) -> list[Any]:
        await create(*arguments)
        raise unavailable("the connection was lost")

    monkeypatch.setattr(api.store, "create_contacts", commit_and_fail)
    rows = [{"first": f"Person {n}"} for n in range(3)]
    response = await api.request("POST", "/v2/contacts", {"contacts": rows})
    monkeypatch.undo()

    assert refusal(response) == (503, "store_unavailable")
    assert len((await api.request("POST", "/v2/contacts/list")).json()) == 3


async def test_rows_that_depend_on_a_release_are_written_in_order(api: Api) -> None:
    """A row before the one that releases an address or an external id must not get it."""
    owner = (await bulk(api, {"first": "Owner", "external_id": "x-1"}))["contacts"][0]["uuid"]

    written = await bulk(
        api,
        {"first": "Early", "external_id": "x-1"},
        {"contact_id": owner, "external_id": None},
        {"first": "Late", "external_id": "x-2"},
    )

    assert [row["index"] for row in written["failed_contacts"]] == [0]
    assert [row["first"] for row in written["contacts"]] == ["Owner", "Late"]


async def test_updates_of_an_unknown_outcome_are_not_retried(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = (await bulk(api, {"first": "Alice"}))["contacts"][0]["uuid"]
    change = api.store.update_contacts

    async def commit_and_fail(*arguments: Any) -> list[Any]:
        await change(*arguments)
        raise unavailable("the connection was lost")

    monkeypatch.setattr(api.store, "update_contacts", commit_and_fail)
    rows = {"contacts": [{"contact_id": uuid, "last": "Smith"}]}
    response = await api.request("POST", "/v2/contacts", rows)
    monkeypatch.undo()

    assert refusal(response) == (503, "store_unavailable")
    assert [event["rev"] for event in await history(api, uuid)] == [2, 1]


async def test_a_retry_replays_every_update(api: Api) -> None:
    rows = [{"first": f"Person {n}"} for n in range(5)]
    created = (await bulk(api, *rows))["contacts"]
    headers = {**api.bob.by_key(), "idempotency-key": "update"}
    body = {"contacts": [{"contact_id": each["uuid"], "last": "Smith"} for each in created]}
    first = await api.request("POST", "/v2/contacts", body, by=headers)
    await sql_runner(api.database)("DELETE FROM idempotency WHERE key = 'update'")

    again = await api.request("POST", "/v2/contacts", body, by=headers)

    assert again.json() == first.json()
    assert len(first.json()["contacts"]) == 5
    assert [event["rev"] for event in await history(api, created[0]["uuid"])] == [2, 1]


async def history(api: Api, uuid: str) -> list[Any]:
    path = f"/x/contact/{uuid}/history"
    return list((await api.request("GET", path)).json()["events"])


async def test_a_retry_replays_every_row(api: Api) -> None:
    """The rows of the first request were written together; the whole response was not stored."""
    headers = {**api.bob.by_key(), "idempotency-key": "import"}
    rows = [{"first": f"Person {n}", "phone": f"1510555{n:04d}"} for n in range(20)]
    first = await api.request("POST", "/v2/contacts", {"contacts": rows}, by=headers)
    await sql_runner(api.database)("DELETE FROM idempotency WHERE key = 'import'")

    again = await api.request("POST", "/v2/contacts", {"contacts": rows}, by=headers)

    assert again.json() == first.json()
    assert len(first.json()["contacts"]) == 20
    for table in ("contact", "idempotency_contact"):
        counted = f"SELECT count(*) FROM {table} WHERE team_id = {api.bob.team.team_id}"
        more = " AND key <> 'import'" if table == "idempotency_contact" else ""
        assert await sql_runner(api.database)(counted + more) == [(20,)]


async def test_more_than_a_thousand_rows_are_refused_and_none_written(api: Api) -> None:
    rows: list[object] = [{"first": "A"}] * 1001

    response = await api.request("POST", "/v2/contacts", {"contacts": rows})

    assert refusal(response) == (400, "too_many")
    assert (await api.request("POST", "/v2/contacts/list")).json() == []


async def test_a_thousand_rows_are_accepted(api: Api) -> None:
    result = await bulk(api, *[{"first": "A"}] * 1000)
    assert (len(result["contacts"]), result["failed_contacts"]) == (1000, [])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "missing_field")),
        ({"contacts": {}}, (400, "wrong_type")),
        ([], (400, "wrong_type")),
        (b'{"contacts": [{"a": NaN}]}', (400, "malformed_json")),
        (b'{"contacts": [{"a": 1]}', (400, "malformed_json")),
    ],
)
async def test_a_body_of_another_shape_is_refused(
    api: Api, body: object, expected: tuple[int, str]
) -> None:
    assert refusal(await api.request("POST", "/v2/contacts", body)) == expected


async def test_another_team_cannot_update_the_contact(api: Api) -> None:
    uuid = await api.contact()
    rows = {"contacts": [{"contact_id": uuid, "first": "Mine"}, {"contact_id": NOBODY}]}

    response = await api.request("POST", "/v2/contacts", rows, by=api.charlie.by_key())

    foreign, missing = response.json()["failed_contacts"]
    assert {**foreign, "contact": None, "index": 1} == {**missing, "contact": None}
    assert (await get(api, uuid))["first"] == ""


# ── delete ───────────────────────────────────────────────────────────────────────────────────


async def test_delete_deletes_each_contact(api: Api) -> None:
    """An unknown contact, or a contact of another team, is ignored."""
    deleted = [await api.contact(), await api.contact(("phone", PHONE["channel_id"]))]
    remaining = await api.contact()
    foreign = await api.contact(by=api.charlie.by_key())
    body = deletion(deleted[0], NOBODY, foreign, deleted[1].upper(), deleted[0])

    response = await api.request("DELETE", "/v2/contacts", body)

    assert (response.status_code, response.json()) == (200, "ok")
    assert (await api.request("DELETE", "/v2/contacts", body)).json() == "ok"
    rows = (await api.request("POST", "/v2/contacts/list")).json()
    assert [contact["uuid"] for contact in rows] == [remaining]
    by = api.charlie.by_key()
    assert (await api.request("GET", f"/v2/contact/{foreign}", by=by)).status_code == 200
    assert await api.contact(("phone", PHONE["channel_id"]))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (deletion(NOBODY, kind="phone"), (400, "bad_value")),
        ({"contact_channels": []}, (400, "bad_value")),
        ({"contact_channels": deletion()["contact_channels"] * 2}, (400, "bad_value")),  # type: ignore[operator]
        (deletion("7"), (400, "bad_uuid")),
        (deletion(*[NOBODY] * 1001), (400, "too_many")),
        ({"contact_channels": [{"channel_ids": []}]}, (400, "missing_field")),
        (None, (400, "malformed_json")),
    ],
)
async def test_a_malformed_delete_is_refused(
    api: Api, body: object, expected: tuple[int, str]
) -> None:
    assert refusal(await api.request("DELETE", "/v2/contacts", body)) == expected


async def test_a_delete_is_validated_before_any_contact_is_deleted(api: Api) -> None:
    uuid = await api.contact()
    response = await api.request("DELETE", "/v2/contacts", deletion(uuid, "7"))

    assert refusal(response) == (400, "bad_uuid")
    assert (await get(api, uuid))["uuid"] == uuid


# ── a retry under the same key ───────────────────────────────────────────────────────────────


async def test_a_retry_continues_after_the_last_written_row(api: Api) -> None:
    """As after a crash: rows were written, but the whole response was not stored."""
    by = {**api.bob.by_key(), "idempotency-key": "k"}
    rows = {"contacts": [{"first": "A"}, {"first": "B"}]}
    first = await api.request("POST", "/v2/contacts", rows, by=by)
    team = api.bob.team.team_id
    await sql_runner(api.database)(
        f"DELETE FROM idempotency WHERE team_id = {team} AND key IN ('k', 'k 1')"
    )

    again = await api.request("POST", "/v2/contacts", rows, by=by)

    created = [
        [contact["uuid"] for contact in response.json()["contacts"]] for response in (first, again)
    ]
    assert created[0][0] == created[1][0]
    assert created[0][1] != created[1][1]
    assert "idempotent-replayed" not in again.headers
    third = await api.request("POST", "/v2/contacts", rows, by=by)
    assert (third.content, third.headers["idempotent-replayed"]) == (again.content, "true")


async def test_a_response_with_too_many_contacts_is_not_stored_whole(
    api: Api,
) -> None:
    """A retry gets the same response from the stored rows."""
    team = api.bob.team.team_id
    for number, whole in (
        (contacts.MAX_NAMED_CONTACTS, True),
        (contacts.MAX_NAMED_CONTACTS, False),
    ):
        key = f"whole-{whole}"
        by = {**api.bob.by_key(), "idempotency-key": key}
        # The contact that the first row creates counts too.
        uuids = [str(UUID(int=value)) for value in range(number - whole)]
        rows = {"contacts": [{"first": "A"}, {"phone": "nope", "custom": {"of": uuids}}]}

        first = await api.request("POST", "/v2/contacts", rows, by=by)
        again = await api.request("POST", "/v2/contacts", rows, by=by)

        assert first.status_code == 200, first.text
        assert again.content == first.content
        assert ("idempotent-replayed" in again.headers) is whole
        stored = await sql_runner(api.database)(
            f"SELECT key FROM idempotency WHERE team_id = {team} AND key LIKE '{key}%'"
        )
        assert {row[0] for row in stored} == {f"{key} 0", *([key] if whole else [])}


async def test_a_different_request_under_the_same_key_is_refused(api: Api) -> None:
    """This holds even if the first request ended between its rows."""
    by = {**api.bob.by_key(), "idempotency-key": "k"}
    await api.request("POST", "/v2/contacts", {"contacts": [{"first": "A"}]}, by=by)
    team = api.bob.team.team_id
    await sql_runner(api.database)(f"DELETE FROM idempotency WHERE team_id = {team} AND key = 'k'")

    response = await api.request("POST", "/v2/contacts", {"contacts": [{"first": "B"}]}, by=by)

    assert refusal(response) == (422, "key_reused")
    assert len((await api.request("POST", "/v2/contacts/list")).json()) == 1
