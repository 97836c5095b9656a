"""Write a picture of each page of the web console, at two widths and in both colour schemes.

Usage: python -m scripts.screenshots [DIRECTORY]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.async_api import Browser, Page

from tests.support.browser import launched, opened
from tests.support.console_pages import SIGNED_OUT, signed_in
from tests.support.demo_team import fill
from tests.support.home import Home
from tests.support.server_process import Server

WIDTHS = (360, 1280)
HEIGHT = 800
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
DEFAULT = "docs/screenshots"


async def take(server: Server, pages: dict[str, str], link: str | None, directory: Path) -> None:
    """Write the pictures of pages; sign in with a link first, if one is given."""
    async with launched() as browser:
        state = await _signed_in(browser, server.url, link) if link else None
        for width in WIDTHS:
            for scheme in SCHEMES:
                async with opened(
                    browser,
                    server.url,
                    viewport={"width": width, "height": HEIGHT},
                    color_scheme=scheme,
                    storage_state=state,
                ) as (_, page):
                    await _take_each(page, pages, directory, f"{width}-{scheme}")


async def _signed_in(browser: Browser, url: str, link: str) -> object:
    async with opened(browser, url) as (context, page):
        await page.goto(link)
        await page.get_by_role("button", name="Sign in").click()
        return await context.storage_state()


async def _take_each(page: Page, pages: dict[str, str], directory: Path, suffix: str) -> None:
    for name, path in pages.items():
        await page.goto(path)
        await page.screenshot(path=directory / f"{name}-{suffix}.png", full_page=True)


def main() -> None:
    """Serve a demonstration team and take the pictures."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else DEFAULT)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        home = Home(Path(temporary) / "data")
        with home.serve("--port", "0") as server:
            home.json("team", "set", "1", "--name", "Riverside Clinic", "--region", "US")
            key = home.json("key", "create", "--team", "1", "--label", "CRM sync")["api_key"]
            team = fill(server.url, key)
            link = home.json("user", "link", "admin@localhost", "--url", server.url)["url"]
            asyncio.run(take(server, SIGNED_OUT, None, directory))
            asyncio.run(take(server, signed_in(team), link, directory))
    sys.stdout.write(f"The pictures are in {directory}.\n")


if __name__ == "__main__":
    main()
