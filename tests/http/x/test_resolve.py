"""Resolve: finds the contact of an address, or creates it at most once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.http import refusal
from tests.support.personas import Api, create_team_client

pytestmark = pytest.mark.anyio

PHONE, EMAIL = "15105553344", "alice@example.com"
NOT_FOUND = {"contact": None, "channel": None, "created": False, "suppressed": None}


async def resolve(api: Api, body: object, query: str = "", **options: Any) -> Any:
    response = await api.request("POST", f"/x/resolve{query}", body, **options)
    assert response.status_code == 200, response.text
    return response.json()


async def batch(api: Api, *addresses: object, **options: Any) -> list[Any]:
    body = {"addresses": addresses}
    response = await api.request("POST", "/x/resolve/batch", body, **options)
    assert response.status_code == 200, response.text
    return list(response.json()["results"])


async def get_channels(api: Api, uuid: str) -> Any:
    return (await api.request("GET", f"/x/contact/{uuid}/channels")).json()


# ── look up ──────────────────────────────────────────────────────────────────────────────────


async def test_resolve_returns_the_contact_and_the_channel(api: Api) -> None:
    uuid = await api.contact(("email", EMAIL), ("phone", PHONE))

    found = await resolve(api, {"channel_type": "phone", "channel_id": "+1 510-555-3344"})

    assert found["contact"] == (await api.request("GET", f"/v2/contact/{uuid}")).json()
    assert found["channel"] == (await get_channels(api, uuid))[1]
    assert found["created"] is False
    assert list(found) == ["contact", "channel", "created", "suppressed"]


async def test_an_address_without_an_owner_is_a_successful_response(api: Api) -> None:
    assert await resolve(api, {"channel_id": PHONE}) == NOT_FOUND
    uuid = await api.contact(("phone", PHONE))
    await api.request("DELETE", f"/v2/contact/{uuid}")
    assert await resolve(api, {"channel_id": PHONE, "create": None}) == NOT_FOUND


@pytest.mark.parametrize("value", ["ALICE@example.com", "+1 (510) 555.3344", "5491123456789"])
async def test_resolve_infers_the_channel_type(api: Api, value: str) -> None:
    uuid = await api.contact(("email", EMAIL), ("phone", PHONE), ("phone", "541123456789"))
    assert (await resolve(api, {"channel_id": value}))["contact"]["uuid"] == uuid


@pytest.mark.parametrize("kind", ["sms", "whatsapp", "viber", "rcs"])
async def test_a_number_of_another_type_finds_the_owner_of_the_phone(api: Api, kind: str) -> None:
    """It is found, not created, even with `create`; a channel of the given type has precedence."""
    uuid = await api.contact(("phone", PHONE))
    body = {"channel_type": kind, "channel_id": PHONE}

    found = await resolve(api, {**body, "create": {"first": "Other"}})

    assert (found["contact"]["uuid"], found["created"]) == (uuid, False)
    assert found["channel"]["channel_type"] == "phone"
    exact = await api.contact((kind, PHONE))
    assert (await resolve(api, body))["contact"]["uuid"] == exact
    assert (await resolve(api, {"channel_id": PHONE}))["contact"]["uuid"] == uuid


async def test_an_info_channel_restricts_the_lookup(api: Api) -> None:
    body = {"channel_type": "facebook", "channel_id": "100"}
    created = {}
    for page in ("a", "b"):
        created[page] = await resolve(api, {**body, "info_channel": page, "create": {}})
        assert created[page]["created"] is True
    for page, expected in created.items():
        found = await resolve(api, {**body, "info_channel": page})
        assert found["contact"] == expected["contact"]
        assert found["channel"]["info_channel"] == page
    assert await resolve(api, {**body, "info_channel": "c"}) == NOT_FOUND
    assert (await resolve(api, body))["contact"] == created["a"]["contact"]


# ── create ───────────────────────────────────────────────────────────────────────────────────


async def test_resolve_creates_a_contact_once(api: Api) -> None:
    body = {"channel_id": "+1 510 555 3344", "create": {"first": "Alice", "external_id": "1"}}

    first, again = await resolve(api, body), await resolve(api, body)

    assert (first["created"], again["created"]) == (True, False)
    assert first["contact"]["first"] == "Alice"
    assert first["contact"]["phone"] == PHONE
    assert {**first, "created": False} == again


@pytest.mark.parametrize(
    "create",
    [
        {"email": EMAIL, "phone": "14155551234"},
        {"contact_channels": [{"channel_type": "email", "channel_id": EMAIL}]},
        {"phone": PHONE},
    ],
)
async def test_the_returned_channel_has_the_address_of_the_request(
    api: Api, create: dict[str, object]
) -> None:
    """This holds whatever `create` contains, and for a retry with an idempotency key."""
    body = {"channel_type": "phone", "channel_id": PHONE, "info_channel": "inbox", "create": create}
    by = {**api.bob.by_key(), "idempotency-key": "k"}

    created = await resolve(api, body, by=by)

    assert created["channel"]["channel_id"] == PHONE
    assert created["channel"]["info_channel"] == "inbox"
    assert created == await resolve(api, body, by=by)
    assert created["channel"] == (await resolve(api, {"channel_id": PHONE}))["channel"]


async def test_simultaneous_requests_create_one_contact(api: Api) -> None:
    body = {"channel_id": PHONE, "create": {}}

    results = await asyncio.gather(*(resolve(api, body) for _ in range(12)))

    assert len({result["contact"]["uuid"] for result in results}) == 1
    assert [result["created"] for result in results].count(True) == 1


async def test_another_address_of_the_new_contact_can_be_a_conflict(api: Api) -> None:
    owner = await api.contact(("email", EMAIL))
    await api.request("PUT", f"/v2/contact/{owner}", {"external_id": "crm-1"})
    for create, code in [({"email": EMAIL}, "address_taken"), ({"external_id": "crm-1"}, None)]:
        response = await api.request("POST", "/x/resolve", {"channel_id": PHONE, "create": create})

        assert refusal(response) == (409, code or "external_id_taken")
        assert response.json()["conflicting_contact_id"] == owner
    assert await resolve(api, {"channel_id": PHONE}) == NOT_FOUND


async def test_another_address_of_the_new_contact_can_be_moved(api: Api) -> None:
    """The address that is resolved never moves: its owner is returned."""
    owner = await api.contact(("email", EMAIL))
    body = {"channel_id": PHONE, "create": {"email": EMAIL}}

    results = await asyncio.gather(*(resolve(api, body, "?on_conflict=move") for _ in range(8)))

    assert [result["created"] for result in results].count(True) == 1
    assert len({result["contact"]["uuid"] for result in results}) == 1
    assert results[0]["contact"]["email"] == EMAIL
    assert (await api.request("GET", f"/v2/contact/{owner}/channels")).json() == []


async def test_a_response_with_a_found_contact_is_stored_under_the_key(api: Api) -> None:
    """The response is replayed although the first request changed nothing."""
    uuid = await api.contact(("phone", PHONE))
    by = {**api.bob.by_key(), "idempotency-key": "k"}
    body = {"channel_id": PHONE, "create": {"first": "Alice"}}
    first = await api.request("POST", "/x/resolve", body, by=by)
    await api.request("DELETE", f"/v2/contact/{uuid}")

    again = await api.request("POST", "/x/resolve", body, by=by)

    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    other = {**body, "create": {"first": "Bob"}}
    assert refusal(await api.request("POST", "/x/resolve", other, by=by)) == (422, "key_reused")


async def test_ambiguous_digits_are_looked_up_and_not_created(api: Api) -> None:
    """Digits that may also be a national number find their owner, but no contact is created."""
    us_team = await create_team_client(api.administration, "American", api.clock, region="US")
    by, create = us_team.by_key(), {"channel_id": "6465550123", "create": {}}

    assert await resolve(api, {"channel_id": "6465550123"}, by=by) == NOT_FOUND
    refused = await api.request("POST", "/x/resolve", create, by=by)
    assert refusal(refused) == (400, "ambiguous")
    owner = await api.contact(("phone", "+6465550123"), by=by)
    found = await resolve(api, create, by=by)
    assert (found["contact"]["uuid"], found["created"]) == (owner, False)


async def test_a_read_only_credential_can_look_up_but_not_create(api: Api) -> None:
    from reachbook.domain.credential import Representation
    from reachbook.service.administration import CredentialOptions

    options = CredentialOptions(Representation.STRING_IDS, read_only=True)
    _, api_key = await api.administration.create_key(api.bob.team.team_id, options)
    by = {"authorization": f"Bearer {api_key}"}
    uuid = await api.contact(("email", EMAIL))

    assert (await resolve(api, {"channel_id": EMAIL}, by=by))["contact"]["uuid"] == uuid
    assert (await batch(api, {"channel_id": EMAIL}, by=by))[0]["contact"]["uuid"] == uuid
    for value in (EMAIL, PHONE):
        for unknown in ({}, {"ghost": 1}):
            body = {"channel_id": value, "create": {}, **unknown}
            response = await api.request("POST", "/x/resolve", body, by=by)
            assert refusal(response) == (403, "read_only")
    assert await resolve(api, {"channel_id": PHONE}, by=by) == NOT_FOUND
    body, key = {"channel_id": EMAIL, "create": {}}, {"idempotency-key": "k"}
    assert await resolve(api, body, by={**api.bob.by_key(), **key})
    repeated = await api.request("POST", "/x/resolve", body, by={**by, **key})
    assert refusal(repeated) == (403, "read_only"), (
        "the response to another credential was replayed"
    )


# ── explain ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("owned", "typed", "expected_values"),
    [
        (("phone", PHONE), "+1 510-555-3344", (PHONE, PHONE, "the same address")),
        (("sms", PHONE), "+1 510-555-3344", (PHONE, PHONE, "sms channel")),
        (("email", EMAIL), "ALICE@Example.com", ("ALICE@example.com", EMAIL, "case")),
        (("phone", "541123456789"), "5491123456789", ("5491123456789", "541123456789", "Arg")),
        (("phone", "5511987654321"), "551187654321", ("551187654321", "551187654321", "Brazil")),
        (None, PHONE, (PHONE, PHONE, "nobody owns it")),
    ],
)
async def test_explain_returns_how_the_address_was_parsed(
    api: Api, owned: tuple[str, str] | None, typed: str, expected_values: tuple[str, str, str]
) -> None:
    """Compares the typed text, its canonical form, its identity and the rule."""
    if owned:
        await api.contact(owned)

    explained = (await resolve(api, {"channel_id": typed}, "?explain=true"))["explain"]

    expected = {"typed", "channel_type", "read_as", "canonical", "identity", "rule"}
    assert set(explained) == expected
    assert explained["typed"] == typed
    assert explained["channel_type"] == ("email" if "@" in typed else "phone")
    assert (explained["canonical"], explained["identity"]) == expected_values[:2]
    assert expected_values[2] in explained["rule"]
    assert "explain" not in await resolve(api, {"channel_id": typed}, "?explain=false")


# ── refusals ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("path", "body", "expected", "nearest"),
    [
        ("", {"chanel_id": PHONE}, "unknown_name", "channel_id"),
        ("", {"channel_id": PHONE, "crate": {}}, "unknown_name", "create"),
        ("", {"channel_id": PHONE, "create": {"frist": "A"}}, "unknown_name", "first"),
        (
            "",
            {"channel_id": PHONE, "create": {"tags": [{"tag_id": 1, "tag": 2}]}},
            "unknown_name",
            "tag_id",
        ),
        ("?explian=true", {"channel_id": PHONE}, "unknown_name", "explain"),
        ("?representation=integer_ids", {"channel_id": PHONE}, "unknown_name", "explain"),
        ("?on_conflict=steal", {"channel_id": PHONE}, "bad_value", "on_conflict"),
        ("?explain=perhaps", {"channel_id": PHONE}, "bad_value", "explain"),
        ("/batch", {"adresses": []}, "unknown_name", "addresses"),
        ("/batch?explain=true", {"addresses": []}, "unknown_name", ""),
        ("", {}, "missing_field", "channel_id"),
        ("", {"channel_id": "alice"}, "bad_value", "channel_type"),
        ("", {"channel_id": PHONE, "channel_type": "Id"}, "bad_channel_type", "channel_type"),
        ("", {"channel_id": "a@"}, "bad_email", ""),
        ("", {"channel_id": 7}, "wrong_type", "channel_id"),
        ("", {"channel_id": PHONE, "info_channel": "\u0000"}, "bad_value", "info_channel"),
        ("", b"", "malformed_json", ""),
    ],
)
async def test_a_malformed_request_is_refused(
    api: Api, path: str, body: object, expected: str, nearest: str
) -> None:
    """The message for an unknown key names the nearest known key."""
    response = await api.request("POST", f"/x/resolve{path}", body)

    assert refusal(response) == (400, expected)
    assert nearest in response.json()["message"]


async def test_another_team_does_not_find_the_contact(api: Api) -> None:
    uuid = await api.contact(("phone", PHONE))
    by = api.charlie.by_key()

    assert await resolve(api, {"channel_id": PHONE}, by=by) == NOT_FOUND
    assert await batch(api, {"channel_id": PHONE}, by=by) == [NOT_FOUND]
    created = await resolve(api, {"channel_id": PHONE, "create": {}}, by=by)
    assert created["created"] is True
    assert created["contact"]["uuid"] != uuid
