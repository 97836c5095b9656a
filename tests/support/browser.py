"""Debian's Chromium, driven by Playwright, and a server for it to visit."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, Response, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",  # a container runs the tests as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 10_000


def executable() -> str:
    """Return the path of the browser; skip the test if there is none, or fail it on CI."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        message = "Chromium is not installed; on Debian: apt-get install chromium"
        if os.environ.get("REACHBOOK_CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Run the browser until the block ends."""
    path = executable()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


class Violations(list[str]):
    """Requests to other hosts, files that fail to load, and errors of scripts or of the policy."""

    def watch(self, page: Page, url: str) -> None:
        """Collect the violations of a page that may load only from a server."""
        page.on("request", lambda request: self._check(request.url, url))
        page.on("response", self._check_asset)
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on(
            "console",
            lambda message: (
                self.append(message.text) if "Content Security Policy" in message.text else None
            ),
        )

    def _check_asset(self, response: Response) -> None:
        if "/static/" in response.url and response.status not in (200, 304):
            self.append(f"{response.status} for {response.url}")

    def _check(self, requested: str, url: str) -> None:
        if not requested.startswith((url, "data:", "about:")):
            self.append(f"request to {requested}")


@asynccontextmanager
async def opened(
    browser: Browser, url: str, **options: object
) -> AsyncIterator[tuple[BrowserContext, Page]]:
    """Open a page in a context of its own; fail if it breaks the rules of `Violations`."""
    violations = Violations()
    context = await browser.new_context(base_url=url, **options)  # type: ignore[arg-type]
    context.set_default_timeout(WAIT_MS)
    page = await context.new_page()
    violations.watch(page, url)
    context.on("page", lambda opened_page: violations.watch(opened_page, url))
    try:
        yield context, page
    finally:
        await context.close()
    assert not violations


async def faults(page: Page, width: int) -> list[str]:
    """Return the faults of the shown page: it is too wide, or not accessible."""
    shown = await page.evaluate("document.documentElement.scrollWidth")
    found = [f"{page.url} is {shown} pixels wide"] if shown > width else []
    result = await Axe().run(page)
    for violation in result.response["violations"]:
        nodes = [node["html"] for node in violation["nodes"]]
        found.append(f"{page.url}: {violation['id']}: {nodes}")
    return found
