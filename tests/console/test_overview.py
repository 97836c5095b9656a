"""The page Overview: its figures and charts, and its texts when there are none."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from reachbook.console import charts
from reachbook.console.rendering import show_number, show_share
from reachbook.service import statistics
from tests.support.console import Console, text_of

pytestmark = pytest.mark.anyio

PATH = "/console/overview"
HELD: dict[str, object] = {"held": True, "held_reason": "bounced"}
OPTED_OUT: dict[str, object] = {"consent": "opted_out"}


async def change(console: Console, uuid: str, body: dict[str, object]) -> None:
    """Change the only channel of a contact of Bob's team."""
    [channel] = (await console.api.request("GET", f"/x/contact/{uuid}/channels")).json()
    path = f"/x/contact/{uuid}/channel/{channel['id']}"
    response = await console.api.request("PATCH", path, body)
    assert response.status_code == 200, response.text


async def fill(console: Console) -> None:
    """Give Bob's team four contacts, one of them without a channel and one deleted."""
    console.api.clock.set("2030-03-10T12:00:00Z")
    await console.api.contact(("phone", "+12025550101"), ("email", "alice@example.com"))
    held = await console.api.contact(("phone", "+12025550102"))
    out = await console.api.contact(("phone", "+12025550103"))
    await change(console, held, HELD)
    await change(console, out, OPTED_OUT)
    console.api.clock.set("2030-03-11T12:00:00Z")
    await console.api.contact()
    gone = await console.api.contact(("phone", "+12025550104"))
    await console.api.request("DELETE", f"/v2/contact/{gone}")


def rows_of(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    _, _, after = page.partition(f'id="{heading}"')
    [body] = re.findall(r"<tbody>(.*?)</tbody>", after, re.DOTALL)[:1]
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[re.sub(r"<[^>]+>", "", cell) for cell in row] for row in cells]


async def test_the_tables_show_the_counts_of_the_team(console: Console) -> None:
    await fill(console)
    async with console.visitor(console.member) as visitor:
        response = await visitor.get(PATH)

    assert response.status_code == 200
    assert rows_of(response.text, "by-type") == [
        ["Phone", "3", "1 (33%)", "1 (33%)"],
        ["Email", "1", "0", "0"],
    ]
    assert [row[:2] for row in rows_of(response.text, "by-number")] == [
        *(["None", "1"], ["1", "2"], ["2", "1"], ["3", "0"], ["4", "0"], ["5 or more", "0"]),
    ]
    assert rows_of(response.text, "by-day")[:3] == [
        *(["2030-03-11", "2", "1"], ["2030-03-10", "3", "0"], ["2030-03-09", "0", "0"]),
    ]
    assert len(rows_of(response.text, "by-day")) == 30
    assert "Contacts 4" in text_of(response)


async def test_the_charts_have_titles_and_no_inline_style(console: Console) -> None:
    await fill(console)
    async with console.visitor(console.admin) as visitor:
        response = await visitor.get(PATH)

    assert "style=" not in response.text
    assert response.text.count('role="img"') == 3
    for title in re.findall(r'role="img" aria-labelledby="([^"]+)"', response.text):
        assert f'<title id="{title}">' in response.text


async def test_the_page_of_an_empty_team_shows_the_first_steps(console: Console) -> None:
    async with console.visitor(console.admin) as visitor:
        of_admin = await visitor.get(PATH)
    async with console.visitor(console.member) as visitor:
        of_member = await visitor.get(PATH)

    assert "No contacts yet." in text_of(of_admin)
    assert "Generate an API key" in text_of(of_admin)
    assert "ask an admin" in text_of(of_member)
    assert "Generate an API key" not in text_of(of_member)
    assert "<svg" not in of_admin.text


async def test_a_month_without_changes_has_a_text_and_no_chart(console: Console) -> None:
    await console.api.contact(("phone", "+12025550101"))
    console.api.clock.forward(31 * 24 * 60 * 60)
    async with console.visitor(console.admin) as visitor:
        response = await visitor.get(PATH)

    assert "No contact was added or removed in the last 30 days." in text_of(response)
    assert response.text.count('role="img"') == 2


async def test_counts_are_cached_for_ten_minutes(console: Console) -> None:
    async with console.visitor(console.admin) as visitor:
        await console.api.contact()
        first = await visitor.get(PATH)
        await console.api.contact()
        console.api.clock.forward(599)
        same = await visitor.get(PATH)
        console.api.clock.forward(2)
        fresh = await visitor.get(PATH)

    shown = [text_of(each) for each in (first, same, fresh)]
    assert ["Contacts 1" in text for text in shown] == [True, True, False]
    assert "Contacts 2" in shown[2]


async def test_a_count_that_takes_too_long_shows_the_previous_counts(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console.visitor(console.admin) as visitor:
        await console.api.contact()
        await visitor.get(PATH)
        monkeypatch.setattr(statistics, "COUNT_SECONDS", 0.0)
        console.api.clock.forward(601)
        late = await visitor.get(PATH)

    assert late.status_code == 200
    assert "Counting took longer than 10 seconds" in text_of(late)
    assert "These are the counts of" in text_of(late)
    assert "Contacts 1" in text_of(late)


async def test_a_first_count_that_takes_too_long_shows_a_message(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "COUNT_SECONDS", 0.0)
    async with console.visitor(console.admin) as visitor:
        late = await visitor.get(PATH)

    assert late.status_code == 200
    assert "There are no earlier counts to show." in text_of(late)


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [
        (0, 0, "0%"),
        (0, 5, "0%"),
        (5, 5, "100%"),
        (1, 3, "33%"),
        (1, 1000, "<1%"),
        (999, 1000, "99%"),
    ],
)
def test_a_share_is_rounded_to_0_or_100_percent_only_if_exact(
    part: int, whole: int, shown: str
) -> None:
    assert show_share(part, whole) == shown


def test_numbers_have_commas() -> None:
    assert [show_number(each) for each in (0, 999, 1000, 1234567)] == [
        "0",
        "999",
        "1,000",
        "1,234,567",
    ]


@pytest.mark.parametrize(
    "numbers", [[0, 0, 0], [1, 0, 1_000_000], [7, 7, 7], [1_000_000, 1, 1]], ids=str
)
def test_bars_stay_inside_their_drawing(numbers: list[int]) -> None:
    chart = charts.bars([(str(each), [("plain", each), ("held", each)]) for each in numbers])

    for row in chart.rows:
        assert len(row.parts) == (2 if int(row.label) else 0)
        for part in row.parts:
            assert_inside(part, chart.width + charts.MIN_LENGTH, chart.height)


@pytest.mark.parametrize(
    ("added", "removed"),
    [([0] * 30, [0] * 30), ([1] * 30, [0] * 30), ([0] * 30, [3] * 30), ([1_000_000, 1], [1, 1])],
)
def test_days_stay_inside_their_drawing(added: Sequence[int], removed: Sequence[int]) -> None:
    chart = charts.days(added, removed)

    assert len(chart.parts) == sum(1 for each in (*added, *removed) if each)
    for part in chart.parts:
        assert_inside(part, chart.width, chart.height)
        is_above = part.y < chart.baseline
        assert part.kind == ("added" if is_above else "removed")


def assert_inside(part: charts.Part, width: float, height: float) -> None:
    """Fail unless a part is visible and inside a drawing."""
    assert part.width > 0
    assert part.height > 0
    assert 0 <= part.x <= part.x + part.width <= width + 0.1
    assert 0 <= part.y <= part.y + part.height <= height
