"""The contacts that `date` and `page` of a list select, and dates that too many contacts have."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from reachbook.domain import timestamps
from tests.support.dated_contacts import TEN, plant, plant_many
from tests.support.http import ok, refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

MANY = 5000


async def list_offsets(api: Api, **body: object) -> list[int]:
    """Returns the `updated` of each contact of a page, in microseconds after ten o'clock."""
    return [offset(each) for each in await ok(api, "POST", "/v2/contacts/list", body)]


def offset(contact: Any) -> int:
    time = datetime.fromisoformat(contact["updated"])
    return int(time.timestamp()) * timestamps.SECOND + time.microsecond - TEN


async def fields_of_refusal(api: Api, **body: object) -> dict[str, Any]:
    response = await api.request("POST", "/v2/contacts/list", body)
    assert refusal(response) == (400, "date_too_coarse")
    fields: dict[str, Any] = response.json()["fields"]
    return fields


# ── date ─────────────────────────────────────────────────────────────────────────────────────

OFFSETS = (-1_500_000, 0, 1, 123_000, 123_456, 123_999, 124_000, 999_999, 1_000_000, 3_000_000)


@pytest.mark.parametrize(
    ("date", "after", "before"),
    [
        ("10:00:00.123456Z", OFFSETS[5:], OFFSETS[:4]),
        ("10:00:00.123455Z", OFFSETS[4:], OFFSETS[:4]),
        ("10:00:00.1234569Z", OFFSETS[5:], OFFSETS[:4]),
        ("10:00:00.000000Z", OFFSETS[2:], OFFSETS[:1]),
        ("10:00:00.1230Z", OFFSETS[4:], OFFSETS[:3]),
        ("10:00:00.123Z", OFFSETS[6:], OFFSETS[:3]),
        ("10:00:00.000Z", OFFSETS[3:], OFFSETS[:1]),
        ("10:00:00.1Z", OFFSETS[3:], OFFSETS[:3]),
        ("10:00:00.12Z", OFFSETS[3:], OFFSETS[:3]),
        ("10:00:00Z", OFFSETS[1:], OFFSETS[:8]),
        ("15:30:00+05:30", OFFSETS[1:], OFFSETS[:8]),
        ("10:00:01Z", OFFSETS[8:], OFFSETS[:9]),
        ("10:00:02Z", OFFSETS[9:], OFFSETS[:9]),
        ("10:00:03Z", (), OFFSETS),
        ("09:59:58Z", OFFSETS, ()),
    ],
)
async def test_a_date_selects_by_the_precision_of_its_digits(
    api: Api, date: str, after: tuple[int, ...], before: tuple[int, ...]
) -> None:
    await plant(api, *OFFSETS)
    date = f"2026-01-02T{date}"
    assert await list_offsets(api, date=date, ascending=True, limit=500) == list(after)
    assert await list_offsets(api, date=date, limit=500) == list(reversed(before))


@pytest.mark.parametrize(
    ("date", "ascending", "expected"),
    [
        # The whole second, and one contact of the next.
        ("10:00:00Z", True, OFFSETS[1:9]),
        ("10:00:01Z", True, OFFSETS[8:]),
        ("10:00:01Z", False, OFFSETS[8:0:-1]),
        # The whole millisecond.
        ("10:00:00.122Z", True, OFFSETS[3:6]),
        ("10:00:00.124Z", False, OFFSETS[5:2:-1]),
        # A client may send such a time back without its fraction, so the page has its whole second.
        ("09:59:59.999Z", True, OFFSETS[1:6]),
        ("09:59:59.999999Z", True, OFFSETS[1:3]),
        ("10:00:00.000001Z", True, OFFSETS[3:5]),
    ],
)
async def test_a_page_contains_a_whole_group_despite_its_limit(
    api: Api, date: str, expected: tuple[int, ...], *, ascending: bool
) -> None:
    await plant(api, *OFFSETS)
    body = {"date": f"2026-01-02T{date}", "ascending": ascending, "limit": 1}
    assert await list_offsets(api, **body) == list(expected)


