"""Creating, reading and deleting contacts (contract section 6)."""

from __future__ import annotations

import json
import re
from uuid import UUID

import pytest

from tests.support.http import refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

KEYS = ["id", "rev", "uuid"]  # in the vendor's response to a create
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
PHONE = {"channel_type": "phone", "channel_id": "15105553344"}
EMAIL = {"channel_type": "email", "channel_id": "alice@example.com"}
FULL: dict[str, object] = {
    "first": "Alice",
    "last": "Liddell",
    "display_name": "Alice \u202e\U0001f600",
    "avatar": "https://example.com/a.png",
    "assignee_id": 7,
    "external_id": "crm-1",
    "is_opted_out": True,
    "custom": {"1": "x", "2": [1, {"a": None}], "é": -1.5},
    "tags": [{"tag_id": 3}, {"tag_id": 9}],
}


async def test_post_creates_a_contact_that_get_returns(api: Api) -> None:
    created = await api.request("POST", "/v2/contact", {**FULL, "contact_channels": [PHONE, EMAIL]})
    contact = created.json()

    assert created.status_code == 200, created.text
    assert set(KEYS) <= set(contact)
    assert str(UUID(contact["uuid"])) == contact["uuid"]
    assert contact["rev"] == 1
    assert contact["team_id"] == api.bob.team.team_id
    expected = {**FULL, "assigned_user_id": FULL["assignee_id"]}
    del expected["assignee_id"]
    assert {key: contact[key] for key in expected} == expected
    assert (contact["phone"], contact["email"]) == ("15105553344", "alice@example.com")
    assert contact["created"] == contact["updated"]
    assert TIMESTAMP.fullmatch(contact["created"])
    assert (await api.request("GET", f"/v2/contact/{contact['uuid']}")).json() == contact


@pytest.mark.parametrize("body", [{}, {"contact_channels": []}, {"contact_channels": None}])
async def test_channels_may_be_empty_or_absent(api: Api, body: dict[str, object]) -> None:
    response = await api.request("POST", "/v2/contact", body)

    assert response.status_code == 200, response.text
    assert response.json()["contact_channels"] == []
    assert (response.json()["phone"], response.json()["email"]) == ("", "")


async def test_phone_and_email_are_stored_as_channels(api: Api) -> None:
    body = {"phone": "+1 510-555-3344", "email": "Alice@EXAMPLE.com", "contact_channels": [EMAIL]}
    contact = (await api.request("POST", "/v2/contact", body)).json()
    path = f"/v2/contact/{contact['uuid']}"

    assert [channel["channel_type"] for channel in contact["contact_channels"]] == [
        "phone",
        "email",
    ]
    assert (contact["phone"], contact["email"]) == ("15105553344", "Alice@example.com")
    await api.request("PUT", f"{path}/channel", {**PHONE, "channel_id": "14155551234"})
    await api.request("DELETE", f"{path}/channel/email")
    after = (await api.request("GET", path)).json()
    assert (after["phone"], after["email"]) == ("14155551234", "")


async def test_each_change_increments_the_revision_by_one(api: Api) -> None:
    uuid = await api.contact()
    path = f"/v2/contact/{uuid}"
    seen = [(await api.request("GET", path)).json()]
    for method, tail, body in [
        ("POST", "/channel", PHONE),
        ("POST", "/channel", PHONE),
        ("PUT", "/channel", PHONE),
        ("PUT", "/channel", {**PHONE, "channel_handle": "a"}),
        ("POST", "/channel", {**PHONE, "channel_handle": ""}),
        ("DELETE", "/channel/phone", None),
        ("DELETE", "/channel/phone", None),
    ]:
        await api.request(method, path + tail, body)
        seen.append((await api.request("GET", path)).json())

    assert [contact["rev"] for contact in seen] == [1, 2, 2, 2, 3, 4, 5, 5]
    times = [contact["updated"] for contact in seen]
    assert len(set(times)) == 5
    assert times == sorted(times)
    assert {contact["created"] for contact in seen} == {seen[0]["created"]}


async def test_updated_increases_when_the_clock_goes_back(api: Api) -> None:
    uuid = await api.contact()
    before = (await api.request("GET", f"/v2/contact/{uuid}")).json()
    api.clock.forward(-3600)
    await api.request("POST", f"/v2/contact/{uuid}/channel", PHONE)

    after = (await api.request("GET", f"/v2/contact/{uuid}")).json()

    assert after["updated"] > before["updated"]


