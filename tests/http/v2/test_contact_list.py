"""Lists by time of change, and search by address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import refusal
from tests.support.personas import Api, TeamClient

pytestmark = pytest.mark.anyio

PHONE, EMAIL = "15105553344", "alice@example.com"


async def list_contacts(api: Api, body: object, by: TeamClient | None = None) -> list[Any]:
    response = await api.request("POST", "/v2/contacts/list", body, by=(by or api.bob).by_key())
    assert response.status_code == 200, response.text
    return list(response.json())


async def search_uuids(api: Api, *entries: object, by: TeamClient | None = None) -> list[str]:
    body = {"contact_channels": entries}
    response = await api.request("POST", "/v2/contacts/search", body, by=(by or api.bob).by_key())
    assert response.status_code == 200, response.text
    return [contact["uuid"] for contact in response.json()]


async def list_pages(api: Api, *, limit: int, ascending: bool) -> list[list[str]]:
    """Returns the UUIDs of all pages; the `date` of each is the last row's `updated`."""
    pages: list[list[str]] = []
    date = None
    for _ in range(20):
        page = await list_contacts(api, {"limit": limit, "ascending": ascending, "date": date})
        if not page:
            return pages
        pages.append([contact["uuid"] for contact in page])
        date = page[-1]["updated"]
    raise AssertionError(pages)


async def create_groups(api: Api, *counts: int) -> list[list[str]]:
    """Creates groups of contacts; each group has one creation time, in a second of its own."""
    groups = []
    for count in counts:
        api.clock.forward(1)
        groups.append([await api.contact() for _ in range(count)])
    return groups


# ── list ─────────────────────────────────────────────────────────────────────────────────────


async def test_the_default_list_has_thirty_contacts_newest_first(api: Api) -> None:
    """Each row is a whole Contact."""
    groups = await create_groups(api, *[1] * 32)
    expected = [group[0] for group in reversed(groups)]

    page = await list_contacts(api, {})

    assert [contact["uuid"] for contact in page] == expected[:30]
    assert page[0] == (await api.request("GET", f"/v2/contact/{expected[0]}")).json()
    rest = await list_contacts(api, {"date": page[-1]["updated"]})
    assert [contact["uuid"] for contact in rest] == expected[30:]


async def test_the_body_of_a_list_is_optional(api: Api) -> None:
    uuid = await api.contact()
    response = await api.request("POST", "/v2/contacts/list")
    assert [contact["uuid"] for contact in response.json()] == [uuid]


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 500])
async def test_a_page_never_splits_contacts_of_one_time(
    api: Api, limit: int, *, ascending: bool
) -> None:
    groups = await create_groups(api, 1, 3, 2, 1)
    order = groups if ascending else groups[::-1]

    pages = await list_pages(api, limit=limit, ascending=ascending)

    seen = [uuid for page in pages for uuid in page]
    assert sorted(seen) == sorted(uuid for group in groups for uuid in group)
    group_of = {uuid: number for number, group in enumerate(order) for uuid in group}
    assert [group_of[uuid] for uuid in seen] == sorted(group_of.values())
    for page in pages:
        assert {group_of[uuid] for uuid in page}.isdisjoint(
            {group_of[uuid] for other in pages if other is not page for uuid in other}
        )
    assert all(len(page) >= limit for page in pages[:-1])


async def test_a_changed_contact_is_the_newest(api: Api) -> None:
    first, second = [group[0] for group in await create_groups(api, 1, 1)]
    api.clock.forward(1)
    await api.request(
        "POST",
        f"/v2/contact/{first}/channel",
        {"channel_type": "phone", "channel_id": PHONE},
    )

    rows = await list_contacts(api, {"ascending": True})

    assert [contact["uuid"] for contact in rows] == [second, first]
    assert [contact["phone"] for contact in rows] == ["", PHONE]


async def test_a_date_may_have_any_offset_and_precision(api: Api) -> None:
    api.clock.set("2026-01-02T10:00:00+00:00")
    early = await api.contact()
    api.clock.forward(1)
    late = await api.contact()
    dates = ("2026-01-02T10:00:00.000Z", "2026-01-02T12:00:00.000000+02:00")
    for date in dates:
        rows = await list_contacts(api, {"date": date, "ascending": True})
        assert [contact["uuid"] for contact in rows] == [late]
        assert await list_contacts(api, {"date": date}) == []
    after = {"date": "2026-01-02T10:00:00.000001Z"}
    assert [contact["uuid"] for contact in await list_contacts(api, after)] == [early]


async def test_deleted_contacts_and_other_teams_are_not_listed(api: Api) -> None:
    remaining, deleted = await api.contact(), await api.contact()
    charlies = await api.contact(by=api.charlie.by_key())
    await api.request("DELETE", f"/v2/contact/{deleted}")

    assert [contact["uuid"] for contact in await list_contacts(api, {})] == [remaining]
    assert [contact["uuid"] for contact in await list_contacts(api, {}, api.charlie)] == [charlies]


