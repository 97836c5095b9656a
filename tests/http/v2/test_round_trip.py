"""A client reads a contact, changes one field and sends it back: other fields are unchanged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.personas import NOBODY, Api

pytestmark = pytest.mark.anyio

PHONE, OTHER_PHONE = "15105553344", "14155551234"
EMAIL, OTHER_EMAIL = "alice@example.com", "other@example.com"
OPTED_OUT = {"consent": "opted_out", "held": True}


async def create_opted_out(api: Api) -> tuple[str, Any]:
    """Creates a contact with opted-out channels, and returns its UUID and its representation."""
    uuid = await api.contact(("phone", PHONE), ("email", EMAIL))
    for channel in (await api.request("GET", f"/x/contact/{uuid}/channels")).json():
        await api.request("PATCH", f"/x/contact/{uuid}/channel/{channel['id']}", OPTED_OUT)
    return uuid, (await api.request("GET", f"/v2/contact/{uuid}")).json()


async def put_whole(api: Api, uuid: str, whole: object) -> dict[str, tuple[str, bool, bool]]:
    """Puts a contact, and returns consent, held and primary of each of its addresses."""
    response = await api.request("PUT", f"/v2/contact/{uuid}", whole)
    assert response.status_code == 200, response.text
    listed = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
    return {
        channel["channel_id"]: (channel["consent"], channel["held"], channel["primary"])
        for channel in listed
    }


async def test_a_put_of_the_whole_contact_does_not_change_consent_or_holds(api: Api) -> None:
    uuid, whole = await create_opted_out(api)

    states = await put_whole(api, uuid, {**whole, "first": "Alice"})

    assert states == {PHONE: ("opted_out", True, True), EMAIL: ("opted_out", True, True)}


async def test_a_new_phone_is_added_beside_the_old_phone(api: Api) -> None:
    uuid, whole = await create_opted_out(api)
    changed = {**whole, "phone": OTHER_PHONE, "email": OTHER_EMAIL}

    states = await put_whole(api, uuid, changed)

    assert states == {
        **dict.fromkeys((PHONE, EMAIL), ("opted_out", True, False)),
        **dict.fromkeys((OTHER_PHONE, OTHER_EMAIL), ("unknown", False, True)),
    }
    assert await put_whole(api, uuid, changed) == states


@pytest.mark.parametrize("empty_email", ["", None])
async def test_an_empty_email_deletes_the_channel(api: Api, empty_email: str | None) -> None:
    uuid, whole = await create_opted_out(api)

    states = await put_whole(api, uuid, {**whole, "email": empty_email})

    assert states == {PHONE: ("opted_out", True, True)}


# ── unchanged, in both representations, and from PHP ─────────────────────────────────────────

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


def unchanged(whole: Any) -> Any:
    return whole


async def create_and_read(api: Api, representation: str, fields: dict[str, object]) -> Any:
    """Creates a contact and returns it as a client reads it."""
    body = {**fields, "phone": PHONE, "email": EMAIL}
    uuid = (await api.request("POST", "/v2/contact", body)).json()["uuid"]
    query = f"?representation={representation}"
    return (await api.request("GET", f"/v2/contact/{uuid}{query}")).json()


@pytest.mark.parametrize("client", [unchanged, as_php])
@pytest.mark.parametrize("fields", [FIELDS, {}])
@pytest.mark.parametrize("representation", ["string_ids", "integer_ids"])
async def test_a_whole_contact_is_accepted_by_put_and_in_bulk(
    api: Api, representation: str, fields: dict[str, object], client: Any
) -> None:
    """Nothing is written, so the revision is unchanged."""
    whole = await create_and_read(api, representation, fields)
    query = f"?representation={representation}"

    put = await api.request("PUT", f"/v2/contact/{whole['uuid']}{query}", client(whole))
    bulk = await api.request("POST", f"/v2/contacts{query}", {"contacts": [client(whole)]})

    assert (put.status_code, put.json()) == (200, whole)
    assert bulk.json() == {"contacts": [whole], "failed_contacts": []}


async def test_the_assignee_can_be_set_under_the_key_of_the_response(api: Api) -> None:
    whole = await create_and_read(api, "string_ids", FIELDS)
    path = f"/v2/contact/{whole['uuid']}"

    async def put_assignee(**keys: object) -> object:
        response = await api.request("PUT", path, {**whole, **keys})
        assert response.status_code == 200, response.text
        return response.json()["assigned_user_id"]

    assert whole["assigned_user_id"] == 7
    assert await put_assignee(assigned_user_id=8) == 8
    assert await put_assignee(assigned_user_id=8, assignee_id=9) == 9
    assert await put_assignee(assigned_user_id=9, assignee_id=-1) is None
    assert await put_assignee() == 7
    assert await put_assignee(assigned_user_id=None) is None


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

    result = (await api.request("POST", "/v2/contacts", {"contacts": rows})).json()

    assert [(contact["uuid"] == uuid, contact["rev"]) for contact in result["contacts"]] == [
        (True, 2),
        (True, 3),
        (False, 1),
    ]
    codes = [row["error_code"] for row in result["failed_contacts"]]
    assert codes == ["bad_value", "no_contact", "bad_uuid"]


# ── empty arrays and null ────────────────────────────────────────────────────────────────────


async def test_an_empty_custom_of_php_is_an_empty_object(api: Api) -> None:
    body: dict[str, object] = {"custom": []}
    created = await api.request("POST", "/v2/contact", body)
    resolved = await api.request("POST", "/x/resolve", {"channel_id": PHONE, "create": body})
    bulk = await api.request("POST", "/v2/contacts", {"contacts": [body, []]})
    uuid = created.json()["uuid"]
    await api.request("PUT", f"/v2/contact/{uuid}", {"custom": {"1": "x"}})
    merged = await api.request("PUT", f"/v2/contact/{uuid}", body)
    cleared = await api.request("PUT", f"/v2/contact/{uuid}?overwrite=true", body)

    assert created.json()["custom"] == {}
    assert resolved.json()["contact"]["custom"] == {}
    assert [contact["custom"] for contact in bulk.json()["contacts"]] == [{}, {}]
    assert merged.json()["custom"] == {"1": "x"}
    assert cleared.json()["custom"] == {}


async def test_a_custom_that_is_a_non_empty_array_is_refused(api: Api) -> None:
    response = await api.request("POST", "/v2/contact", {"custom": [1]})

    assert (response.status_code, response.json()["error_code"]) == (400, "wrong_type")
    assert list(response.json()["fields"]) == ["custom"]


@pytest.mark.parametrize("empty", [b"[]", b" [\n] ", b"{}"])
async def test_an_empty_array_is_an_empty_body(api: Api, empty: bytes) -> None:
    """It is accepted by every operation whose body has no required key."""
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
        response = await api.request(method, path, empty)

        assert response.status_code == 200, (method, path, response.text)


async def test_an_empty_array_is_refused_if_the_body_needs_a_key(api: Api) -> None:
    uuid = await api.contact()
    for method, path in [
        ("POST", f"/v2/contact/{uuid}/channel"),
        ("POST", "/v2/contacts"),
        ("POST", "/v2/contacts/search"),
        ("DELETE", "/v2/contacts"),
        ("POST", "/x/resolve"),
        ("POST", "/x/resolve/batch"),
    ]:
        response = await api.request(method, path, b"[]")

        assert (response.status_code, response.json()["error_code"]) == (400, "wrong_type"), path


async def test_null_is_accepted_for_every_optional_field(api: Api) -> None:
    """Null clears a field; a filter or an option takes its default."""
    whole = await create_and_read(api, "string_ids", {**FIELDS, "custom": {"1": "x"}})
    optional = [*FIELDS, *("assigned_user_id", "last", "display_name", "avatar", "custom")]
    optional += ["phone", "email", "contact_channels"]
    nulls = dict.fromkeys(optional)

    for body in (nulls, {**nulls, "contact_id": None, "uuid": None}):
        assert (await api.request("POST", "/v2/contact", body)).status_code == 200
    cleared = (await api.request("PUT", f"/v2/contact/{whole['uuid']}", nulls)).json()
    list_body = {"limit": None, "date": None, "ascending": None}
    search_body = {"contact_channels": [{"channel_type": None, "channel_ids": [PHONE]}]}
    resolve_body = {"channel_id": PHONE, "channel_type": None, "info_channel": None, "create": None}

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
    assert (await api.request("POST", "/v2/contacts/list", list_body)).status_code == 200
    assert (await api.request("POST", "/v2/contacts/search", search_body)).status_code == 200
    assert (await api.request("POST", "/x/resolve", resolve_body)).status_code == 200


async def test_a_null_does_not_end_an_opt_out_or_a_hold(api: Api) -> None:
    """A client that sends every field of its model, with null for unset ones, changes the label."""
    uuid, _ = await create_opted_out(api)
    channels = f"/x/contact/{uuid}/channels"
    [phone, _] = (await api.request("GET", channels)).json()
    body = {"label": "work", "held": None, "consent": None}

    patched = await api.request("PATCH", f"/x/contact/{uuid}/channel/{phone['id']}", body)

    assert patched.json() == {**phone, "label": "work", "updated": patched.json()["updated"]}
