"""Numbers that a team with a default region can read in two ways (contract section 3)."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from reachbook.domain.credential import Representation
from reachbook.service.administration import CredentialOptions
from tests.support.personas import Api, TeamClient, create_team_client

pytestmark = pytest.mark.anyio

EGYPT_OR_US = "2025550123"  # possible in Egypt, but not valid there
NEW_ZEALAND_OR_US = "6465550123"  # valid in both


def channel(kind: object, value: object, **fields: object) -> dict[str, object]:
    return {"channel_type": kind, "channel_id": value, **fields}


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()
    return response.status_code, error["error"], error["error_code"]


async def create_us_team(api: Api) -> TeamClient:
    return await create_team_client(
        api.administration, "A team at home in the US", api.clock, region="US"
    )


async def search_uuids(api: Api, by: dict[str, str], *values: str) -> Any:
    body = {"contact_channels": [{"channel_type": "phone", "channel_ids": list(values)}]}
    response = await api.request("POST", "/v2/contacts/search", body, by=by)
    assert response.status_code == 200, response.text
    return [each["uuid"] for each in response.json()]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_digits_with_two_readings_are_refused_and_both_returned(
    api: Api, method: str
) -> None:
    us = (await create_us_team(api)).by_key()
    uuid = await api.contact(("phone", "15105553344"), by=us)

    response = await api.request(
        method, f"/v2/contact/{uuid}/channel", channel("phone", NEW_ZEALAND_OR_US), by=us
    )

    assert refusal(response) == (400, "bad_data", "ambiguous")
    for reading in ("+6465550123", "+16465550123"):
        assert reading in response.json()["message"]
    assert response.json()["readings"] == ["+6465550123", "+16465550123"]
    assert list(response.json()["fields"]) == ["channel_id"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("+12025550123", "12025550123"),
        ("12025550123", "12025550123"),
        ("+2025550123", "2025550123"),
        (EGYPT_OR_US, "12025550123"),
        ("+6465550123", "6465550123"),
    ],
)
async def test_a_plus_or_a_single_valid_reading_is_accepted(
    api: Api, sent: str, stored: str
) -> None:
    us = (await create_us_team(api)).by_key()
    uuid = await api.contact(("phone", sent), by=us)

    response = await api.request("GET", f"/v2/contact/{uuid}/channels", by=us)

    assert [channel["channel_id"] for channel in response.json()] == [stored]


async def test_a_team_without_a_region_stores_digits_unchanged(api: Api) -> None:
    uuid = await api.contact(("phone", EGYPT_OR_US))

    response = await api.request("GET", f"/v2/contact/{uuid}/channels")

    assert response.json()[0]["channel_id"] == EGYPT_OR_US


@pytest.mark.parametrize("digits", [EGYPT_OR_US, NEW_ZEALAND_OR_US])
@pytest.mark.parametrize("code", ["", "1"])
async def test_lookups_find_both_readings(api: Api, digits: str, code: str) -> None:
    us = (await create_us_team(api)).by_key()
    uuid = await api.contact(("phone", f"+{code}{digits}"), by=us)
    path = f"/v2/contact/{uuid}/channel/phone?channel_id={digits}"

    assert await search_uuids(api, us, digits) == [uuid]
    for body in ({"channel_id": digits}, {"channel_id": digits, "create": {}}):
        found = (await api.request("POST", "/x/resolve", body, by=us)).json()
        assert (found["contact"]["uuid"], found["created"]) == (uuid, False)
    assert (await api.request("GET", path, by=us)).json()["channel_id"] == code + digits
    other = await api.contact(by=us)
    missing = await api.request("GET", path.replace(uuid, other), by=us)
    assert missing.json()["error_code"] == "no_channel"
    assert (await api.request("DELETE", path, by=us)).json() == []


@pytest.mark.parametrize("digits", [EGYPT_OR_US, NEW_ZEALAND_OR_US])
async def test_a_lookup_is_refused_if_two_contacts_own_the_readings(api: Api, digits: str) -> None:
    us = (await create_us_team(api)).by_key()
    for each in (f"+{digits}", f"+1{digits}"):
        await api.contact(("phone", each), by=us)
    third = await api.contact(("phone", "15105553344"), by=us)
    entry = {"channel_type": "phone", "channel_ids": [digits]}
    address = {"channel_id": digits}

    search_alone = await api.request(
        "POST", "/v2/contacts/search", {"contact_channels": [entry]}, by=us
    )
    resolved = await api.request("POST", "/x/resolve", address, by=us)
    several = {"addresses": [address, {"channel_id": "15105553344"}]}
    batch = (await api.request("POST", "/x/resolve/batch", several, by=us)).json()["results"]

    for response in (search_alone, resolved):
        assert refusal(response) == (400, "bad_data", "ambiguous")
        assert response.json()["readings"] == [f"+{digits}", f"+1{digits}"]
    assert list(search_alone.json()["fields"]) == ["contact_channels[0].channel_ids[0]"]
    assert await search_uuids(api, us, digits, "15105553344") == [third]
    assert batch[0]["error_code"] == "ambiguous"
    assert batch[1]["contact"]["uuid"] == third


async def test_explain_names_the_chosen_reading_and_the_reason(api: Api) -> None:
    us = (await create_us_team(api)).by_key()
    await api.contact(("phone", f"+1{NEW_ZEALAND_OR_US}"), by=us)
    explained = {}
    for typed in ("(510) 555-3344", NEW_ZEALAND_OR_US):
        response = await api.request(
            "POST", "/x/resolve?explain=true", {"channel_id": typed}, by=us
        )
        explained[typed] = response.json()["explain"]

    by_region, by_owner = explained.values()
    assert by_region["canonical"] == "15105553344"
    assert "a national number of US: +5105553344 is possible" in by_region["read_as"]
    assert by_owner["canonical"] == f"1{NEW_ZEALAND_OR_US}"
    assert f"a contact has +1{NEW_ZEALAND_OR_US}" in by_owner["read_as"]
    assert by_owner["rule"] == "the same address"


async def test_no_contact_is_found_or_created_for_an_ambiguous_number(api: Api) -> None:
    us = (await create_us_team(api)).by_key()
    body: dict[str, object] = {"channel_id": NEW_ZEALAND_OR_US}

    assert await search_uuids(api, us, NEW_ZEALAND_OR_US) == []
    looked_up = await api.request("POST", "/x/resolve", body, by=us)
    created = await api.request("POST", "/x/resolve", {**body, "create": {}}, by=us)

    assert looked_up.json()["contact"] is None
    assert looked_up.json()["created"] is False
    assert refusal(created) == (400, "bad_data", "ambiguous")


async def test_a_contact_with_both_readings_selects_each_by_its_stored_form(api: Api) -> None:
    us = (await create_us_team(api)).by_key()
    digits = NEW_ZEALAND_OR_US
    uuid = await api.contact(("phone", f"+1{digits}"), ("phone", f"+{digits}"), by=us)
    path = f"/v2/contact/{uuid}/channel/phone"
    before = (await api.request("GET", f"/v2/contact/{uuid}", by=us)).json()

    assert await search_uuids(api, us, digits) == [uuid]
    assert (await api.request("PUT", f"/v2/contact/{uuid}", before, by=us)).json() == before
    in_doubt = await api.request("DELETE", f"{path}?channel_id=(646)+555-0123", by=us)
    assert refusal(in_doubt) == (409, "conflict", "several")
    left = (await api.request("DELETE", f"{path}?channel_id={digits}", by=us)).json()
    assert [each["channel_id"] for each in left] == [f"1{digits}"]


@pytest.mark.parametrize("digits", [EGYPT_OR_US, NEW_ZEALAND_OR_US])
async def test_an_ambiguous_number_of_the_contact_itself_is_accepted(api: Api, digits: str) -> None:
    """The number was stored before the team had a region."""
    team = api.bob.team.team_id
    uuid = await api.contact(("phone", digits))
    await api.administration.set_team(team, None, "US")
    _, api_key = await api.administration.create_key(
        team, CredentialOptions(Representation.STRING_IDS)
    )
    us = {"authorization": f"Bearer {api_key}"}
    path = f"/v2/contact/{uuid}/channel"

    for method in ("POST", "PUT"):
        wanted = channel("phone", digits, channel_handle=method)
        response = await api.request(method, path, wanted, by=us)
        assert [item["channel_handle"] for item in response.json()] == [method], response.text
    whole = (await api.request("GET", f"/v2/contact/{uuid}", by=us)).json()
    assert (await api.request("PUT", f"/v2/contact/{uuid}", whole, by=us)).json() == whole
    for method in ("GET", "DELETE"):
        response = await api.request(method, f"{path}/phone?channel_id={digits}", by=us)
        assert response.status_code == 200, response.text
