"""GET /v1/team, and the credentials that are tested with it (contract section 4)."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx
import pytest

from reachbook.domain.credential import Representation
from reachbook.domain.user import Role
from reachbook.service.administration import CredentialOptions
from tests.support.personas import MASTER_KEY, Api, sign

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def clock_at_a_whole_second(api: Api) -> None:
    """Set the clock to a whole second, because a JWT's `iat` is in seconds."""
    api.clock.set("2026-01-15T10:00:00Z")


async def send(api: Api, authorization: str | None) -> httpx.Response:
    by = {} if authorization is None else {"authorization": authorization}
    return await api.request("GET", "/v1/team", by={**by, "x-request-id": "same"})


def bearer(api: Api, **claims: object) -> str:
    return f"Bearer {api.bob.token(**claims)}"  # type: ignore[arg-type]


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()
    return response.status_code, error["error"], error["error_code"]


def base64url(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


async def test_the_team_has_its_id_name_and_members(api: Api) -> None:
    response = await api.request("GET", "/v1/team")

    assert response.status_code == 200
    assert list(response.json()) == ["id", "name", "members"]
    assert response.json()["id"] == api.bob.team.team_id
    assert response.json()["name"] == "Bob's team"


async def test_the_members_are_the_users_who_can_sign_in(api: Api) -> None:
    users, team_id = api.service.users, api.bob.team.team_id
    dana = await users.create(team_id, "dana@example.com", Role.ADMIN)
    erin = await users.create(team_id, "erin@example.com", Role.MEMBER)
    await users.create(api.charlie.team.team_id, "frank@example.com", Role.ADMIN)
    await users.disable(erin)

    response = await api.request("GET", "/v1/team")

    member = {"id": dana.id, "name": "dana@example.com", "role": "admin"}
    assert response.json()["members"] == [member]


async def test_a_team_has_no_inboxes(api: Api) -> None:
    """Integrations test a credential with this request, in both representations."""
    options = CredentialOptions(Representation.STRING_IDS, read_only=True)
    _, reader = await api.administration.create_key(api.bob.team.team_id, options)
    for authorization in (f"Bearer {reader}", bearer(api), "Bearer wrong", None):
        by = {} if authorization is None else {"authorization": authorization}

        response = await api.request("GET", "/v1/inboxes", by=by)

        valid = authorization in (f"Bearer {reader}", bearer(api))
        assert response.status_code == (200 if valid else 401)
        if valid:
            assert response.json() == []
        else:
            assert response.json()["error"] == "unauthorized"


# ── accepted ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer  "])
async def test_the_scheme_may_be_in_any_letter_case(api: Api, scheme: str) -> None:
    for token in (api.bob.api_key, api.bob.token()):
        assert (await send(api, scheme + token)).status_code == 200


@pytest.mark.parametrize("age", [0, 0.5, 299, 300, -59, -60])
async def test_a_jwt_is_valid_for_five_minutes_and_a_minute_of_skew(api: Api, age: float) -> None:
    assert (await send(api, bearer(api, age=age))).status_code == 200


async def test_a_jwt_can_be_reused_until_it_expires(api: Api) -> None:
    token = bearer(api)
    for _ in range(3):
        assert (await send(api, token)).status_code == 200
        api.clock.forward(100)
    assert (await send(api, token)).status_code == 200
    api.clock.forward(1)

    response = await send(api, token)

    assert refusal(response) == (401, "unauthorized", "expired")
    assert "1 s ago" in response.json()["message"]
    # No hint about the clock follows, because the token was accepted before.
    assert response.json()["message"].endswith("Sign a new one.")


async def test_all_secrets_of_a_team_are_valid(api: Api) -> None:
    """A secret is rotated by creating the new one before revoking the old one."""
    options = CredentialOptions(Representation.INTEGER_IDS)
    team = api.bob.team.team_id
    secret, secret_key = await api.administration.create_secret(team, options, MASTER_KEY)
    second = sign({"iss": secret.id, "iat": api.clock() // 1_000_000}, secret.id, secret_key)

    assert (await send(api, f"Bearer {second}")).status_code == 200
    assert (await send(api, bearer(api))).status_code == 200


async def test_exp_and_nbf_are_optional_claims(api: Api) -> None:
    now = api.clock() // 1_000_000

    assert (await send(api, bearer(api, exp=now + 300, nbf=now - 1))).status_code == 200


# ── refused ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("age", [301, 3600, 10**9])
async def test_the_error_for_an_expired_jwt_has_the_elapsed_seconds(api: Api, age: int) -> None:
    response = await send(api, bearer(api, age=age))

    assert refusal(response) == (401, "unauthorized", "expired")
    assert f"{age - 300} s ago" in response.json()["message"]


async def test_invalid_times_in_a_jwt_are_refused(api: Api) -> None:
    now = api.clock() // 1_000_000
    cases: list[tuple[dict[str, object], str, str]] = [
        ({"iat": now + 61}, "not_yet_valid", "ahead"),
        ({"iat": now * 1000}, "not_yet_valid", "milliseconds"),
        ({"iat": now - 10, "exp": now - 1}, "expired", "1 s ago: its exp has passed"),
        ({"iat": now - 400}, "expired", "the clock of the machine that signs it is 400 s slow"),
        ({"nbf": now + 61}, "not_yet_valid", "ahead"),
        ({"iat": True}, "malformed_token", "iat"),
        ({"iat": str(now)}, "malformed_token", "iat"),
        ({"iat": None}, "malformed_token", "iat"),
        ({"iss": 1}, "malformed_token", "iss"),
    ]
    for claims, code, expected in cases:
        response = await send(api, bearer(api, **claims))

        assert refusal(response) == (401, "unauthorized", code), claims
        assert expected in response.json()["message"], claims


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "missing_credential"),
        ("", "missing_credential"),
        ("Bearer", "malformed_token"),
        ("Bearer ", "malformed_token"),
        ("Basic cmJrOg==", "malformed_token"),
        ("Bearer a b", "malformed_token"),
        ("Bearer " + "a" * 5000, "malformed_token"),
        ("Bearer é", "malformed_token"),
        ("Bearer ..", "malformed_token"),
        ("Bearer a.b.c", "malformed_token"),
        ("Bearer wrong", "bad_credential"),
        ("Bearer rbk_1_0000000000000000_" + "0" * 40, "bad_credential"),
        ("Bearer rbk_999999999999999999_0000000000000000_" + "0" * 40, "bad_credential"),
        ("Bearer a.b", "bad_credential"),
        ("Bearer a.b.c.d", "bad_credential"),
    ],
)
async def test_a_malformed_credential_is_refused_with_a_message(
    api: Api, authorization: str | None, code: str
) -> None:
    headers = {} if authorization is None else {"authorization": authorization.encode()}
    response = await api.client.get("/v1/team", headers=headers)  # type: ignore[arg-type]

    assert refusal(response) == (401, "unauthorized", code)
    assert response.headers["www-authenticate"] == "Bearer"
    assert len(response.json()["message"]) > 20


