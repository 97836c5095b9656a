"""Lists by time of change, and search by address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import refusal
from tests.support.personas import Api, TeamClient

pytestmark = pytest.mark.anyio

PHONE, EMAIL = "15105553344", "alice@example.com"


async def listed(api: Api, body: object, by: TeamClient | None = None) -> list[Any]:
    answer = await api.request("POST", "/v2/contacts/list", body, by=(by or api.bob).by_key())
    assert answer.status_code == 200, answer.text
    return list(answer.json())


async def searched(api: Api, *entries: object, by: TeamClient | None = None) -> list[str]:
    body = {"contact_channels": entries}
    answer = await api.request("POST", "/v2/contacts/search", body, by=(by or api.bob).by_key())
    assert answer.status_code == 200, answer.text
    return [one["uuid"] for one in answer.json()]


async def walked(api: Api, *, limit: int, ascending: bool) -> list[list[str]]:
    """Every page of a list, each begun with the `updated` of the last row as it was."""
    pages: list[list[str]] = []
    date = None
    for _ in range(20):
        page = await listed(api, {"limit": limit, "ascending": ascending, "date": date})
        if not page:
            return pages
        pages.append([one["uuid"] for one in page])
        date = page[-1]["updated"]
    raise AssertionError(pages)


async def in_moments(api: Api, *counts: int) -> list[list[str]]:
    """Contacts made in groups; each group shares one instant, in a second of its own."""
    made = []
    for count in counts:
        api.clock.forward(1)
        made.append([await api.contact() for _ in range(count)])
    return made


# ── list ─────────────────────────────────────────────────────────────────────────────────────


async def test_it_works(api: Api) -> None:
    """Newest first by default, thirty of them, each a whole Contact."""
    made = await in_moments(api, *[1] * 32)
    expected = [group[0] for group in reversed(made)]

    page = await listed(api, {})

    assert [one["uuid"] for one in page] == expected[:30]
    assert page[0] == (await api.request("GET", f"/v2/contact/{expected[0]}")).json()
    rest = await listed(api, {"date": page[-1]["updated"]})
    assert [one["uuid"] for one in rest] == expected[30:]


async def test_a_body_may_be_left_out(api: Api) -> None:
    uuid = await api.contact()
    answer = await api.request("POST", "/v2/contacts/list")
    assert [one["uuid"] for one in answer.json()] == [uuid]


@pytest.mark.parametrize("ascending", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 500])
async def test_a_page_never_ends_inside_an_instant(
    api: Api, limit: int, *, ascending: bool
) -> None:
    groups = await in_moments(api, 1, 3, 2, 1)
    order = groups if ascending else groups[::-1]

    pages = await walked(api, limit=limit, ascending=ascending)

    seen = [uuid for page in pages for uuid in page]
    assert sorted(seen) == sorted(uuid for group in groups for uuid in group)
    where = {uuid: number for number, group in enumerate(order) for uuid in group}
    assert [where[uuid] for uuid in seen] == sorted(where.values())
    for page in pages:
        assert {where[uuid] for uuid in page}.isdisjoint(
            {where[uuid] for other in pages if other is not page for uuid in other}
        )
    assert all(len(page) >= limit for page in pages[:-1])


async def test_a_change_moves_a_contact_to_the_new_end(api: Api) -> None:
    first, second = [group[0] for group in await in_moments(api, 1, 1)]
    api.clock.forward(1)
    await api.request(
        "POST",
        f"/v2/contact/{first}/channel",
        {"channel_type": "phone", "channel_id": PHONE},
    )

    rows = await listed(api, {"ascending": True})

    assert [one["uuid"] for one in rows] == [second, first]
    assert [one["phone"] for one in rows] == ["", PHONE]


async def test_any_spelling_of_the_moment_is_taken(api: Api) -> None:
    api.clock.set("2026-01-02T10:00:00+00:00")
    early = await api.contact()
    api.clock.forward(1)
    late = await api.contact()
    dates = ("2026-01-02T10:00:00.000Z", "2026-01-02T12:00:00.000000+02:00")
    for date in dates:
        rows = await listed(api, {"date": date, "ascending": True})
        assert [one["uuid"] for one in rows] == [late]
        assert await listed(api, {"date": date}) == []
    after = {"date": "2026-01-02T10:00:00.000001Z"}
    assert [one["uuid"] for one in await listed(api, after)] == [early]


async def test_deleted_and_foreign_contacts_are_not_listed(api: Api) -> None:
    kept, gone = await api.contact(), await api.contact()
    own = await api.contact(by=api.charlie.by_key())
    await api.request("DELETE", f"/v2/contact/{gone}")

    assert [one["uuid"] for one in await listed(api, {})] == [kept]
    assert [one["uuid"] for one in await listed(api, {}, api.charlie)] == [own]


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
async def test_a_wrong_list_is_refused(
    api: Api, body: object, expected: tuple[int, str], field: str
) -> None:
    answer = await api.request("POST", "/v2/contacts/list", body)

    assert refusal(answer) == expected
    assert list(answer.json()["fields"]) == [field]


# ── search ───────────────────────────────────────────────────────────────────────────────────


async def test_search_finds_the_owners_in_order_and_each_once(api: Api) -> None:
    alice = await api.contact(("phone", PHONE), ("email", EMAIL))
    bobby = await api.contact(("facebook", "100"))

    found = await searched(
        api,
        {"channel_type": "facebook", "channel_ids": ["100", "200"]},
        {"channel_type": "email", "channel_ids": ["ALICE@EXAMPLE.COM"]},
        {"channel_ids": ["+1 (510) 555-3344"]},
    )

    assert found == [bobby, alice]
    assert await searched(api) == []
    assert await searched(api, {"channel_ids": []}) == []


@pytest.mark.parametrize(
    "value", [PHONE, "+1 510.555.3344", EMAIL, "Alice@Example.COM", "541123456789", "5491123456789"]
)
async def test_the_type_is_inferred(api: Api, value: str) -> None:
    uuid = await api.contact(("phone", PHONE), ("email", EMAIL), ("phone", "5491123456789"))
    assert await searched(api, {"channel_ids": [value]}) == [uuid]


@pytest.mark.parametrize("kind", ["phone", "sms", "whatsapp", "viber", "rcs"])
async def test_a_number_is_looked_for_in_its_type_then_in_the_phone_family(
    api: Api, kind: str
) -> None:
    by_sms = await api.contact(("sms", PHONE))
    assert await searched(api, {"channel_type": kind, "channel_ids": [PHONE]}) == [by_sms]
    by_phone = await api.contact(("phone", PHONE))
    expected = by_sms if kind == "sms" else by_phone
    assert await searched(api, {"channel_type": kind, "channel_ids": [PHONE]}) == [expected]


async def test_an_integrations_id_is_found_under_any_page(api: Api) -> None:
    owners = []
    for page in ("a", "b"):
        one = {"channel_type": "facebook", "channel_id": "100", "info_channel": page}
        made = await api.request("POST", "/v2/contact", {"contact_channels": [one]})
        owners.append(made.json()["uuid"])

    found = await searched(api, {"channel_type": "facebook", "channel_ids": ["100"]})

    assert found == owners


async def test_deleted_and_foreign_contacts_are_not_found(api: Api) -> None:
    gone = await api.contact(("phone", PHONE))
    assert await searched(api, {"channel_ids": [PHONE]}, by=api.charlie) == []
    await api.request("DELETE", f"/v2/contact/{gone}")
    assert await searched(api, {"channel_ids": [PHONE]}) == []


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        ({"channel_ids": ["123", "124"]}, "contact_channels[1].channel_ids[0]"),
        ({"channel_ids": ["alice"]}, "contact_channels[1].channel_type"),
        ({"channel_ids": ["alice2"]}, "contact_channels[1].channel_type"),
        ({"channel_type": "id", "channel_ids": ["1"]}, "contact_channels[1].channel_type"),
    ],
)
async def test_a_wrong_search_is_told_where(api: Api, bad: object, place: str) -> None:
    """The first address is refused if none of them can be read."""
    body = {"contact_channels": [{"channel_ids": []}, bad]}
    answer = await api.request("POST", "/v2/contacts/search", body)

    assert list(answer.json()["fields"]) == [place]


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
async def test_a_wrong_search_is_refused(
    api: Api, entries: object, expected: tuple[int, str]
) -> None:
    answer = await api.request("POST", "/v2/contacts/search", {"contact_channels": entries})
    assert refusal(answer) == expected
