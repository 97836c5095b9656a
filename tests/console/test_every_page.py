"""Every page is accessible, loads nothing from other hosts, and fits a narrow screen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.console.conftest import Site
from tests.support.browser import faults, opened
from tests.support.console_pages import SIGNED_OUT, signed_in
from tests.support.demo_team import fill

pytestmark = pytest.mark.anyio

Scheme = Literal["light", "dark"]
WIDTH = 360


@pytest.fixture(scope="module")
async def pages(site: Site) -> dict[str, str]:
    """The pages of an admin of a team with contacts."""
    await site.command("team", "set", "1", "--region", "US")
    key = await site.command("key", "create", "--team", "1")
    return signed_in(fill(site.url, key["api_key"]))


@pytest.fixture(params=["light", "dark"])
async def narrow_page(
    request: pytest.FixtureRequest, browser: Browser, site: Site
) -> AsyncIterator[Page]:
    """A page 360 pixels wide, in each colour scheme."""
    scheme: Scheme = request.param
    size = {"width": WIDTH, "height": 800}
    async with opened(browser, site.url, viewport=size, color_scheme=scheme) as (_, made):
        yield made


async def faults_of(page: Page, path: str) -> list[str]:
    """Return the faults of a page."""
    await page.goto(path)
    return await faults(page, WIDTH)


async def test_the_pages_without_a_session_have_no_faults(narrow_page: Page) -> None:
    assert [
        fault for path in SIGNED_OUT.values() for fault in await faults_of(narrow_page, path)
    ] == []


async def test_the_pages_of_an_admin_have_no_faults(
    narrow_page: Page, site: Site, pages: dict[str, str]
) -> None:
    await site.sign_in(narrow_page)

    assert [fault for path in pages.values() for fault in await faults_of(narrow_page, path)] == []


async def test_axe_finds_a_missing_label(page: Page) -> None:
    await page.goto("/console/sign-in")
    await page.evaluate("document.querySelector('label').remove()")

    result = await Axe().run(page)

    assert [violation["id"] for violation in result.response["violations"]] == ["label"]
