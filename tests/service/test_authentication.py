"""Authentication: a bearer token gives a caller, or an error without details.

The cache of a worker is tested in `test_authentication_cache`.
"""

from __future__ import annotations

import pytest

from reachbook.domain import credential
from reachbook.domain.credential import Caller, Representation
from reachbook.domain.errors import Kind, Reason
from reachbook.service.administration import CredentialOptions
from tests.support.authentication import by_jwt, by_key, refusal, signed, worker
from tests.support.personas import MASTER_KEY, Api

pytestmark = pytest.mark.anyio


async def test_a_jwt_and_an_api_key_give_the_caller(api: Api) -> None:
    access, bob = worker(api), api.bob

    assert await access.caller(by_jwt(bob)) == Caller(
        bob.secret.team_id, bob.secret.id, Representation.INTEGER_IDS, False, None
    )
    assert await access.caller(by_key(bob)) == Caller(
        bob.key.team_id, bob.key.id, Representation.STRING_IDS, False, None
    )
    await access.close()


async def test_a_token_can_be_reused_until_it_expires(api: Api) -> None:
    access, authorization = worker(api), by_jwt(api.bob)

    first = await access.caller(authorization)
    api.clock.forward(299)

    assert await access.caller(authorization) == first
    api.clock.forward(2)
    assert (await refusal(access, authorization)).reason is Reason.EXPIRED
    await access.close()


async def test_a_malformed_token_is_unauthorized(api: Api) -> None:
    access = worker(api)
    headers = [
        *(
            None,
            "",
            "Bearer",
            "Basic abc",
            "Bearer a b",
            "Bearer ..",
            "Bearer a.b.c",
            "Bearer \x00",
        ),
        *("Bearer a.b.c.d", "Bearer rbk_1", "Bearer é", "Bearer " + "x" * 10_000, "Bearer ...."),
        f"Bearer rbk_{'9' * 18}_0123456789abcdef_{'0' * 40}",
        signed(api, f"rbs_{'9' * 18}_0123456789abcdef", "key"),
    ]

    for authorization in headers:
        assert (await refusal(access, authorization)).reason.kind is Kind.UNAUTHORIZED


async def test_every_invalid_credential_has_the_same_error(api: Api) -> None:
    bob, charlie, access = api.bob, api.charlie, worker(api)
    team = bob.team.team_id
    old, old_key = await api.administration.create_secret(
        team, CredentialOptions(Representation.INTEGER_IDS), MASTER_KEY
    )
    await api.administration.revoke("api_secret", old.id)
    unknown = f"rbs_{team}_{'0' * 16}"
    moved = bob.api_key.replace(f"_{team}_", f"_{charlie.team.team_id}_", 1)
    credentials = {
        "an unknown id": signed(api, unknown, bob.secret_key),
        "an id of no team": signed(api, "nobody", bob.secret_key),
        "a wrong signature": signed(api, bob.secret.id, "0" * 64),
        "the key of another team": signed(api, bob.secret.id, charlie.secret_key),
        "a revoked secret": signed(api, old.id, old_key),
        "an id of the other kind": signed(api, bob.key.id, bob.api_key),
        "a wrong key": f"Bearer {bob.api_key[:-1]}{'1' if bob.api_key[-1] == '0' else '0'}",
        "a truncated key": f"Bearer {bob.api_key[:-1]}",
        "a key without its secret": f"Bearer {bob.key.id}",
        "the key's secret under another id": f"Bearer {charlie.key.id}{bob.api_key[-41:]}",
        "an unknown key": f"Bearer {credential.new_api_key(credential.new_key_id(team))}",
        "an id moved to another team": f"Bearer {moved}",
    }

    errors = {
        name: await refusal(access, authorization) for name, authorization in credentials.items()
    }

    assert {error.reason for error in errors.values()} == {Reason.BAD_CREDENTIAL}, errors
    assert {error.message for error in errors.values()} == {credential.bad_credential().message}


async def test_an_unknown_id_and_a_wrong_signature_have_equal_responses(api: Api) -> None:
    bob = api.bob
    unknown = signed(api, f"rbs_{bob.team.team_id}_{'0' * 16}", bob.secret_key)
    wrongly_signed = signed(api, bob.secret.id, "0" * 64)

    responses = [
        await api.request("GET", "/v1/team", by={"authorization": header, "x-request-id": "1"})
        for header in (unknown, wrongly_signed)
    ]

    assert [response.status_code for response in responses] == [401, 401]
    assert responses[0].content == responses[1].content
    assert responses[0].headers == responses[1].headers


async def test_a_secret_of_another_master_key_is_refused(api: Api) -> None:
    access = worker(api, b"x" * 32)

    assert (await refusal(access, by_jwt(api.bob))).reason is Reason.BAD_CREDENTIAL


async def test_a_token_with_the_id_of_an_api_key_does_not_block_the_key(api: Api) -> None:
    """An id is not secret, so a client that knows it must not be able to block its owner."""
    access, bob = worker(api), api.bob

    await refusal(access, signed(api, bob.key.id, "whatever"))

    assert (await access.caller(by_key(bob))).credential_id == bob.key.id
    await access.close()


async def test_a_read_only_credential_can_read_but_not_write(api: Api) -> None:
    options = CredentialOptions(Representation.STRING_IDS, read_only=True)
    _, api_key = await api.administration.create_key(api.bob.team.team_id, options)
    by = {"authorization": f"Bearer {api_key}"}
    uuid = await api.contact(("phone", "15105553344"))
    body = {"channel_type": "email", "channel_id": "alice@example.com"}

    refused = [
        await api.request("POST", f"/v2/contact/{uuid}/channel", body, by=by),
        await api.request("PUT", f"/v2/contact/{uuid}/channel", body, by=by),
        await api.request("DELETE", f"/v2/contact/{uuid}/channel/phone", by=by),
        await api.request("POST", "/v2/contact", {}, by=by),
        await api.request("DELETE", f"/v2/contact/{uuid}", by=by),
    ]
    read = [
        await api.request("GET", f"/v2/contact/{uuid}/channels", by=by),
        await api.request("GET", f"/v2/contact/{uuid}/channel/phone", by=by),
        await api.request("GET", "/v1/team", by=by),
    ]

    assert [(response.status_code, response.json()["error"]) for response in refused] == [
        (403, "denied")
    ] * 5
    assert [response.status_code for response in read] == [200] * 3
    assert [channel["channel_id"] for channel in read[0].json()] == ["15105553344"]
