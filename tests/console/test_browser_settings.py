"""The pages of an admin in a browser: credentials and users."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.conftest import Site
from tests.support.browser import faults, opened

pytestmark = pytest.mark.anyio

API = "/console/settings/integrations/api"
PASSWORD = "correct horse battery"


async def run_curl(line: str) -> str:
    """Run a curl line as a shell would, and return the status of the response."""
    arguments = [*shlex.split(line), "-s", "-o", "/dev/null", "-w", "%{http_code}"]
    done = await asyncio.to_thread(
        subprocess.run, arguments, capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout


async def test_a_secret_works_until_it_is_revoked(admin_page: Page) -> None:
    page = admin_page
    await page.goto(API)
    await page.get_by_label("Label").first.fill("Website")
    await page.get_by_role("button", name="Generate secret").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("New API secret: Website")
    curl = await page.get_by_label("Try it").input_value()
    ident = await page.get_by_label("Secret id").input_value()
    key = await page.get_by_label("Secret key").input_value()

    assert await run_curl(curl) == "200"
    await page.get_by_role("link", name="I have copied it").click()
    assert key not in await page.content()
    await page.get_by_role("link", name="Revoke Website").click()
    await expect(page.locator("main")).to_contain_text(ident)
    await page.get_by_role("button", name="Revoke").click()
    await expect(page.get_by_role("status")).to_contain_text("The credential was revoked.")
    await asyncio.sleep(1)
    assert await run_curl(curl) == "401"


async def test_a_key_is_copied(browser: Browser, site: Site) -> None:
    permissions = ["clipboard-read", "clipboard-write"]
    async with opened(browser, site.url, permissions=permissions) as (_, page):
        await site.sign_in(page)
        await page.goto(API)
        await page.get_by_role("button", name="Generate key").click()
        key = await page.get_by_label("API key").input_value()
        await page.get_by_role("button", name="Copy API key").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()

        assert await page.evaluate("navigator.clipboard.readText()") == key
        await expect(page.get_by_role("button", name="Copy API key")).to_be_visible()


async def test_a_new_user_sets_a_password_and_is_disabled(
    admin_page: Page, browser: Browser, site: Site
) -> None:
    page = admin_page
    await page.goto("/console/team")
    await page.get_by_label("Email address").fill("dana@example.com")
    await page.get_by_role("button", name="Add user").click()
    link = await page.get_by_label("Link").input_value()
    async with opened(browser, site.url) as (_, danas_page):
        await danas_page.goto(link)
        await danas_page.get_by_role("button", name="Sign in").click()
        await danas_page.goto("/console/account")
        await danas_page.get_by_label("New password", exact=True).fill(PASSWORD)
        await danas_page.get_by_label("New password again").fill(PASSWORD)
        await danas_page.get_by_role("button", name="Set the password").click()
        await danas_page.get_by_role("button", name="Sign out", exact=True).click()
        await danas_page.get_by_label("Email address").fill("dana@example.com")
        await danas_page.get_by_label("Password").fill(PASSWORD)
        await danas_page.get_by_role("button", name="Sign in").click()
        await expect(danas_page.get_by_role("link", name="dana@example.com")).to_be_visible()

        await page.goto("/console/team")
        await page.get_by_role("link", name="Disable dana@example.com").click()
        await page.get_by_role("button", name="Disable").click()
        await expect(page.get_by_role("status")).to_contain_text("signed out everywhere")
        await danas_page.goto("/console/account")
        await expect(danas_page.get_by_role("heading", level=1)).to_have_text("Sign in")


async def test_a_key_is_generated_and_revoked_by_keyboard(admin_page: Page) -> None:
    page = admin_page
    await page.goto(API)
    await press_until_focused(page, "Generate key")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("New API key")
    await press_until_focused(page, "Copy API key")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Copied")).to_be_focused()
    await press_until_focused(page, "I have copied it")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**{API}")
    await press_until_focused(page, "Revoke rbk_")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/revoke")
    await press_until_focused(page, "Revoke")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("The credential was revoked.")


async def press_until_focused(page: Page, text: str) -> None:
    """Press Tab until an element whose text starts with `text` has the focus."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        focused = await page.evaluate("document.activeElement.textContent.trim()")
        if re.sub(r"\s+", " ", str(focused)).startswith(text):
            return
    pytest.fail(f"no element {text!r} can be reached with Tab")


async def test_the_settings_work_without_javascript(browser: Browser, site: Site) -> None:
    async with opened(browser, site.url, java_script_enabled=False) as (_, page):
        await site.sign_in(page)
        await page.goto(API)
        await page.get_by_role("button", name="Generate key").click()
        curl = await page.get_by_label("Try it").input_value()
        assert await run_curl(curl) == "200"
        await expect(page.get_by_role("button", name="Copy")).to_have_count(0)
        await page.goto("/console/team")
        await page.get_by_label("Name").fill("My <team>")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Team My <team>")
        assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC", await page.inner_text("main"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_after_submitting_a_form_are_accessible(
    browser: Browser, site: Site, scheme: str
) -> None:
    size, found, email = {"width": 360, "height": 800}, [], f"{scheme}@example.com"
    async with opened(browser, site.url, viewport=size, color_scheme=scheme) as (_, page):
        await site.sign_in(page)
        await page.goto(API)
        await page.get_by_label("Label").first.fill(scheme)
        await page.get_by_role("button", name="Generate secret").click()
        await expect(page.get_by_label("Python code")).to_be_visible()
        found += await faults(page, 360)
        await page.goto(API)
        await expect(page.get_by_text("which is the most")).to_be_visible()
        found += await faults(page, 360)
        await page.get_by_role("link", name=f"Revoke {scheme}").click()
        found += await faults(page, 360)
        await page.get_by_role("button", name="Revoke").click()
        await page.goto("/console/team")
        await page.get_by_label("Email address").fill(email)
        await page.get_by_role("button", name="Add user").click()
        found += await faults(page, 360)
        await page.goto("/console/team")
        await page.get_by_label("Email address").fill(email)
        await page.get_by_role("button", name="Add user").click()
        await expect(page.get_by_role("alert")).to_contain_text("already")
        found += await faults(page, 360)
        await page.get_by_role("link", name=f"Disable {email}").click()
        found += await faults(page, 360)

    assert found == []