@pytest.mark.parametrize(
    ("body", "expected", "field"),
    [
        ({"limit": 501}, (400, "too_many"), "limit"),
        ({"limit": 0}, (400, "wrong_type"), "limit"),
        ({"limit": "30"}, (400, "wrong_type"), "limit"),
        ({"date": "yesterday"}, (400, "bad_value"), "date"),
        ({"date": "2026-01-02T10:00:00"}, (400, "bad_value"), "date"),
        ({"date": 1767348000}, (400, "wrong_type"), "date"),
        ({"ascending": "true"}, (400, "wrong_type"), "ascending"),
    ],
)
async def test_a_list_with_a_wrong_field_is_refused(
    api: Api, body: object, expected: tuple[int, str], field: str
) -> None:
    response = await api.request("POST", "/v2/contacts/list", body)

    assert refusal(response) == expected
    assert list(response.json()["fields"]) == [field]


# ── search ───────────────────────────────────────────────────────────────────────────────────


async def test_search_returns_each_owner_once_in_order_of_the_addresses(api: Api) -> None:
    alice = await api.contact(("phone", PHONE), ("email", EMAIL))
    bobby = await api.contact(("facebook", "100"))

    found = await search_uuids(
        api,
        {"channel_type": "facebook", "channel_ids": ["100", "200"]},
        {"channel_type": "email", "channel_ids": ["ALICE@EXAMPLE.COM"]},
        {"channel_ids": ["+1 (510) 555-3344"]},
    )

    assert found == [bobby, alice]
    assert await search_uuids(api) == []
    assert await search_uuids(api, {"channel_ids": []}) == []


@pytest.mark.parametrize(
    "value", [PHONE, "+1 510.555.3344", EMAIL, "Alice@Example.COM", "541123456789", "5491123456789"]
)
async def test_search_infers_the_channel_type(api: Api, value: str) -> None:
    uuid = await api.contact(("phone", PHONE), ("email", EMAIL), ("phone", "5491123456789"))
    assert await search_uuids(api, {"channel_ids": [value]}) == [uuid]


@pytest.mark.parametrize("kind", ["phone", "sms", "whatsapp", "viber", "rcs"])
async def test_search_prefers_the_type_then_a_phone_channel(api: Api, kind: str) -> None:
    by_sms = await api.contact(("sms", PHONE))
    assert await search_uuids(api, {"channel_type": kind, "channel_ids": [PHONE]}) == [by_sms]
    by_phone = await api.contact(("phone", PHONE))
    expected = by_sms if kind == "sms" else by_phone
    assert await search_uuids(api, {"channel_type": kind, "channel_ids": [PHONE]}) == [expected]


async def test_search_finds_a_facebook_id_on_any_page(api: Api) -> None:
    owners = []
    for page in ("a", "b"):
        channel = {"channel_type": "facebook", "channel_id": "100", "info_channel": page}
        created = await api.request("POST", "/v2/contact", {"contact_channels": [channel]})
        owners.append(created.json()["uuid"])

    found = await search_uuids(api, {"channel_type": "facebook", "channel_ids": ["100"]})

    assert found == owners


async def test_search_ignores_deleted_contacts_and_other_teams(api: Api) -> None:
    uuid = await api.contact(("phone", PHONE))
    assert await search_uuids(api, {"channel_ids": [PHONE]}, by=api.charlie) == []
    await api.request("DELETE", f"/v2/contact/{uuid}")
    assert await search_uuids(api, {"channel_ids": [PHONE]}) == []


@pytest.mark.parametrize(
    ("bad", "position"),
    [
        ({"channel_ids": ["123", "124"]}, "contact_channels[1].channel_ids[0]"),
        ({"channel_ids": ["alice"]}, "contact_channels[1].channel_type"),
        ({"channel_ids": ["alice2"]}, "contact_channels[1].channel_type"),
        ({"channel_type": "id", "channel_ids": ["1"]}, "contact_channels[1].channel_type"),
    ],
)
async def test_the_error_of_a_search_names_the_position(
    api: Api, bad: object, position: str
) -> None:
    """If no address can be parsed, the error names the first."""
    body = {"contact_channels": [{"channel_ids": []}, bad]}
    response = await api.request("POST", "/v2/contacts/search", body)

    assert list(response.json()["fields"]) == [position]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([{"channel_ids": ["alice"]}], (400, "bad_value")),
        ([{"channel_ids": ["123"]}], (400, "bad_phone")),
        ([{"channel_ids": ["a@"]}], (400, "bad_email")),
        ([{"channel_type": "Id", "channel_ids": ["1"]}], (400, "bad_channel_type")),
        ([{"channel_type": "phone"}], (400, "missing_field")),
        ([{"channel_ids": [15105553344]}], (400, "wrong_type")),
        ([{"channel_ids": [PHONE] * 1001}], (400, "too_many")),
        (None, (400, "wrong_type")),
    ],
)
async def test_a_search_with_a_wrong_entry_is_refused(
    api: Api, entries: object, expected: tuple[int, str]
) -> None:
    response = await api.request("POST", "/v2/contacts/search", {"contact_channels": entries})
    assert refusal(response) == expected
