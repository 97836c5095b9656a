"""A team sees no contacts of another team: the responses are those for a missing contact."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.personas import Api

pytestmark = pytest.mark.anyio

PHONE, EMAIL, PAGE = "15105553344", "alice@example.com", "page-1"
NEW = {"channel_type": "phone", "channel_id": "14155551234"}
OWNED = {"channel_type": "phone", "channel_id": PHONE}
REQUESTS = [
    ("POST", "/channel", NEW),
    ("POST", "/channel", OWNED),
    ("POST", "/channel", {**OWNED, "channel_handle": "seen"}),
    ("PUT", "/channel", NEW),
    ("PUT", "/channel", OWNED),
    ("PUT", f"/channel?channel_id={PHONE}", NEW),
    ("GET", "/channels", None),
    ("HEAD", "/channels", None),
    ("GET", "/channel/phone", None),
    ("HEAD", "/channel/phone", None),
    ("GET", f"/channel/phone?channel_id={PHONE}", None),
    ("GET", "/channel/email?representation=integer_ids", None),
    ("DELETE", "/channel/phone", None),
    ("DELETE", f"/channel/phone?channel_id={PHONE}", None),
    ("DELETE", "/channel/facebook", None),
    ("GET", "", None),
    ("HEAD", "", None),
    ("PUT", "", {"first": "Charlie"}),
    ("PATCH", "", {"first": "Charlie"}),
    ("DELETE", "", None),
    ("OPTIONS", "", None),
]


async def create_alice(api: Api) -> str:
    """Creates Bob's contact, with every kind of channel and several of the same type."""
    body = {
        "external_id": "bob-1",
        "first": "Alice",
        "contact_channels": [
            OWNED,
            {"channel_type": "email", "channel_id": EMAIL},
            {"channel_type": "facebook", "channel_id": "100", "info_channel": PAGE},
            {"channel_type": "facebook", "channel_id": "200", "info_channel": PAGE},
        ],
    }
    response = await api.request("POST", "/v2/contact", body)
    assert response.status_code == 200, response.text
    return str(response.json()["uuid"])


async def get_contact(api: Api, uuid: str) -> Any:
    response = await api.request("GET", f"/v2/contact/{uuid}?representation=integer_ids")
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("credential", ["by_key", "by_jwt"])
async def test_a_contact_of_another_team_and_a_missing_contact_have_equal_responses(
    api: Api, credential: str
) -> None:
    """Every request has equal headers and bodies, byte for byte, and changes nothing."""
    uuid = await create_alice(api)
    before = await get_contact(api, uuid)
    by = {**getattr(api.charlie, credential)(), "x-request-id": "same"}
    api.clock.forward(60)
    by |= getattr(api.charlie, credential)()
    for method, tail, body in REQUESTS:
        foreign = await api.request(method, f"/v2/contact/{uuid}{tail}", body, by=by)
        missing = await api.request(method, f"/v2/contact/{uuid4()}{tail}", body, by=by)

        assert foreign.status_code in (204, 404, 405), (method, tail)
        assert foreign.status_code == missing.status_code, (method, tail)
        assert foreign.content == missing.content, (method, tail)
        assert foreign.headers.multi_items() == missing.headers.multi_items(), (method, tail)
    assert await get_contact(api, uuid) == before


async def test_channels_of_a_contact_of_another_team_have_equal_responses(api: Api) -> None:
    """Whether Bob's contact has the channel makes no difference."""
    uuid = await create_alice(api)
    by = {**api.charlie.by_key(), "x-request-id": "same"}

    existing = await api.request("GET", f"/v2/contact/{uuid}/channel/phone", by=by)
    absent = await api.request("GET", f"/v2/contact/{uuid}/channel/telegram", by=by)

    assert existing.content == absent.content
    assert existing.json()["error_code"] == "no_contact"


async def test_a_deleted_contact_and_a_missing_contact_have_equal_responses(api: Api) -> None:
    uuid = await create_alice(api)
    await api.request("DELETE", f"/v2/contact/{uuid}")
    for by in (api.bob.by_key(), api.charlie.by_key()):
        headers = {**by, "x-request-id": "same"}
        for method, tail, body in REQUESTS:
            deleted = await api.request(method, f"/v2/contact/{uuid}{tail}", body, by=headers)
            missing = await api.request(method, f"/v2/contact/{uuid4()}{tail}", body, by=headers)

            assert deleted.content == missing.content, (method, tail)
            assert deleted.headers.multi_items() == missing.headers.multi_items(), (method, tail)


async def test_two_teams_can_have_the_same_address(api: Api) -> None:
    """No error that Charlie gets depends on Bob's contacts, so it cannot reveal them."""
    uuid = await create_alice(api)
    before = await get_contact(api, uuid)
    by = api.charlie.by_key()
    body = {
        "external_id": "bob-1",
        "contact_channels": [
            OWNED,
            {"channel_type": "facebook", "channel_id": "100", "info_channel": PAGE},
        ],
    }

    created = await api.request("POST", "/v2/contact", body, by=by)
    added = await api.request(
        "POST",
        f"/v2/contact/{created.json()['uuid']}/channel",
        {"channel_type": "email", "channel_id": EMAIL},
        by=by,
    )

    assert [channel["channel_id"] for channel in added.json()] == [PHONE, "100", EMAIL]
    assert {channel["team_id"] for channel in added.json()} == {api.charlie.team.team_id}
    assert await get_contact(api, uuid) == before


async def test_a_conflict_names_a_contact_of_the_same_team(api: Api) -> None:
    await create_alice(api)
    by = api.charlie.by_key()
    charlies = await api.contact(("phone", PHONE), by=by)
    other = await api.contact(by=by)

    response = await api.request("POST", f"/v2/contact/{other}/channel", OWNED, by=by)

    assert response.status_code == 409
    assert response.json()["conflicting_contact_id"] == charlies


async def test_deleting_a_channel_does_not_affect_another_team(api: Api) -> None:
    uuid = await create_alice(api)
    before = await get_contact(api, uuid)
    charlies = await api.contact(("phone", PHONE), by=api.charlie.by_key())

    response = await api.request(
        "DELETE", f"/v2/contact/{charlies}/channel/phone", by=api.charlie.by_key()
    )

    assert response.json() == []
    assert await get_contact(api, uuid) == before


async def test_the_integer_id_of_a_contact_of_another_team_is_refused(api: Api) -> None:
    number = (await get_contact(api, await create_alice(api)))["id"]

    response = await api.request("GET", f"/v2/contact/{number}/channels", by=api.charlie.by_key())

    assert (response.status_code, response.json()["error_code"]) == (400, "bad_uuid")


async def test_each_credential_gets_its_own_team(api: Api) -> None:
    for client in (api.bob, api.charlie):
        for by in (client.by_key(), client.by_jwt()):
            team = (await api.request("GET", "/v1/team", by=by)).json()
            assert (team["id"], team["name"]) == (client.team.team_id, client.team.name)
