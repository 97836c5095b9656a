"""Who is this: nobody is an answer, and one address gives one contact."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.http import refusal
from tests.support.personas import Api, create_team_client

pytestmark = pytest.mark.anyio

PHONE, EMAIL = "15105553344", "alice@example.com"
NOBODY_OWNS_IT = {"contact": None, "channel": None, "created": False, "suppressed": None}


async def resolve(api: Api, body: object, query: str = "", **options: Any) -> Any:
    answer = await api.request("POST", f"/x/resolve{query}", body, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def batch(api: Api, *addresses: object, **options: Any) -> list[Any]:
    body = {"addresses": addresses}
    answer = await api.request("POST", "/x/resolve/batch", body, **options)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["results"])


async def known(api: Api, uuid: str) -> Any:
    return (await api.request("GET", f"/x/contact/{uuid}/channels")).json()


# ── look ─────────────────────────────────────────────────────────────────────────────────────


async def test_it_works(api: Api) -> None:
    uuid = await api.contact(("email", EMAIL), ("phone", PHONE))

    told = await resolve(api, {"channel_type": "phone", "channel_id": "+1 510-555-3344"})

    assert told["contact"] == (await api.request("GET", f"/v2/contact/{uuid}")).json()
    assert told["channel"] == (await known(api, uuid))[1]
    assert told["created"] is False
    assert list(told) == ["contact", "channel", "created", "suppressed"]


async def test_nobody_is_an_answer(api: Api) -> None:
    assert await resolve(api, {"channel_id": PHONE}) == NOBODY_OWNS_IT
    uuid = await api.contact(("phone", PHONE))
    await api.request("DELETE", f"/v2/contact/{uuid}")
    assert await resolve(api, {"channel_id": PHONE, "create": None}) == NOBODY_OWNS_IT


@pytest.mark.parametrize("value", ["ALICE@example.com", "+1 (510) 555.3344", "5491123456789"])
async def test_the_type_is_inferred(api: Api, value: str) -> None:
    uuid = await api.contact(("email", EMAIL), ("phone", PHONE), ("phone", "541123456789"))
    assert (await resolve(api, {"channel_id": value}))["contact"]["uuid"] == uuid


@pytest.mark.parametrize("kind", ["sms", "whatsapp", "viber", "rcs"])
async def test_a_number_finds_the_phones_owner(api: Api, kind: str) -> None:
    """Found, not created, also when asked to create; its own type comes first."""
    uuid = await api.contact(("phone", PHONE))
    body = {"channel_type": kind, "channel_id": PHONE}

    told = await resolve(api, {**body, "create": {"first": "Other"}})

    assert (told["contact"]["uuid"], told["created"]) == (uuid, False)
    assert told["channel"]["channel_type"] == "phone"
    exact = await api.contact((kind, PHONE))
    assert (await resolve(api, body))["contact"]["uuid"] == exact
    assert (await resolve(api, {"channel_id": PHONE}))["contact"]["uuid"] == uuid


async def test_an_info_channel_says_where_to_look(api: Api) -> None:
    body = {"channel_type": "facebook", "channel_id": "100"}
    made = {}
    for page in ("a", "b"):
        made[page] = await resolve(api, {**body, "info_channel": page, "create": {}})
        assert made[page]["created"] is True
    for page, expected in made.items():
        found = await resolve(api, {**body, "info_channel": page})
        assert found["contact"] == expected["contact"]
        assert found["channel"]["info_channel"] == page
    assert await resolve(api, {**body, "info_channel": "c"}) == NOBODY_OWNS_IT
    assert (await resolve(api, body))["contact"] == made["a"]["contact"]


# ── create ───────────────────────────────────────────────────────────────────────────────────


async def test_it_creates_once(api: Api) -> None:
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
async def test_the_channel_is_the_one_that_was_asked_for(
    api: Api, create: dict[str, object]
) -> None:
    """Whatever else the new contact is made with; with a key too."""
    body = {"channel_type": "phone", "channel_id": PHONE, "info_channel": "inbox", "create": create}
    by = {**api.bob.by_key(), "idempotency-key": "k"}

    told = await resolve(api, body, by=by)

    assert told["channel"]["channel_id"] == PHONE
    assert told["channel"]["info_channel"] == "inbox"
    assert told == await resolve(api, body, by=by)
    assert told["channel"] == (await resolve(api, {"channel_id": PHONE}))["channel"]


async def test_simultaneous_calls_give_one_contact(api: Api) -> None:
    body = {"channel_id": PHONE, "create": {}}

    told = await asyncio.gather(*(resolve(api, body) for _ in range(12)))

    assert len({one["contact"]["uuid"] for one in told}) == 1
    assert [one["created"] for one in told].count(True) == 1


async def test_what_else_is_taken_is_a_conflict(api: Api) -> None:
    owner = await api.contact(("email", EMAIL))
    await api.request("PUT", f"/v2/contact/{owner}", {"external_id": "crm-1"})
    for create, code in [({"email": EMAIL}, "address_taken"), ({"external_id": "crm-1"}, None)]:
        answer = await api.request("POST", "/x/resolve", {"channel_id": PHONE, "create": create})

        assert refusal(answer) == (409, code or "external_id_taken")
        assert answer.json()["conflicting_contact_id"] == owner
    assert await resolve(api, {"channel_id": PHONE}) == NOBODY_OWNS_IT


async def test_what_else_is_taken_can_be_moved(api: Api) -> None:
    """But never the address that is looked for: its owner is the answer."""
    owner = await api.contact(("email", EMAIL))
    body = {"channel_id": PHONE, "create": {"email": EMAIL}}

    told = await asyncio.gather(*(resolve(api, body, "?on_conflict=move") for _ in range(8)))

    assert [one["created"] for one in told].count(True) == 1
    assert len({one["contact"]["uuid"] for one in told}) == 1
    assert told[0]["contact"]["email"] == EMAIL
    assert (await api.request("GET", f"/v2/contact/{owner}/channels")).json() == []


async def test_a_found_owner_is_an_answer_that_a_key_keeps(api: Api) -> None:
    """A write that changes nothing is replayed as one that does."""
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
    """Digits that could be at home too find their owner, and make nobody."""
    american = await create_team_client(api.administration, "American", api.clock, region="US")
    by, create = american.by_key(), {"channel_id": "6465550123", "create": {}}

    assert await resolve(api, {"channel_id": "6465550123"}, by=by) == NOBODY_OWNS_IT
    refused = await api.request("POST", "/x/resolve", create, by=by)
    assert refusal(refused) == (400, "ambiguous")
    owner = await api.contact(("phone", "+6465550123"), by=by)
    found = await resolve(api, create, by=by)
    assert (found["contact"]["uuid"], found["created"]) == (owner, False)


async def test_a_read_only_credential_looks_and_does_not_create(api: Api) -> None:
    from reachbook.domain.credential import Representation
    from reachbook.service.administration import CredentialOptions

    terms = CredentialOptions(Representation.STRING_IDS, read_only=True)
    _, api_key = await api.administration.create_key(api.bob.team.team_id, terms)
    by = {"authorization": f"Bearer {api_key}"}
    uuid = await api.contact(("email", EMAIL))

    assert (await resolve(api, {"channel_id": EMAIL}, by=by))["contact"]["uuid"] == uuid
    assert (await batch(api, {"channel_id": EMAIL}, by=by))[0]["contact"]["uuid"] == uuid
    for value in (EMAIL, PHONE):
        for unknown in ({}, {"ghost": 1}):
            body = {"channel_id": value, "create": {}, **unknown}
            answer = await api.request("POST", "/x/resolve", body, by=by)
            assert refusal(answer) == (403, "read_only")
    assert await resolve(api, {"channel_id": PHONE}, by=by) == NOBODY_OWNS_IT
    body, key = {"channel_id": EMAIL, "create": {}}, {"idempotency-key": "k"}
    assert await resolve(api, body, by={**api.bob.by_key(), **key})
    repeated = await api.request("POST", "/x/resolve", body, by={**by, **key})
    assert refusal(repeated) == (403, "read_only"), "another credential's answer was replayed"


# ── explain ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("owned", "typed", "told"),
    [
        (("phone", PHONE), "+1 510-555-3344", (PHONE, PHONE, "the same address")),
        (("sms", PHONE), "+1 510-555-3344", (PHONE, PHONE, "sms channel")),
        (("email", EMAIL), "ALICE@Example.com", ("ALICE@example.com", EMAIL, "case")),
        (("phone", "541123456789"), "5491123456789", ("5491123456789", "541123456789", "Arg")),
        (("phone", "5511987654321"), "551187654321", ("551187654321", "551187654321", "Brazil")),
        (None, PHONE, (PHONE, PHONE, "nobody owns it")),
    ],
)
async def test_explain_tells_how_it_was_read(
    api: Api, owned: tuple[str, str] | None, typed: str, told: tuple[str, str, str]
) -> None:
    """What was typed, how it was read, the canonical form, the identity, the rule."""
    if owned:
        await api.contact(owned)

    explained = (await resolve(api, {"channel_id": typed}, "?explain=true"))["explain"]

    expected = {"typed", "channel_type", "read_as", "canonical", "identity", "rule"}
    assert set(explained) == expected
    assert explained["typed"] == typed
    assert explained["channel_type"] == ("email" if "@" in typed else "phone")
    assert (explained["canonical"], explained["identity"]) == told[:2]
    assert told[2] in explained["rule"]
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
async def test_a_wrong_request_is_refused(
    api: Api, path: str, body: object, expected: str, nearest: str
) -> None:
    """What is not known is named together with the nearest that is."""
    answer = await api.request("POST", f"/x/resolve{path}", body)

    assert refusal(answer) == (400, expected)
    assert nearest in answer.json()["message"]


async def test_charlie_finds_nobody_of_bobs(api: Api) -> None:
    uuid = await api.contact(("phone", PHONE))
    by = api.charlie.by_key()

    assert await resolve(api, {"channel_id": PHONE}, by=by) == NOBODY_OWNS_IT
    assert await batch(api, {"channel_id": PHONE}, by=by) == [NOBODY_OWNS_IT]
    own = await resolve(api, {"channel_id": PHONE, "create": {}}, by=by)
    assert own["created"] is True
    assert own["contact"]["uuid"] != uuid
