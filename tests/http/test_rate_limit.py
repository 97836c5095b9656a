"""How many requests a minute a credential may make (contract section 5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from reachbook.domain.credential import Representation
from reachbook.service.administration import CredentialOptions
from tests.support.personas import NOBODY, Api, open_api

pytestmark = pytest.mark.anyio

PER_MINUTE = 3


@pytest.fixture
async def frugal(database: str) -> AsyncIterator[Api]:
    """The API with a limit of three requests a minute."""
    async with open_api(database, per_minute=PER_MINUTE) as opened:
        yield opened


async def statuses(api: Api, times: int, by: dict[str, str] | None = None) -> list[int]:
    return [(await api.request("GET", "/v1/team", by=by)).status_code for _ in range(times)]


async def test_it_works(frugal: Api) -> None:
    assert await statuses(frugal, PER_MINUTE) == [200] * PER_MINUTE

    answer = await frugal.request("GET", "/v1/team")

    assert answer.status_code == 429
    said = answer.json()
    assert (said["error"], said["error_code"]) == ("rate_limited", "too_many_requests")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert said["request_id"] == answer.headers["x-request-id"]


async def test_it_is_off_by_default(api: Api) -> None:
    assert await statuses(api, 50) == [200] * 50


async def test_each_credential_has_its_own(frugal: Api) -> None:
    assert await statuses(frugal, PER_MINUTE + 1) == [200] * PER_MINUTE + [429]
    assert await statuses(frugal, 1, frugal.bob.by_jwt()) == [200]
    assert await statuses(frugal, 1, frugal.charlie.by_key()) == [200]


async def test_a_new_jwt_of_the_same_secret_is_the_same_credential(frugal: Api) -> None:
    for age in range(PER_MINUTE):
        by = {"authorization": f"Bearer {frugal.bob.token(age=age)}"}
        assert await statuses(frugal, 1, by) == [200]

    assert await statuses(frugal, 1, frugal.bob.by_jwt()) == [429]


async def test_it_is_judged_before_the_form_and_existence(frugal: Api) -> None:
    await statuses(frugal, PER_MINUTE)
    channel, body = f"/v2/contact/{NOBODY}/channel", b" " * (1024 * 1024 + 1)
    for method, path, content in [
        ("POST", channel, b"{"),
        ("POST", channel, body),
        ("GET", "/v2/contact/123/channels", None),
        ("GET", "/v1/team?representation=x", None),
        ("GET", f"/v2/contact/{NOBODY}", None),
    ]:
        answer = await frugal.request(method, path, content)
        assert answer.status_code == 429, (method, path)


async def test_it_is_judged_after_route_method_and_credential(frugal: Api) -> None:
    """And what is refused there spends nothing."""
    terms = CredentialOptions(Representation.STRING_IDS, read_only=True)
    _, api_key = await frugal.administration.create_key(frugal.bob.team.team_id, terms)
    by = {"authorization": f"Bearer {api_key}"}
    for _ in range(2):
        for method, path, credential, status in [
            ("GET", "/nowhere", by, 404),
            ("PATCH", "/v1/team", by, 405),
            ("OPTIONS", "/v1/team", by, 204),
            ("GET", "/v1/team", {"authorization": f"{by['authorization'][:-1]}x"}, 401),
            ("POST", "/v2/contact", by, 403),
        ]:
            answer = await frugal.request(method, path, by=credential)
            assert answer.status_code == status
        assert (await statuses(frugal, PER_MINUTE + 1, by))[-1] == 429


async def test_what_is_refused_later_is_spent(frugal: Api) -> None:
    for _ in range(PER_MINUTE):
        assert (await frugal.request("GET", "/v2/contact/123/channels")).status_code == 400

    assert await statuses(frugal, 1) == [429]
