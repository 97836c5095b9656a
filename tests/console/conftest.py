"""The console in this process, and a server process with a browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.support.browser import launched, opened
from tests.support.console import Console, open_console
from tests.support.home import Home
from tests.support.personas import Api
from tests.support.server_process import Server


@pytest.fixture
async def console(api: Api) -> AsyncIterator[Console]:
    """The console and the API in this process, on SQLite and on PostgreSQL."""
    async with open_console(api) as served:
        yield served


@dataclass
class Site:
    """A server process and its data directory, with a method to sign in to its console."""

    server: Server
    home: Home

    @property
    def url(self) -> str:
        """The address of the server."""
        return self.server.url

    async def command(self, *arguments: str) -> Any:
        """Run a command with `--json`, and return the document that it prints."""
        # In a thread, because the command runs an event loop.
        return await asyncio.to_thread(self.home.json, *arguments)

    async def sign_in(self, page: Page, email: str = "admin@localhost") -> None:
        """Sign a user in with a link."""
        link = (await self.command("user", "link", email, "--url", self.url))["url"]
        await page.goto(link)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(re.compile("/console/contacts"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server on SQLite after its first start; the tests of a module share it."""
    directory: Path = tmp_path_factory.mktemp("site") / "data"
    home = Home(directory).in_process()
    with home.serve("--port", "0") as server:
        yield Site(server, home)


@pytest.fixture(scope="module")
async def browser(site: Site) -> AsyncIterator[Browser]:
    """Chromium; the tests of a module share it."""
    async with launched() as started:
        yield started


@pytest.fixture
async def page(browser: Browser, site: Site) -> AsyncIterator[Page]:
    """A page in a new browser context, not signed in."""
    async with opened(browser, site.url) as (_, made):
        yield made


@pytest.fixture
async def admin_page(page: Page, site: Site) -> Page:
    """A page in which the admin is signed in."""
    await site.sign_in(page)
    return page
