"""Many contacts in one request: partial success, and nothing at all beyond the bounds."""

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
from tests.support.raw_sql import beside

pytestmark = pytest.mark.anyio

PHONE = {"channel_type": "phone", "channel_id": "15105553344"}


async def bulk(api: Api, *rows: object, query: str = "") -> Any:
    answer = await api.request("POST", f"/v2/contacts{query}", {"contacts": rows})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def get(api: Api, uuid: str) -> Any:
    return (await api.request("GET", f"/v2/contact/{uuid}")).json()


def deletion(*uuids: str, kind: str = "id") -> dict[str, object]:
    return {"contact_channels": [{"channel_type": kind, "channel_ids": uuids}]}


# ── create and update ────────────────────────────────────────────────────────────────────────


async def test_it_works(api: Api) -> None:
    """A row with a `contact_id` is an update, one without is made; both come back whole."""
    uuid = await api.contact(("email", "alice@example.com"))

    told = await bulk(
        api,
        {"first": "Bob", "contact_channels": [{**PHONE, "channel_handle": "b"}]},
        {"contact_id": uuid.upper(), "first": "Alice"},
        {"contact_id": None},
    )

    assert told["failed_contacts"] == []
    made, updated, empty = told["contacts"]
    assert (made["first"], made["phone"], made["rev"]) == ("Bob", PHONE["channel_id"], 1)
    assert made["contact_channels"][0]["channel_handle"] == "b"
    assert (updated["uuid"], updated["first"], updated["rev"]) == (uuid, "Alice", 2)
    assert updated["email"] == "alice@example.com"
    for one in (made, updated, empty):
        assert await get(api, one["uuid"]) == one
    assert await bulk(api) == {"contacts": [], "failed_contacts": []}


