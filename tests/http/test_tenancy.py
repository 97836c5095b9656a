"""Charlie must see nothing: what he is told of Bob's contacts is what he is told of none."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.personas import Api

pytestmark = pytest.mark.anyio

PHONE, EMAIL, PAGE = "15105553344", "alice@example.com", "page-1"
NEW = {"channel_type": "phone", "channel_id": "14155551234"}
OWNED = {"channel_type": "phone", "channel_id": PHONE}
EVERY_WAY = [
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


async def alice_of_bob(api: Api) -> str:
    """Bob's contact, with every kind of channel and several of one type."""
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
    answer = await api.request("POST", "/v2/contact", body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["uuid"])


async def everything(api: Api, uuid: str) -> Any:
    answer = await api.request("GET", f"/v2/contact/{uuid}?representation=integer_ids")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("credential", ["by_key", "by_jwt"])
async def test_a_foreign_contact_reads_as_one_that_does_not_exist(
    api: Api, credential: str
) -> None:
    """Byte for byte, headers included, whatever one asks of it; and nothing is changed."""
    uuid = await alice_of_bob(api)
    before = await everything(api, uuid)
    by = {**getattr(api.charlie, credential)(), "x-request-id": "same"}
    api.clock.forward(60)
    by |= getattr(api.charlie, credential)()
    for method, tail, body in EVERY_WAY:
        foreign = await api.request(method, f"/v2/contact/{uuid}{tail}", body, by=by)
        missing = await api.request(method, f"/v2/contact/{uuid4()}{tail}", body, by=by)

        assert foreign.status_code in (204, 404, 405), (method, tail)
        assert foreign.status_code == missing.status_code, (method, tail)
        assert foreign.content == missing.content, (method, tail)
        assert foreign.headers.multi_items() == missing.headers.multi_items(), (method, tail)
    assert await everything(api, uuid) == before


async def test_without_a_right_to_write_it_still_reads_the_same(api: Api) -> None:
    """A channel that Bob's contact lacks is not told apart from the contact."""
    uuid = await alice_of_bob(api)
    by = {**api.charlie.by_key(), "x-request-id": "same"}

    there = await api.request("GET", f"/v2/contact/{uuid}/channel/phone", by=by)
    lacking = await api.request("GET", f"/v2/contact/{uuid}/channel/telegram", by=by)

    assert there.content == lacking.content
    assert there.json()["error_code"] == "no_contact"


async def test_a_deleted_contact_reads_as_one_that_never_was(api: Api) -> None:
    uuid = await alice_of_bob(api)
    await api.request("DELETE", f"/v2/contact/{uuid}")
    for by in (api.bob.by_key(), api.charlie.by_key()):
        headers = {**by, "x-request-id": "same"}
        for method, tail, body in EVERY_WAY:
            gone = await api.request(method, f"/v2/contact/{uuid}{tail}", body, by=headers)
            missing = await api.request(method, f"/v2/contact/{uuid4()}{tail}", body, by=headers)

            assert gone.content == missing.content, (method, tail)
            assert gone.headers.multi_items() == missing.headers.multi_items(), (method, tail)


async def test_two_teams_may_own_one_address(api: Api) -> None:
    """Charlie's refusals never come from Bob, so they cannot tell him what Bob has."""
    uuid = await alice_of_bob(api)
    before = await everything(api, uuid)
    by = api.charlie.by_key()
    body = {
        "external_id": "bob-1",
        "contact_channels": [
            OWNED,
            {"channel_type": "facebook", "channel_id": "100", "info_channel": PAGE},
        ],
    }

    made = await api.request("POST", "/v2/contact", body, by=by)
    added = await api.request(
        "POST",
        f"/v2/contact/{made.json()['uuid']}/channel",
        {"channel_type": "email", "channel_id": EMAIL},
        by=by,
    )

    assert [one["channel_id"] for one in added.json()] == [PHONE, "100", EMAIL]
    assert {one["team_id"] for one in added.json()} == {api.charlie.team.team_id}
    assert await everything(api, uuid) == before


async def test_a_conflict_names_a_contact_of_the_own_team(api: Api) -> None:
    await alice_of_bob(api)
    by = api.charlie.by_key()
    own = await api.contact(("phone", PHONE), by=by)
    other = await api.contact(by=by)

    answer = await api.request("POST", f"/v2/contact/{other}/channel", OWNED, by=by)

    assert answer.status_code == 409
    assert answer.json()["conflicting_contact_id"] == own


async def test_charlie_removing_his_own_leaves_bobs(api: Api) -> None:
    uuid = await alice_of_bob(api)
    before = await everything(api, uuid)
    own = await api.contact(("phone", PHONE), by=api.charlie.by_key())

    answer = await api.request(
        "DELETE", f"/v2/contact/{own}/channel/phone", by=api.charlie.by_key()
    )

    assert answer.json() == []
    assert await everything(api, uuid) == before


async def test_the_integer_id_of_a_foreign_contact_opens_nothing(api: Api) -> None:
    number = (await everything(api, await alice_of_bob(api)))["id"]

    answer = await api.request("GET", f"/v2/contact/{number}/channels", by=api.charlie.by_key())

    assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_uuid")


async def test_each_asks_for_the_own_team(api: Api) -> None:
    for one in (api.bob, api.charlie):
        for by in (one.by_key(), one.by_jwt()):
            team = (await api.request("GET", "/v1/team", by=by)).json()
            assert (team["id"], team["name"]) == (one.team.team_id, one.team.name)
