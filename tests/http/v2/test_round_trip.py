"""A contact that a client read, changed in one place, and sent back whole: nothing else is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.personas import NOBODY, Api

pytestmark = pytest.mark.anyio

PHONE, OTHER_PHONE = "15105553344", "14155551234"
EMAIL, OTHER_EMAIL = "alice@example.com", "other@example.com"
OPTED_OUT = {"consent": "opted_out", "held": True}


async def read(api: Api) -> tuple[str, Any]:
    """A contact none of whose channels may be used: the UUID, and what the vendor's clients see."""
    uuid = await api.contact(("phone", PHONE), ("email", EMAIL))
    for one in (await api.request("GET", f"/x/contact/{uuid}/channels")).json():
        await api.request("PATCH", f"/x/contact/{uuid}/channel/{one['id']}", OPTED_OUT)
    return uuid, (await api.request("GET", f"/v2/contact/{uuid}")).json()


async def sent_back(api: Api, uuid: str, whole: object) -> dict[str, tuple[str, bool, bool]]:
    """What is known of each address when the contact has been put as it is sent."""
    answer = await api.request("PUT", f"/v2/contact/{uuid}", whole)
    assert answer.status_code == 200, answer.text
    known = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
    return {one["channel_id"]: (one["consent"], one["held"], one["primary"]) for one in known}


async def test_it_works(api: Api) -> None:
    uuid, whole = await read(api)

    told = await sent_back(api, uuid, {**whole, "first": "Alice"})

    assert told == {PHONE: ("opted_out", True, True), EMAIL: ("opted_out", True, True)}


async def test_another_phone_comes_beside_the_old_one(api: Api) -> None:
    uuid, whole = await read(api)
    changed = {**whole, "phone": OTHER_PHONE, "email": OTHER_EMAIL}

    told = await sent_back(api, uuid, changed)

    assert told == {
        **dict.fromkeys((PHONE, EMAIL), ("opted_out", True, False)),
        **dict.fromkeys((OTHER_PHONE, OTHER_EMAIL), ("unknown", False, True)),
    }
    assert await sent_back(api, uuid, changed) == told


@pytest.mark.parametrize("nothing", ["", None])
async def test_an_email_of_null_is_gone(api: Api, nothing: str | None) -> None:
    uuid, whole = await read(api)

    told = await sent_back(api, uuid, {**whole, "email": nothing})

    assert told == {PHONE: ("opted_out", True, True)}


# ── unchanged, in either representation, from PHP too ────────────────────────────────────────

FIELDS = {
    "first": "Alice",
    "assignee_id": 7,
    "external_id": "crm-1",
    "is_opted_out": True,
    "tags": [{"tag_id": 3}],
}


def as_php(whole: Any) -> Any:
    """Returns a contact as PHP sends it: json_decode turns {} into an array, written as []."""
    return json.loads(json.dumps(whole).replace("{}", "[]"))


def as_it_is(whole: Any) -> Any:
    return whole


async def read_as(api: Api, representation: str, fields: dict[str, object]) -> Any:
    """A contact as a client reads it."""
    body = {**fields, "phone": PHONE, "email": EMAIL}
    uuid = (await api.request("POST", "/v2/contact", body)).json()["uuid"]
    query = f"?representation={representation}"
    return (await api.request("GET", f"/v2/contact/{uuid}{query}")).json()


@pytest.mark.parametrize("client", [as_it_is, as_php])
@pytest.mark.parametrize("fields", [FIELDS, {}])
@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
async def test_a_contact_is_accepted_whole_on_put_and_in_bulk(
    api: Api, representation: str, fields: dict[str, object], client: Any
) -> None:
    """Nothing is written, so the revision stays."""
    whole = await read_as(api, representation, fields)
    query = f"?representation={representation}"

    put = await api.request("PUT", f"/v2/contact/{whole['uuid']}{query}", client(whole))
    bulk = await api.request("POST", f"/v2/contacts{query}", {"contacts": [client(whole)]})

    assert (put.status_code, put.json()) == (200, whole)
    assert bulk.json() == {"contacts": [whole], "failed_contacts": []}


async def test_the_user_is_set_under_the_key_of_the_response_too(api: Api) -> None:
    whole = await read_as(api, "string_ids", FIELDS)
    path = f"/v2/contact/{whole['uuid']}"

    async def assigned(**keys: object) -> object:
        answer = await api.request("PUT", path, {**whole, **keys})
        assert answer.status_code == 200, answer.text
        return answer.json()["assigned_user_id"]

    assert whole["assigned_user_id"] == 7
    assert await assigned(assigned_user_id=8) == 8
    assert await assigned(assigned_user_id=8, assignee_id=9) == 9
    assert await assigned(assigned_user_id=9, assignee_id=-1) is None
    assert await assigned() == 7
    assert await assigned(assigned_user_id=None) is None


async def test_the_uuid_of_a_row_makes_it_an_update(api: Api) -> None:
    uuid = await api.contact()
    other = await api.contact()
    rows: list[dict[str, object]] = [
        {"uuid": uuid.upper(), "first": "A"},
        {"uuid": uuid, "contact_id": uuid.upper(), "last": "B"},
        {"uuid": None, "contact_id": None, "first": "new"},
        {"uuid": uuid, "contact_id": other, "first": "which?"},
        {"uuid": NOBODY},
        {"uuid": "7"},
    ]

    answered = (await api.request("POST", "/v2/contacts", {"contacts": rows})).json()

    assert [(one["uuid"] == uuid, one["rev"]) for one in answered["contacts"]] == [
        (True, 2),
        (True, 3),
        (False, 1),
    ]
    codes = [one["error_code"] for one in answered["failed_contacts"]]
    assert codes == ["bad_value", "no_contact", "bad_uuid"]