async def test_one_bad_row_fails_alone_and_is_echoed_as_sent(api: Api) -> None:
    """Byte for byte, whatever it holds, with the reason in three forms."""
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

    answer = await api.request("POST", "/v2/contacts", b'{"contacts": [%s]}' % b", ".join(rows))

    told = answer.json()
    assert [one["first"] for one in told["contacts"]] == ["first", "last"]
    assert [(one["error"], one["error_code"]) for one in told["failed_contacts"]] == [
        (error, code) for _, error, code in bad
    ]
    for row, failed in zip(bad, told["failed_contacts"], strict=True):
        assert {"contact", "index", "error", "error_code", "message"} <= set(failed)
        assert failed["contact"] == json.loads(row[0])
        assert row[0] in answer.content
        assert failed["message"].endswith(".")
    assert owner in told["failed_contacts"][1]["message"]


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
async def test_a_failed_row_says_what_the_same_single_write_says(
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
    asker_ = await create_team_client(api.administration, "US team", api.clock, region="US")
    rows = {"contacts": [{"phone": "(646) 555-0123"}]}

    answer = await api.request("POST", "/v2/contacts", rows, by=asker_.by_key())

    [failed] = answer.json()["failed_contacts"]
    assert failed["error_code"] == "ambiguous"
    assert sorted(failed["readings"]) == ["+16465550123", "+6465550123"]
    assert set(failed["fields"]) == {"phone"}


async def test_rows_see_the_rows_before_them(api: Api) -> None:
    told = await bulk(api, {"phone": PHONE["channel_id"]}, {"phone": PHONE["channel_id"]})

    assert len(told["contacts"]) == 1
    assert [one["error_code"] for one in told["failed_contacts"]] == ["address_taken"]


async def test_the_options_are_for_every_row(api: Api) -> None:
    owner = await api.contact(("phone", PHONE["channel_id"]))
    uuid = (await bulk(api, {"custom": {"1": "x"}}))["contacts"][0]["uuid"]

    told = await bulk(
        api,
        {"contact_id": uuid, "custom": {"2": "y"}, "contact_channels": [PHONE]},
        query="?on_conflict=move&overwrite=true&representation=integer_ids",
    )

    assert told["contacts"][0]["custom"] == {"2": "y"}
    assert isinstance(told["contacts"][0]["contact_channels"][0]["id"], int)
    assert (await get(api, owner))["contact_channels"] == []


@pytest.mark.parametrize("api_database", ["sqlite"], indirect=True)
async def test_a_store_that_takes_no_write_is_a_503_soon(api: Api) -> None:
    """Another program holds the file: no row is tried after the first."""
    other = apsw.Connection(str(sqlite_path(api.database)))
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    answer = await api.request("POST", "/v2/contacts", {"contacts": [{"first": "A"}] * 10})
    took = time.monotonic() - began
    other.execute("ROLLBACK")
    other.close()

    assert refusal(answer) == (503, "store_unavailable")
    assert answer.headers["retry-after"] == "1"
    assert took < 3
    assert (await api.request("POST", "/v2/contact", {"first": "B"})).status_code == 200
    told = (await api.request("POST", "/v2/contacts/list", {})).json()
    assert [one["first"] for one in told] == ["B"], "what was refused was done later"


@pytest.mark.parametrize("api_database", ["postgres"], indirect=True)
async def test_a_row_that_others_hold_fails_alone(api: Api) -> None:
    uuid = await api.contact()
    other = await asyncpg.connect(api.database)
    async with other.transaction():
        await other.fetch("SELECT id FROM contact WHERE uuid = $1 FOR UPDATE", uuid)
        told = await bulk(api, {"contact_id": uuid, "first": "A"}, {"first": "B"})
        alone = await api.request("PUT", f"/v2/contact/{uuid}", {"first": "A"})
    await other.close()

    assert [one["first"] for one in told["contacts"]] == ["B"]
    assert [one["error_code"] for one in told["failed_contacts"]] == ["contended"]
    assert (refusal(alone), alone.headers["retry-after"]) == ((503, "contended"), "1")


async def test_the_rows_for_which_there_is_no_time_are_told(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done is told, too: the answer does not become a refusal of the whole."""
    left = iter([60.0, 1.0, 1.0])
    monkeypatch.setattr(contacts, "CHUNK_ROWS", 1)
    monkeypatch.setattr(contacts, "_seconds_left", lambda _: next(left))

    told = await bulk(api, {"first": "A"}, {"first": "B"}, {"first": "C"})

    assert [one["first"] for one in told["contacts"]] == ["A"]
    assert [one["contact"]["first"] for one in told["failed_contacts"]] == ["B", "C"]


async def test_one_bad_row_of_a_thousand_fails_alone(api: Api) -> None:
    """It stands among rows that are written in one transaction."""
    owner = await api.contact(("phone", "15105550500"))
    rows = [{"first": f"Person {n}", "phone": f"1510555{n:04d}"} for n in range(1000)]
    rows[7] = {"first": 7}  # type: ignore[dict-item]
    rows[8] = {"first": "Bad", "phone": "12"}

    told = await bulk(api, *rows)

    failed = told["failed_contacts"]
    assert [one["index"] for one in failed] == [7, 8, 500]
    assert failed[2]["conflicting_contact_id"] == owner
    firsts = [one["first"] for one in told["contacts"]]
    assert firsts == [f"Person {n}" for n in range(1000) if n not in (7, 8, 500)]


async def test_rows_that_claim_the_same_are_written_in_their_order(api: Api) -> None:
    """The first row frees an address that a later one takes, which another one wants as well."""
    alice = await api.contact(("phone", "15105553344"))

    told = await bulk(
        api,
        {"first": "Early", "phone": "15105550001"},
        {"contact_id": alice, "phone": "15105550002"},
        {"first": "Heir", "phone": "15105553344"},
        {"first": "Late", "phone": "15105553344"},
        {"first": "Too late", "phone": "15105550002"},
    )

    assert [one["first"] for one in told["contacts"]] == ["Early", "", "Heir"]
    heir = told["contacts"][2]["uuid"]
    assert [one["index"] for one in told["failed_contacts"]] == [3, 4]
    owners = [one["conflicting_contact_id"] for one in told["failed_contacts"]]
    assert owners == [heir, alice]


async def test_a_move_takes_an_address_within_many_rows(api: Api) -> None:
    owner = await api.contact(("phone", "15105553344"))

    told = await bulk(
        api,
        {"first": "A", "phone": "15105550001"},
        {"first": "B", "phone": "15105553344"},
        query="?on_conflict=move",
    )

    assert told["failed_contacts"] == []
    assert (await get(api, owner))["contact_channels"] == []
    assert [one["phone"] for one in told["contacts"]] == ["15105550001", "15105553344"]


async def test_rows_of_an_unknown_outcome_are_not_tried_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction may have been committed, so trying again could create contacts twice."""
    create = api.store.create_contacts

    async def lost(*arguments: Any) -> list[Any]:
        await create(*arguments)
        raise unavailable("the connection was lost")

    monkeypatch.setattr(api.store, "create_contacts", lost)
    rows = [{"first": f"Person {n}"} for n in range(3)]
    answer = await api.request("POST", "/v2/contacts", {"contacts": rows})
    monkeypatch.undo()

    assert refusal(answer) == (503, "store_unavailable")
    assert len((await api.request("POST", "/v2/contacts/list")).json()) == 3


async def test_a_row_that_waits_for_a_release_keeps_its_place(api: Api) -> None:
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


async def test_updates_of_an_unknown_outcome_are_not_tried_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = (await bulk(api, {"first": "Alice"}))["contacts"][0]["uuid"]
    change = api.store.update_contacts

    async def lost(*arguments: Any) -> list[Any]:
        await change(*arguments)
        raise unavailable("the connection was lost")

    monkeypatch.setattr(api.store, "update_contacts", lost)
    rows = {"contacts": [{"contact_id": uuid, "last": "Smith"}]}
    answer = await api.request("POST", "/v2/contacts", rows)
    monkeypatch.undo()

    assert refusal(answer) == (503, "store_unavailable")
    assert [event["rev"] for event in await history(api, uuid)] == [2, 1]


async def test_a_retry_replays_every_update(api: Api) -> None:
    rows = [{"first": f"Person {n}"} for n in range(5)]
    made = (await bulk(api, *rows))["contacts"]
    headers = {**api.bob.by_key(), "idempotency-key": "update"}
    body = {"contacts": [{"contact_id": each["uuid"], "last": "Smith"} for each in made]}
    first = await api.request("POST", "/v2/contacts", body, by=headers)
    await beside(api.database)("DELETE FROM idempotency WHERE key = 'update'")

    again = await api.request("POST", "/v2/contacts", body, by=headers)

    assert again.json() == first.json()
    assert len(first.json()["contacts"]) == 5
    assert [event["rev"] for event in await history(api, made[0]["uuid"])] == [2, 1]


async def history(api: Api, uuid: str) -> list[Any]:
    path = f"/x/contact/{uuid}/history"
    return list((await api.request("GET", path)).json()["events"])


async def test_a_retry_replays_every_row(api: Api) -> None:
    """The rows of the first request were written together; the whole response was not stored."""
    headers = {**api.bob.by_key(), "idempotency-key": "import"}
    rows = [{"first": f"Person {n}", "phone": f"1510555{n:04d}"} for n in range(20)]
    first = await api.request("POST", "/v2/contacts", {"contacts": rows}, by=headers)
    await beside(api.database)("DELETE FROM idempotency WHERE key = 'import'")

    again = await api.request("POST", "/v2/contacts", {"contacts": rows}, by=headers)

    assert again.json() == first.json()
    assert len(first.json()["contacts"]) == 20
    for table in ("contact", "idempotency_contact"):
        counted = f"SELECT count(*) FROM {table} WHERE team_id = {api.bob.team.team_id}"
        more = " AND key <> 'import'" if table == "idempotency_contact" else ""
        assert await beside(api.database)(counted + more) == [(20,)]


async def test_more_rows_than_a_thousand_are_refused_before_any_work(api: Api) -> None:
    rows: list[object] = [{"first": "A"}] * 1001

    answer = await api.request("POST", "/v2/contacts", {"contacts": rows})

    assert refusal(answer) == (400, "too_many")
    assert (await api.request("POST", "/v2/contacts/list")).json() == []


async def test_a_thousand_rows_are_taken(api: Api) -> None:
    told = await bulk(api, *[{"first": "A"}] * 1000)
    assert (len(told["contacts"]), told["failed_contacts"]) == (1000, [])


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


async def test_charlie_updates_nothing_of_bobs(api: Api) -> None:
    uuid = await api.contact()
    rows = {"contacts": [{"contact_id": uuid, "first": "Mine"}, {"contact_id": NOBODY}]}

    answer = await api.request("POST", "/v2/contacts", rows, by=api.charlie.by_key())

    foreign, missing = answer.json()["failed_contacts"]
    assert {**foreign, "contact": None, "index": 1} == {**missing, "contact": None}
    assert (await get(api, uuid))["first"] == ""


# ── delete ───────────────────────────────────────────────────────────────────────────────────


async def test_delete_takes_each_contact(api: Api) -> None:
    """One that is not there, foreign or not, is no reason to stop."""
    gone = [await api.contact(), await api.contact(("phone", PHONE["channel_id"]))]
    kept = await api.contact()
    foreign = await api.contact(by=api.charlie.by_key())
    asked = deletion(gone[0], NOBODY, foreign, gone[1].upper(), gone[0])

    answer = await api.request("DELETE", "/v2/contacts", asked)

    assert (answer.status_code, answer.json()) == (200, "ok")
    assert (await api.request("DELETE", "/v2/contacts", asked)).json() == "ok"
    rows = (await api.request("POST", "/v2/contacts/list")).json()
    assert [one["uuid"] for one in rows] == [kept]
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
async def test_a_wrong_delete_is_refused(api: Api, body: object, expected: tuple[int, str]) -> None:
    assert refusal(await api.request("DELETE", "/v2/contacts", body)) == expected


async def test_a_delete_is_judged_whole_before_any_work(api: Api) -> None:
    uuid = await api.contact()
    answer = await api.request("DELETE", "/v2/contacts", deletion(uuid, "7"))

    assert refusal(answer) == (400, "bad_uuid")
    assert (await get(api, uuid))["uuid"] == uuid


# ── a retry under the same key ───────────────────────────────────────────────────────────────


async def test_a_retry_goes_on_where_the_first_ended(api: Api) -> None:
    """As after a crash: rows were written, and the whole answer was not kept."""
    by = {**api.bob.by_key(), "idempotency-key": "k"}
    rows = {"contacts": [{"first": "A"}, {"first": "B"}]}
    first = await api.request("POST", "/v2/contacts", rows, by=by)
    team = api.bob.team.team_id
    await beside(api.database)(
        f"DELETE FROM idempotency WHERE team_id = {team} AND key IN ('k', 'k 1')"
    )

    again = await api.request("POST", "/v2/contacts", rows, by=by)

    made = [[one["uuid"] for one in answer.json()["contacts"]] for answer in (first, again)]
    assert made[0][0] == made[1][0]
    assert made[0][1] != made[1][1]
    assert "idempotent-replayed" not in again.headers
    third = await api.request("POST", "/v2/contacts", rows, by=by)
    assert (third.content, third.headers["idempotent-replayed"]) == (again.content, "true")


async def test_a_response_that_speaks_of_too_many_contacts_is_not_stored_whole(
    api: Api,
) -> None:
    """A retry gets the same response, row by row."""
    team = api.bob.team.team_id
    for number, whole in (
        (contacts.MAX_NAMED_CONTACTS, True),
        (contacts.MAX_NAMED_CONTACTS, False),
    ):
        key = f"whole-{whole}"
        by = {**api.bob.by_key(), "idempotency-key": key}
        # The contact of the first row is one more.
        uuids = [str(UUID(int=value)) for value in range(number - whole)]
        rows = {"contacts": [{"first": "A"}, {"phone": "nope", "custom": {"of": uuids}}]}

        first = await api.request("POST", "/v2/contacts", rows, by=by)
        again = await api.request("POST", "/v2/contacts", rows, by=by)

        assert first.status_code == 200, first.text
        assert again.content == first.content
        assert ("idempotent-replayed" in again.headers) is whole
        stored = await beside(api.database)(
            f"SELECT key FROM idempotency WHERE team_id = {team} AND key LIKE '{key}%'"
        )
        assert {row[0] for row in stored} == {f"{key} 0", *([key] if whole else [])}


async def test_another_request_under_the_key_is_refused_whole(api: Api) -> None:
    """Also when the first one ended between its rows."""
    by = {**api.bob.by_key(), "idempotency-key": "k"}
    await api.request("POST", "/v2/contacts", {"contacts": [{"first": "A"}]}, by=by)
    team = api.bob.team.team_id
    await beside(api.database)(f"DELETE FROM idempotency WHERE team_id = {team} AND key = 'k'")

    answer = await api.request("POST", "/v2/contacts", {"contacts": [{"first": "B"}]}, by=by)

    assert refusal(answer) == (422, "key_reused")
    assert len((await api.request("POST", "/v2/contacts/list")).json()) == 1
