"""Steps of the how-to guides that no other test covers."""

from __future__ import annotations

import pytest

from tests.support.personas import Api

UUID = "11111111-2222-3333-4444-555555555555"
# A contact as in the vendor's documentation: with keys unknown to Reachbook, and without a UUID.
VENDOR = {
    "id": 5,
    "rev": 3,
    "team_id": 77,
    "first": "Zoe",
    "phone": "13035550177",
    "email": "zoe@example.com",
    "is_opted_out": True,
    "creator_id": 4,
    "shared": True,
    "note": [],
    "created": "2024-01-15T10:00:00Z",
    "updated": "2024-01-15T10:00:00Z",
}


async def write(api: Api, row: dict[str, object]) -> dict[str, list[dict[str, object]]]:
    response = await api.request("POST", "/v2/contacts", {"contacts": [row]}, by=api.bob.by_key())
    assert response.status_code == 200
    body: dict[str, list[dict[str, object]]] = response.json()
    return body


@pytest.mark.anyio
async def test_a_contact_of_the_vendor_is_created_and_then_updated(api: Api) -> None:
    [copied] = (await write(api, VENDOR))["contacts"]
    changed = {**VENDOR, "first": "Zoë"}
    [failed] = (await write(api, changed))["failed_contacts"]
    [updated] = (await write(api, {**changed, "contact_id": failed["conflicting_contact_id"]}))[
        "contacts"
    ]

    assert (copied["first"], copied["is_opted_out"]) == ("Zoe", True)
    assert failed["error_code"] == "address_taken"
    assert (updated["uuid"], updated["first"]) == (copied["uuid"], "Zoë")


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["uuid", "contact_id"])
async def test_a_row_with_an_unknown_uuid_fails(api: Api, key: str) -> None:
    [failed] = (await write(api, {**VENDOR, key: UUID}))["failed_contacts"]

    assert failed["error_code"] == "no_contact"