async def test_a_forged_jwt_header_is_refused(api: Api) -> None:
    claims: dict[str, object] = {"iss": api.bob.secret.id, "iat": api.clock() // 1_000_000}
    headers: list[tuple[dict[str, object], str]] = [
        ({"alg": "none"}, "wrong_algorithm"),
        ({"alg": "HS512"}, "wrong_algorithm"),
        ({"alg": "hs256"}, "wrong_algorithm"),
        ({"typ": "JWT"}, "wrong_algorithm"),
        ({"alg": "HS256", "crit": ["exp"]}, "malformed_token"),
    ]
    for header, code in headers:
        token = sign(claims, api.bob.secret.id, api.bob.secret_key, header)
        assert refusal(await send(api, f"Bearer {token}")) == (401, "unauthorized", code), header
    unsigned = f"{base64url(json.dumps({'alg': 'none'}))}.{base64url(json.dumps(claims))}."
    assert refusal(await send(api, f"Bearer {unsigned}"))[2] == "wrong_algorithm"


async def test_wrong_ids_and_wrong_signatures_have_identical_responses(api: Api) -> None:
    """So do the key of another team, an id with another team's number, and a wrong API key."""
    now, secret = api.clock() // 1_000_000, api.bob.secret
    own, other = (f"_{client.team.team_id}_" for client in (api.bob, api.charlie))
    foreign = secret.id.replace(own, other)
    tokens = [
        sign({"iss": secret.id, "iat": now}, secret.id, "wrong"),
        sign({"iss": secret.id, "iat": now}, secret.id, api.charlie.secret_key),
        sign({"iss": foreign, "iat": now}, foreign, api.bob.secret_key),
        sign({"iss": "unheard", "iat": now}, "unheard", api.bob.secret_key),
        sign({"iss": "\ud800", "iat": now}, "x", api.bob.secret_key),
        sign({"iss": secret.id, "iat": now}, "", api.bob.secret_key),
        api.bob.api_key[:-1] + ("0" if api.bob.api_key[-1] != "0" else "1"),
        api.bob.api_key.replace(own, other),
        api.bob.secret_key,
    ]
    responses = [await send(api, f"Bearer {token}") for token in tokens]

    assert [refusal(response) for response in responses] == [
        (401, "unauthorized", "bad_credential")
    ] * 9
    assert len({response.content for response in responses}) == 1
    assert len({tuple(response.headers.multi_items()) for response in responses}) == 1


# ── revocation ───────────────────────────────────────────────────────────────────────────────


async def test_a_revoked_credential_is_refused_within_a_second(api: Api) -> None:
    assert (await send(api, bearer(api))).status_code == 200
    assert (await send(api, f"Bearer {api.bob.api_key}")).status_code == 200
    await api.administration.revoke("api_secret", api.bob.secret.id)
    await api.administration.revoke("api_key", api.bob.key.id)
    await asyncio.sleep(1)

    revoked = [await send(api, bearer(api)), await send(api, f"Bearer {api.bob.api_key}")]
    unknown = await send(api, "Bearer wrong")

    assert [response.content for response in revoked] == [unknown.content] * 2
    assert (await send(api, f"Bearer {api.charlie.api_key}")).status_code == 200
