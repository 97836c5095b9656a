"""The limit of requests a minute of a credential (contract section 5)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from reachbook.domain.credential import Representation
from reachbook.service.administration import CredentialOptions
from tests.support.personas import NOBODY, Api, open_api

pytestmark = pytest.mark.anyio

PER_MINUTE = 3


@pytest.fixture
async def limited_api(database: str) -> AsyncIterator[Api]:
    """The API with a limit of three requests a minute."""
    async with open_api(database, per_minute=PER_MINUTE) as opened:
        yield opened


async def statuses(api: Api, times: int, by: dict[str, str] | None = None) -> list[int]:
    return [(await api.request("GET", "/v1/team", by=by)).status_code for _ in range(times)]


async def test_a_request_above_the_limit_is_a_429(limited_api: Api) -> None:
    assert await statuses(limited_api, PER_MINUTE) == [200] * PER_MINUTE

    response = await limited_api.request("GET", "/v1/team")

    assert response.status_code == 429
    error = response.json()
    assert (error["error"], error["error_code"]) == ("rate_limited", "too_many_requests")
    assert 1 <= int(response.headers["retry-after"]) <= 60
    assert error["request_id"] == response.headers["x-request-id"]


async def test_the_limit_is_off_by_default(api: Api) -> None:
    assert await statuses(api, 50) == [200] * 50


async def test_each_credential_has_its_own_limit(limited_api: Api) -> None:
    assert await statuses(limited_api, PER_MINUTE + 1) == [200] * PER_MINUTE + [429]
    assert await statuses(limited_api, 1, limited_api.bob.by_jwt()) == [200]
    assert await statuses(limited_api, 1, limited_api.charlie.by_key()) == [200]


async def test_a_new_jwt_of_the_same_secret_is_the_same_credential(limited_api: Api) -> None:
    for age in range(PER_MINUTE):
        by = {"authorization": f"Bearer {limited_api.bob.token(age=age)}"}
        assert await statuses(limited_api, 1, by) == [200]

    assert await statuses(limited_api, 1, limited_api.bob.by_jwt()) == [429]


async def test_the_limit_is_checked_before_the_body_and_the_contact(limited_api: Api) -> None:
    await statuses(limited_api, PER_MINUTE)
    channel, body = f"/v2/contact/{NOBODY}/channel", b" " * (1024 * 1024 + 1)
    for method, path, content in [
        ("POST", channel, b"{"),
        ("POST", channel, body),
        ("GET", "/v2/contact/123/channels", None),
        ("GET", "/v1/team?representation=x", None),
        ("GET", f"/v2/contact/{NOBODY}", None),
    ]:
        response = await limited_api.request(method, path, content)
        assert response.status_code == 429, (method, path)


async def test_the_limit_is_checked_after_route_method_and_credential(limited_api: Api) -> None:
    """Requests that are refused by those checks are not counted."""
    options = CredentialOptions(Representation.STRING_IDS, read_only=True)
    _, api_key = await limited_api.administration.create_key(limited_api.bob.team.team_id, options)
    by = {"authorization": f"Bearer {api_key}"}
    for _ in range(2):
        for method, path, credential, status in [
            ("GET", "/nowhere", by, 404),
            ("PATCH", "/v1/team", by, 405),
            ("OPTIONS", "/v1/team", by, 204),
            ("GET", "/v1/team", {"authorization": f"{by['authorization'][:-1]}x"}, 401),
            ("POST", "/v2/contact", by, 403),
        ]:
            response = await limited_api.request(method, path, by=credential)
            assert response.status_code == status
        assert (await statuses(limited_api, PER_MINUTE + 1, by))[-1] == 429


async def test_a_request_with_a_wrong_form_is_counted(limited_api: Api) -> None:
    for _ in range(PER_MINUTE):
        assert (await limited_api.request("GET", "/v2/contact/123/channels")).status_code == 400

    assert await statuses(limited_api, 1) == [429]