async def test_no_contact_is_created_with_an_address_of_another(api: Api) -> None:
    owner = await api.contact(("phone", "15105553344"))

    response = await api.request(
        "POST", "/v2/contact", {"phone": "+1 (510) 5553344", "email": "a@b.test"}
    )

    assert refusal(response) == (409, "address_taken")
    assert response.json()["conflicting_contact_id"] == owner
    assert response.json()["channel_id"] == "15105553344"
    assert (await api.request("POST", "/v2/contact", {"email": "a@b.test"})).status_code == 200


async def test_an_external_id_is_unique(api: Api) -> None:
    first = (await api.request("POST", "/v2/contact", {"external_id": "crm-1"})).json()

    response = await api.request("POST", "/v2/contact", {"external_id": "crm-1"})

    assert refusal(response) == (409, "external_id_taken")
    assert response.json()["conflicting_contact_id"] == first["uuid"]
    for _ in range(2):
        assert (await api.request("POST", "/v2/contact", {"external_id": ""})).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([1], "body"),
        ("text", "body"),
        (0, "body"),
        ({"contact_channels": {}}, "contact_channels"),
        ({"contact_channels": [PHONE, 1]}, "contact_channels[1]"),
        ({"contact_channels": [{"channel_type": "phone"}]}, "contact_channels[0].channel_id"),
        ({"phone": "alice"}, "phone"),
        ({"email": "alice"}, "email"),
        (
            {"contact_channels": [PHONE, {"channel_type": "Id", "channel_id": "1"}]},
            "contact_channels[1].channel_type",
        ),
        (
            {"contact_channels": [{"channel_type": "phone", "channel_id": "x"}]},
            "contact_channels[0].channel_id",
        ),
        ({"first": 1}, "first"),
        ({"first": "a\u0000"}, "first"),
        ({"last": "x" * 256}, "last"),
        ({"external_id": 7}, "external_id"),
        ({"assignee_id": "7"}, "assignee_id"),
        ({"assignee_id": 2**53}, "assignee_id"),
        ({"is_opted_out": 1}, "is_opted_out"),
        ({"custom": [1]}, "custom"),
        ({"tags": [1]}, "tags[0]"),
        ({"tags": [{"tag_id": -1}]}, "tags[0].tag_id"),
        ({"tags": [{"tag_id": 1}] * 6}, "tags"),
    ],
)
async def test_the_error_names_the_wrong_field(api: Api, body: object, field: str) -> None:
    response = await api.request("POST", "/v2/contact", body)

    assert response.status_code == 400, response.text
    assert list(response.json()["fields"]) == [field]


@pytest.mark.parametrize(
    "text",
    [
        '{"1": "a\\u0000b"}',
        '{"a\\u0000": 1}',
        '{"1": 123456789012345678901234567890}',
        '{"1": -9223372036854775809}',
        '{"1": 18446744073709551615}',
        '{"1": 1e308, "2": -0.0, "3": 5e-324, "4": 0.1}',
        '{"1": 1e400}',
        '{"1": "\\ud83d\\ude00"}',
        '{"1": "\\ud83d"}',
        '{"' + "k" * 100_000 + '": "v"}',
        '{"": {"": []}}',
        *('{"1": ' + "[" * depth + "]" * depth + "}" for depth in (50, 200, 900, 980, 1000, 5000)),
    ],
    ids=range(17),
)
async def test_custom_fields_are_returned_as_sent_or_refused(api: Api, text: str) -> None:
    """No JSON value causes a server error on either store."""
    response = await api.request("POST", "/v2/contact", b'{"custom": ' + text.encode() + b"}")

    assert response.status_code in (200, 400), response.text
    if response.status_code == 200:
        again = await api.request("GET", f"/v2/contact/{response.json()['uuid']}")
        assert again.status_code == 200, again.text
        assert again.json()["custom"] == json.loads(text)


# ── DELETE ───────────────────────────────────────────────────────────────────────────────────


async def test_delete_hides_the_contact_and_frees_its_addresses(api: Api) -> None:
    uuid = await api.contact(("phone", "15105553344"), ("email", "alice@example.com"))
    path = f"/v2/contact/{uuid}"

    response = await api.request("DELETE", path)

    assert (response.status_code, response.json()) == (200, "contact deleted")
    for method, tail, body in [
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/channels", None),
        ("GET", "/channel/phone", None),
        ("DELETE", "/channel/phone", None),
        ("POST", "/channel", PHONE),
        ("PUT", "/channel", PHONE),
    ]:
        assert refusal(await api.request(method, path + tail, body)) == (404, "no_contact"), method
    assert await api.contact(("phone", "15105553344"), ("email", "ALICE@example.com"))


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("text", ["1", "alice", "%00"])
async def test_a_contact_id_that_is_not_a_uuid_is_refused(api: Api, method: str, text: str) -> None:
    assert refusal(await api.request(method, f"/v2/contact/{text}")) == (400, "bad_uuid")
