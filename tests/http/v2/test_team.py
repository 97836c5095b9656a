"""GET /v1/team, and the credentials that one tests with it (contract section 4)."""

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
def whole_second(api: Api) -> None:
    """A JWT's `iat` is in seconds, so the clock stands on one."""
    api.clock.set("2026-01-15T10:00:00Z")


async def send(api: Api, authorization: str | None) -> httpx.Response:
    by = {} if authorization is None else {"authorization": authorization}
    return await api.request("GET", "/v1/team", by={**by, "x-request-id": "same"})


def bearer(api: Api, **claims: object) -> str:
    return f"Bearer {api.bob.token(**claims)}"  # type: ignore[arg-type]


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    said = answer.json()
    return answer.status_code, said["error"], said["error_code"]


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


async def test_it_works(api: Api) -> None:
    answer = await api.request("GET", "/v1/team")

    assert answer.status_code == 200
    assert list(answer.json()) == ["id", "name", "members"]
    assert answer.json()["id"] == api.bob.team.team_id
    assert answer.json()["name"] == "Bob's team"


async def test_the_members_are_the_users_who_can_sign_in(api: Api) -> None:
    users, team_id = api.service.users, api.bob.team.team_id
    dana = await users.create(team_id, "dana@example.com", Role.ADMIN)
    erin = await users.create(team_id, "erin@example.com", Role.MEMBER)
    await users.create(api.charlie.team.team_id, "frank@example.com", Role.ADMIN)
    await users.disable(erin)

    answer = await api.request("GET", "/v1/team")

    member = {"id": dana.id, "name": "dana@example.com", "role": "admin"}
    assert answer.json()["members"] == [member]


async def test_a_team_has_no_inboxes(api: Api) -> None:
    """Integrations test a credential with them, in either representation."""
    terms = CredentialOptions(Representation.STRING_IDS, read_only=True)
    _, reader = await api.administration.create_key(api.bob.team.team_id, terms)
    for authorization in (f"Bearer {reader}", bearer(api), "Bearer wrong", None):
        by = {} if authorization is None else {"authorization": authorization}

        answer = await api.request("GET", "/v1/inboxes", by=by)

        known = authorization in (f"Bearer {reader}", bearer(api))
        assert answer.status_code == (200 if known else 401)
        if known:
            assert answer.json() == []
        else:
            assert answer.json()["error"] == "unauthorized"


# ── what is taken ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer  "])
async def test_the_scheme_may_be_in_any_letter_case(api: Api, scheme: str) -> None:
    for token in (api.bob.api_key, api.bob.token()):
        assert (await send(api, scheme + token)).status_code == 200


@pytest.mark.parametrize("age", [0, 0.5, 299, 300, -59, -60])
async def test_a_jwt_is_good_for_five_minutes_and_a_minute_of_skew(api: Api, age: float) -> None:
    assert (await send(api, bearer(api, age=age))).status_code == 200


async def test_a_jwt_is_reusable_inside_its_window_and_not_after(api: Api) -> None:
    token = bearer(api)
    for _ in range(3):
        assert (await send(api, token)).status_code == 200
        api.clock.forward(100)
    assert (await send(api, token)).status_code == 200
    api.clock.forward(1)

    answer = await send(api, token)

    assert refusal(answer) == (401, "unauthorized", "expired")
    assert "1 s ago" in answer.json()["message"]
    assert answer.json()["message"].endswith("Sign a new one.")  # its clock was right before


async def test_both_live_secrets_of_a_team_are_good(api: Api) -> None:
    """So that one can be rotated."""
    terms = CredentialOptions(Representation.INTEGER_IDS)
    team = api.bob.team.team_id
    secret, secret_key = await api.administration.create_secret(team, terms, MASTER_KEY)
    second = sign({"iss": secret.id, "iat": api.clock() // 1_000_000}, secret.id, secret_key)

    assert (await send(api, f"Bearer {second}")).status_code == 200
    assert (await send(api, bearer(api))).status_code == 200


async def test_exp_and_nbf_may_be_there(api: Api) -> None:
    now = api.clock() // 1_000_000

    assert (await send(api, bearer(api, exp=now + 300, nbf=now - 1))).status_code == 200


# ── what is refused ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("age", [301, 3600, 10**9])
async def test_an_old_jwt_is_told_by_how_long(api: Api, age: int) -> None:
    answer = await send(api, bearer(api, age=age))

    assert refusal(answer) == (401, "unauthorized", "expired")
    assert f"{age - 300} s ago" in answer.json()["message"]


async def test_times_that_do_not_hold_are_refused(api: Api) -> None:
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
    for claims, code, told in cases:
        answer = await send(api, bearer(api, **claims))

        assert refusal(answer) == (401, "unauthorized", code), claims
        assert told in answer.json()["message"], claims


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
async def test_what_is_no_token_is_refused_with_a_sentence(
    api: Api, authorization: str | None, code: str
) -> None:
    headers = {} if authorization is None else {"authorization": authorization.encode()}
    answer = await api.client.get("/v1/team", headers=headers)  # type: ignore[arg-type]

    assert refusal(answer) == (401, "unauthorized", code)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert len(answer.json()["message"]) > 20


async def test_a_forged_header_is_refused(api: Api) -> None:
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
    unsigned = f"{encoded(json.dumps({'alg': 'none'}))}.{encoded(json.dumps(claims))}."
    assert refusal(await send(api, f"Bearer {unsigned}"))[2] == "wrong_algorithm"


async def test_a_wrong_id_and_a_wrong_signature_read_the_same(api: Api) -> None:
    """As do the key of another team, an id with another team's number, and a cut signature."""
    now, secret = api.clock() // 1_000_000, api.bob.secret
    own, other = (f"_{one.team.team_id}_" for one in (api.bob, api.charlie))
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
    answers = [await send(api, f"Bearer {token}") for token in tokens]

    assert [refusal(one) for one in answers] == [(401, "unauthorized", "bad_credential")] * 9
    assert len({one.content for one in answers}) == 1
    assert len({tuple(one.headers.multi_items()) for one in answers}) == 1


# ── the life of a credential ─────────────────────────────────────────────────────────────────


async def test_revoking_is_felt_within_a_second(api: Api) -> None:
    assert (await send(api, bearer(api))).status_code == 200
    assert (await send(api, f"Bearer {api.bob.api_key}")).status_code == 200
    await api.administration.revoke("api_secret", api.bob.secret.id)
    await api.administration.revoke("api_key", api.bob.key.id)
    await asyncio.sleep(1)

    revoked = [await send(api, bearer(api)), await send(api, f"Bearer {api.bob.api_key}")]
    unknown = await send(api, "Bearer wrong")

    assert [one.content for one in revoked] == [unknown.content] * 2
    assert (await send(api, f"Bearer {api.charlie.api_key}")).status_code == 200