# ── empty arrays and null ────────────────────────────────────────────────────────────────────


async def test_an_empty_custom_of_php_is_an_empty_object(api: Api) -> None:
    body: dict[str, object] = {"custom": []}
    made = await api.request("POST", "/v2/contact", body)
    resolved = await api.request("POST", "/x/resolve", {"channel_id": PHONE, "create": body})
    bulk = await api.request("POST", "/v2/contacts", {"contacts": [body, []]})
    uuid = made.json()["uuid"]
    await api.request("PUT", f"/v2/contact/{uuid}", {"custom": {"1": "x"}})
    merged = await api.request("PUT", f"/v2/contact/{uuid}", body)
    cleared = await api.request("PUT", f"/v2/contact/{uuid}?overwrite=true", body)

    assert made.json()["custom"] == {}
    assert resolved.json()["contact"]["custom"] == {}
    assert [one["custom"] for one in bulk.json()["contacts"]] == [{}, {}]
    assert merged.json()["custom"] == {"1": "x"}
    assert cleared.json()["custom"] == {}


async def test_a_custom_that_is_an_array_of_something_is_refused(api: Api) -> None:
    answer = await api.request("POST", "/v2/contact", {"custom": [1]})

    assert (answer.status_code, answer.json()["error_code"]) == (400, "wrong_type")
    assert list(answer.json()["fields"]) == ["custom"]


@pytest.mark.parametrize("empty", [b"[]", b" [\n] ", b"{}"])
async def test_an_empty_array_is_an_empty_body(api: Api, empty: bytes) -> None:
    """It is accepted wherever a body needs no key."""
    uuid = await api.contact(("phone", PHONE))
    [phone] = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
    channel = f"/x/contact/{uuid}/channel/{phone['id']}"
    for method, path in [
        ("POST", "/v2/contacts/list"),
        ("POST", "/v2/contact"),
        ("PUT", f"/v2/contact/{uuid}"),
        ("PATCH", channel),
        ("POST", f"{channel}/primary"),
        ("GET", channel),
        ("GET", f"/v2/contact/{uuid}"),
        ("GET", f"/v2/contact/{uuid}/channels"),
        ("GET", f"/v2/contact/{uuid}/channel/phone"),
        ("GET", f"/x/contact/{uuid}/channels"),
        ("GET", f"/x/contact/{uuid}/history"),
        ("GET", "/x/events"),
        ("GET", "/v1/team"),
        ("GET", f"/x/contact/{uuid}/export"),
        ("DELETE", f"/v2/contact/{uuid}/channel/phone"),
        ("DELETE", f"/v2/contact/{uuid}"),
        ("DELETE", f"/x/contact/{uuid}/erase"),
    ]:
        answer = await api.request(method, path, empty)

        assert answer.status_code == 200, (method, path, answer.text)


async def test_an_empty_array_is_no_body_that_needs_a_key(api: Api) -> None:
    uuid = await api.contact()
    for method, path in [
        ("POST", f"/v2/contact/{uuid}/channel"),
        ("POST", "/v2/contacts"),
        ("POST", "/v2/contacts/search"),
        ("DELETE", "/v2/contacts"),
        ("POST", "/x/resolve"),
        ("POST", "/x/resolve/batch"),
    ]:
        answer = await api.request(method, path, b"[]")

        assert (answer.status_code, answer.json()["error_code"]) == (400, "wrong_type"), path


async def test_null_is_accepted_for_every_optional_field(api: Api) -> None:
    """Null clears a field; a filter or an option takes its default."""
    whole = await read_as(api, "string_ids", {**FIELDS, "custom": {"1": "x"}})
    optional = [*FIELDS, *("assigned_user_id", "last", "display_name", "avatar", "custom")]
    optional += ["phone", "email", "contact_channels"]
    nulls = dict.fromkeys(optional)

    for body in (nulls, {**nulls, "contact_id": None, "uuid": None}):
        assert (await api.request("POST", "/v2/contact", body)).status_code == 200
    cleared = (await api.request("PUT", f"/v2/contact/{whole['uuid']}", nulls)).json()
    listed = {"limit": None, "date": None, "ascending": None}
    sought = {"contact_channels": [{"channel_type": None, "channel_ids": [PHONE]}]}
    new = {"channel_id": PHONE, "channel_type": None, "info_channel": None, "create": None}

    emptied: dict[str, object] = {
        **dict.fromkeys(("first", "phone", "email"), ""),
        "assigned_user_id": None,
        "external_id": None,
        "is_opted_out": False,
        "custom": {},
        "tags": [],
        "contact_channels": [],
    }
    assert cleared == {**whole, **emptied, "rev": 2, "updated": cleared["updated"]}
    assert (await api.request("POST", "/v2/contacts/list", listed)).status_code == 200
    assert (await api.request("POST", "/v2/contacts/search", sought)).status_code == 200
    assert (await api.request("POST", "/x/resolve", new)).status_code == 200


async def test_a_null_ends_no_opt_out_and_no_hold(api: Api) -> None:
    """A client that writes each field of a model, set or not, changes only the label."""
    uuid, _ = await read(api)
    channels = f"/x/contact/{uuid}/channels"
    [phone, _] = (await api.request("GET", channels)).json()
    body = {"label": "work", "held": None, "consent": None}

    patched = await api.request("PATCH", f"/x/contact/{uuid}/channel/{phone['id']}", body)

    assert patched.json() == {**phone, "label": "work", "updated": patched.json()["updated"]}