@pytest.mark.parametrize("ascending", [True, False])
async def test_a_first_page_contains_the_whole_last_second(api: Api, *, ascending: bool) -> None:
    second = [0, 1, 1_000, 500_000, 999_999]
    side = 1_000_000 if ascending else -1
    await plant(api, *second)
    assert sorted(await list_offsets(api, limit=1, ascending=ascending)) == second
    await plant(api, side)
    assert sorted(await list_offsets(api, limit=1, ascending=ascending)) == second
    await plant(api, side * 2, side * 3)
    millisecond = [0, 1] if ascending else [999_999]
    assert await list_offsets(api, limit=1, ascending=ascending) == millisecond


# ── too many in one group ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ascending", [True, False])
async def test_a_second_with_too_many_contacts_is_refused(api: Api, *, ascending: bool) -> None:
    """A date with a fraction is accepted."""
    date = "2026-01-02T10:00:00Z"
    await plant(api, -1_000_000, 1_000_000)
    await plant_many(api, MANY, start=0, step=150)
    before = {"date": f"2026-01-02T{'09:59:59' if ascending else '10:00:01'}Z"}
    assert len(await list_offsets(api, date=date, ascending=ascending)) == MANY + 1
    assert len(await list_offsets(api, **before, ascending=ascending)) == MANY + 1

    await plant(api, 999_999)

    assert list(await fields_of_refusal(api, date=date, ascending=ascending)) == ["date"]
    assert list(await fields_of_refusal(api, **before, ascending=ascending)) == ["date"]
    for digits, first in (("000", 1_050), ("000000", 150)):
        exact = f"2026-01-02T10:00:00.{digits}Z"
        page = await list_offsets(api, date=exact, ascending=True, limit=30)
        assert page[0] == first
        assert 30 <= len(page) <= 40


@pytest.mark.parametrize("ascending", [True, False])
async def test_a_first_page_may_end_in_a_second_with_too_many_contacts(
    api: Api, *, ascending: bool
) -> None:
    """A date without its fraction is refused, although no contact is beyond that second."""
    await plant_many(api, MANY + 1, start=0, step=150)
    page = await list_offsets(api, ascending=ascending, limit=30)
    assert 30 <= len(page) <= 40
    assert await fields_of_refusal(api, date="2026-01-02T10:00:00Z", ascending=ascending)


async def test_a_millisecond_with_too_many_contacts_is_refused(api: Api) -> None:
    await plant_many(api, MANY + 1, start=500_300, step=0)
    await plant(api, 500_001, 500_400, 2_000_000)
    for ascending in (True, False):
        for digits in ("500", "5", "499", "501"):
            body = {"date": f"2026-01-02T10:00:00.{digits}Z", "ascending": ascending}
            if digits in ("500", "5") or (digits == "499") is ascending:
                assert await fields_of_refusal(api, **body)
            else:
                await list_offsets(api, **body)
    assert await list_offsets(api, ascending=True, limit=1) == [500_001]
    assert (
        len(await list_offsets(api, date="2026-01-02T10:00:00.500001Z", ascending=True)) == MANY + 1
    )
    assert await list_offsets(api, date="2026-01-02T10:00:00.500300Z", ascending=True, limit=1) == [
        500_400
    ]


# ── page ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ascending", [True, False])
async def test_pages_are_counted_from_zero(api: Api, *, ascending: bool) -> None:
    order = [number * timestamps.SECOND for number in range(8)]
    await plant(api, *order)
    order = order if ascending else order[::-1]
    pages = [await list_offsets(api, limit=3, page=page, ascending=ascending) for page in range(4)]
    assert pages == [order[:3], order[3:6], order[6:], []]
    date = f"2026-01-02T10:00:0{1 if ascending else 6}.000000Z"
    assert await list_offsets(api, limit=3, page=1, ascending=ascending, date=date) == order[5:8]
    assert await list_offsets(api, limit=1, page=1000) == []


@pytest.mark.parametrize(
    ("page", "expected"), [(1001, "too_many"), (-1, "wrong_type"), ("1", "wrong_type")]
)
async def test_a_wrong_page_is_refused(api: Api, page: object, expected: str) -> None:
    response = await api.request("POST", "/v2/contacts/list", {"page": page})
    assert refusal(response) == (400, expected)
    assert list(response.json()["fields"]) == ["page"]
