"""The page Overview."""

from __future__ import annotations

import re

import pytest

from reachbook.service import statistics
from tests.support.console import Console, text_of

pytestmark = pytest.mark.anyio

PATH = "/console/overview"


async def test_it_shows_figures_beside_the_bars(console: Console) -> None:
    await console.api.contact(("phone", "15105550100"), ("email", "a@example.com"))
    await console.api.contact(("phone", "15105550101"))
    async with console.visitor(console.member) as visitor:
        shown = await visitor.get(PATH)

    text = text_of(shown)
    assert "2 contacts, 3 channels" in text
    assert "Phone 2 0 % 0 %" in text
    assert "Email 1 0 % 0 %" in text
    assert "1 1 50 %" in text
    assert re.search(r"20\d\d-\d\d-\d\d 2 0 ", text)
    assert 'role="img"' in shown.text
    assert "style=" not in shown.text


async def test_an_empty_team_is_told_what_to_do_first(console: Console) -> None:
    async with console.visitor(console.member) as visitor:
        assert "Create the first one" in text_of(await visitor.get(PATH))


async def test_a_count_that_takes_too_long_is_no_error(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "COUNT_SECONDS", 0.0)
    async with console.visitor(console.member) as visitor:
        shown = await visitor.get(PATH)

    assert shown.status_code == 200
    assert "longer than ten seconds" in text_of(shown)


async def test_the_bars_of_channels_that_are_both_held_and_opted_out_fit(console: Console) -> None:
    uuid = await console.api.contact(("phone", "15105550100"))
    [channel] = (await console.api.request("GET", f"/x/contact/{uuid}/channels")).json()
    body = {"held": True, "consent": "opted_out"}
    await console.api.request("PATCH", f"/x/contact/{uuid}/channel/{channel['id']}", body)
    async with console.visitor(console.member) as visitor:
        shown = await visitor.get(PATH)

    assert "Phone 1 100 % 100 %" in text_of(shown)
    bars = re.findall(r'<rect class="\w+" x="([\d.]+)" y="0" width="([\d.]+)"', shown.text)
    assert max(float(start) + float(width) for start, width in bars) == 200
