"""Signing in, in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.console.conftest import Site

pytestmark = pytest.mark.anyio


async def test_an_admin_signs_in_with_the_link_of_the_first_start(site: Site, page: Page) -> None:
    [link] = re.findall(r"^http\S+/console/link/\S+$", site.server.welcome(), re.MULTILINE)

    await page.goto(link)
    await page.get_by_role("button", name="Sign in").click()

    await expect(page.get_by_role("link", name="admin@localhost")).to_be_visible()
    await page.goto(link)
    await expect(page.get_by_role("heading", level=1)).to_have_text("This link no longer works")
