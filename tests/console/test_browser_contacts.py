"""Contacts and their channels, in a browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from tests.console.conftest import Site
from tests.support.browser import opened

pytestmark = pytest.mark.anyio
NARROW = 360
LONG = "Ax" * 127
NAMES = [
    '<b>Zoë</b> & "Co" <script>document.title = "broken"</script>',
    "مرحبا بالعالم، هذا اسم طويل جدا",
    "👩‍👩‍👧‍👦" * 30,
    LONG,
]


@pytest.fixture(scope="module")
async def api_key(site: Site) -> str:
    """The API key of a program that writes at the same time as the users."""
    return str((await site.command("key", "create", "--team", "1"))["api_key"])


@pytest.fixture
async def api(site: Site, api_key: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server's API."""
    headers = {"authorization": f"Bearer {api_key}"}
    async with httpx.AsyncClient(base_url=site.url, headers=headers) as client:
        yield client


async def contact(api: httpx.AsyncClient, name: str, *channels: str, **fields: object) -> str:
    """Create a contact with channels such as `phone 15105553344`; return the path of its page."""
    pairs = [channel.partition(" ") for channel in channels]
    body = {
        "display_name": name,
        "contact_channels": [
            {"channel_type": kind, "channel_id": address} for kind, _, address in pairs
        ],
        **fields,
    }
    response = await api.post("/v2/contact", json=body)
    assert response.status_code == 200, response.text
    return f"/console/contact/{response.json()['uuid']}"


async def faults(page: Page) -> list[str]:
    """Return the accessibility faults that axe finds, and a fault if the page is too wide."""
    size = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    found = [f"{page.url} is {size[0]} pixels wide"] if size[0] > size[1] else []
    result = await Axe().run(page)
    for violation in result.response["violations"]:
        nodes = [node["html"] for node in violation["nodes"]]
        found.append(f"{page.url}: {violation['id']}: {nodes}")
    return found


async def change_and_delete_a_channel(page: Page, path: str, added: str, edited: str) -> None:
    """Add a channel, change it in every way, and delete it and the other channel.

    `added` and `edited` are the last digits of its first and its second number.
    """
    await page.goto(path)
    await page.get_by_text("Add a channel", exact=True).click()
    add = page.locator("details.add")
    await add.get_by_label("Address").fill(f"call me at +1 (510) 555-{added}, thanks")
    await add.get_by_role("button", name="Add channel").click()
    await expect(page.get_by_role("status")).to_contain_text("The channel was added.")

    card = page.locator(".channel", has_text=f"+1 510-555-{added}")
    await card.locator("summary", has_text="Edit").click()
    await card.get_by_label("Label").fill("home")
    await card.get_by_label("Address").fill(f"+1 510 555 {edited}")
    await card.get_by_role("button", name="Save channel").click()
    card = page.locator(".channel", has_text=f"+1 510-555-{edited}")
    await expect(card).to_contain_text("home")

    await card.get_by_role("button", name="Make primary").click()
    await expect(card).to_contain_text("Primary")
    await card.locator("summary", has_text="Hold").click()
    await card.get_by_label("Reason").select_option("wrong_person")
    await card.get_by_role("button", name="Hold channel").click()
    await expect(card).to_contain_text("Held: wrong person")
    await card.get_by_role("button", name="Release").click()
    await expect(card).not_to_contain_text("Held")
    await card.locator("summary", has_text="Consent").click()
    await card.get_by_label("Consent", exact=True).select_option("opted_in")
    await card.get_by_label("Source").fill("a call")
    await card.get_by_role("button", name="Record consent").click()
    await expect(card).to_contain_text("Opted in")

    await delete_two_channels(page, card)
    history = page.locator(".timeline")
    await expect(history).to_contain_text(
        f"Phone changed from +1 510-555-{added} to +1 510-555-{edited}"
    )
    await expect(history).to_contain_text("by admin@localhost")


async def delete_two_channels(page: Page, card: Locator) -> None:
    """Delete one of two channels, and then the last one, which shows a warning."""
    await card.get_by_role("link", name="Delete").click()
    await expect(page.get_by_role("alert")).to_have_count(0)
    await page.get_by_role("button", name="Delete channel").click()
    await expect(page.locator(".channel")).to_have_count(1)
    await page.get_by_role("link", name="Delete Phone").click()
    await expect(page.get_by_role("alert")).to_contain_text(
        "Deleting it may prevent you from messaging that contact."
    )
    await page.get_by_role("button", name="Delete channel").click()
    await expect(page.get_by_text("The contact cannot be reached yet.")).to_be_visible()


async def test_a_channel_is_added_changed_and_deleted(
    admin_page: Page, api: httpx.AsyncClient
) -> None:
    path = await contact(api, "Lived", "phone 15105550101")

    await change_and_delete_a_channel(admin_page, path, "0199", "0188")

    await expect(admin_page.locator(".timeline time").first).to_contain_text("just now")


async def test_a_channel_is_added_changed_and_deleted_without_javascript(
    browser: Browser, site: Site, api: httpx.AsyncClient
) -> None:
    path = await contact(api, "Lived without a script", "phone 15105550102")
    async with opened(browser, site.url, java_script_enabled=False) as (_, page):
        await site.sign_in(page)

        await change_and_delete_a_channel(page, path, "0177", "0166")

        await expect(page.locator(".timeline time").first).to_contain_text("UTC")


async def test_a_contact_is_created_from_a_search(admin_page: Page) -> None:
    await admin_page.goto("/console/contacts")
    await admin_page.get_by_label("Search").fill("text +1 510 555 0103 please")
    await admin_page.get_by_role("button", name="Search").click()
    await expect(admin_page.locator(".reading")).to_contain_text("+1 510-555-0103")
    await admin_page.get_by_role("link", name="New contact with this number").click()
    await expect(admin_page.get_by_label("Address")).to_have_value("+1 510-555-0103")
    await admin_page.get_by_label("First name").fill("Found")
    await admin_page.get_by_role("button", name="Create contact").click()

    await expect(admin_page.get_by_role("heading", level=1)).to_have_text("Found")
    await expect(admin_page.locator(".channel")).to_contain_text("+1 510-555-0103")


async def test_an_address_of_another_contact_is_moved(
    admin_page: Page, api: httpx.AsyncClient
) -> None:
    await contact(api, "Former owner", "phone 15105550104")
    path = await contact(api, "New owner")
    await admin_page.goto(path)
    add = admin_page.locator("details.add")
    await add.get_by_label("Address").fill("+1 510 555 0104")
    await add.get_by_role("button", name="Add channel").click()
    alert = admin_page.get_by_role("alert")
    await expect(alert.get_by_role("link", name="Former owner")).to_be_visible()
    await alert.get_by_role("button", name="Move the address to this contact").click()
    await expect(admin_page.get_by_role("status")).to_contain_text("The address was moved")
    await expect(admin_page.locator(".channel")).to_contain_text("+1 510-555-0104")
    await admin_page.goto("/console/contacts?q=former+owner")
    await admin_page.get_by_role("link", name="Former owner").click()
    await admin_page.get_by_role("link", name="who has it now").click()

    await expect(admin_page.locator(".contact-list")).to_contain_text("New owner")


async def test_concurrent_edits_of_one_contact_show_both_versions(
    browser: Browser, site: Site, api: httpx.AsyncClient
) -> None:
    path = await contact(api, "Raced", first="Before")
    async with (
        opened(browser, site.url) as (_, first_page),
        opened(browser, site.url) as (_, second_page),
    ):
        for page, last in ((first_page, "One"), (second_page, "Two")):
            await site.sign_in(page)
            await page.goto(path)
            await page.get_by_text("Edit the details").click()
            await page.get_by_label("Last name").fill(last)

        await asyncio.gather(
            *(
                page.get_by_role("button", name="Save details").click()
                for page in (first_page, second_page)
            )
        )
        await asyncio.gather(*(page.wait_for_load_state() for page in (first_page, second_page)))

        late, last, first = (first_page, "One", "Two")
        if "meanwhile" not in await first_page.title():
            late, last, first = (second_page, "Two", "One")
        row = late.locator("tr", has_text="Last")
        await expect(row).to_contain_text(first)
        await expect(row).to_contain_text(last)
        await expect(late.locator(".timeline")).to_contain_text(f"Last name set to {first}")
        assert await faults(late) == []
        await late.get_by_role("button", name="Save my version").click()
        await expect(late.locator(".timeline").first).to_contain_text(
            f"Last name changed from {first} to {last}"
        )


async def press_until_focused(page: Page, name: str) -> None:
    """Press Tab until the element with a text or an id has the focus."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        focused = await page.evaluate(
            "[document.activeElement.id, document.activeElement.textContent.trim()]"
        )
        if name in focused:
            visible = await page.evaluate("document.activeElement.matches(':focus-visible')")
            assert visible
            return
    raise AssertionError(name)


async def test_a_contact_is_found_and_a_channel_added_by_keyboard(
    admin_page: Page, api: httpx.AsyncClient
) -> None:
    await contact(api, "Keyed Person", "phone 15105550105")
    page, keyboard = admin_page, admin_page.keyboard
    await page.goto("/console/contacts")
    await press_until_focused(page, "q")
    await keyboard.type("keyed")
    await keyboard.press("Enter")
    await page.wait_for_url(re.compile("q=keyed"))
    await press_until_focused(page, "Keyed Person")
    await keyboard.press("Enter")
    await page.wait_for_url(re.compile("/console/contact/"))
    await press_until_focused(page, "Add a channel")
    await keyboard.press("Enter")
    await press_until_focused(page, "add-type")
    await keyboard.type("Email")
    await press_until_focused(page, "add-address")
    await keyboard.type("keyed@example.com")
    await keyboard.press("Enter")

    await expect(page.get_by_role("status")).to_contain_text("The channel was added.")
    await expect(page.locator(".channel").nth(1)).to_contain_text("keyed@example.com")


async def test_a_field_with_an_error_has_the_focus_and_the_error_is_announced(
    admin_page: Page, api: httpx.AsyncClient
) -> None:
    await admin_page.goto(await contact(api, "Mistyped"))
    add = admin_page.locator("details.add")
    await add.get_by_label("Address").fill("+1 510 555 0106 and +1 510 555 0107")
    await add.get_by_role("button", name="Add channel").click()

    address = add.get_by_label("Address")
    await expect(address).to_be_focused()
    await expect(address).to_have_value("+1 510 555 0106 and +1 510 555 0107")
    await expect(address).to_have_accessible_description(re.compile("several numbers"))
    await expect(admin_page.get_by_role("alert")).to_contain_text("several numbers")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_any_name_fits_into_a_narrow_window(
    browser: Browser, site: Site, api: httpx.AsyncClient, scheme: str
) -> None:
    paths = [
        await contact(
            api,
            name,
            f"webchat {scheme} {LONG[:200]}{number}",
            custom={LONG: {LONG: LONG}},
            external_id=f"{scheme}{number}{LONG[:200]}",
            tags=[{"tag_id": 10**14 + each} for each in range(5)],
        )
        for number, name in enumerate(NAMES)
    ]
    size = {"width": NARROW, "height": 800}
    async with opened(browser, site.url, viewport=size, color_scheme=scheme) as (_, page):
        await site.sign_in(page)
        found = await faults(page)
        for name, path in zip(NAMES, paths, strict=True):
            await page.goto(path)
            await expect(page.get_by_role("heading", level=1)).to_have_text(name)
            assert "broken" not in await page.title() or "<script>" in await page.title()
            await page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            found += await faults(page)
            await page.goto(f"{path}/delete")
            found += await faults(page)

    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_of_errors_are_accessible(
    browser: Browser, site: Site, api: httpx.AsyncClient, scheme: str
) -> None:
    await contact(api, "Owner", f"telegram owner_{scheme}")
    path = await contact(api, "Mistaken", f"telegram mistaken_{scheme}")
    async with opened(browser, site.url, color_scheme=scheme) as (_, page):
        await site.sign_in(page)
        await page.goto(path)
        await page.locator("summary", has_text="Edit").first.click()
        await page.get_by_label("Address").first.fill(f"owner_{scheme}")
        await page.get_by_role("button", name="Save channel").click()
        await expect(page.get_by_role("alert")).to_contain_text("It belongs to Owner")
        found = await faults(page)
        await page.goto("/console/contacts/new")
        await page.get_by_label("Tags").fill("vip")
        await page.get_by_role("button", name="Create contact").click()
        found += await faults(page)

    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_for_outdated_forms_are_accessible(
    browser: Browser, site: Site, api: httpx.AsyncClient, scheme: str
) -> None:
    path = await contact(api, "Late", f"telegram late_{scheme}")
    size = {"width": NARROW, "height": 800}
    async with opened(browser, site.url, viewport=size, color_scheme=scheme) as (_, page):
        await site.sign_in(page)
        await page.goto(path)
        await api.put(path.replace("/console/", "/v2/"), json={"last": "Changed"})
        await page.locator("summary", has_text="Consent").click()
        await page.get_by_label("Source").fill("a call")
        await page.get_by_role("button", name="Record consent").click()
        await expect(page.get_by_role("alert")).to_contain_text("What you typed is still here")
        found = await faults(page)
        await page.get_by_role("link", name="Keep what is saved now").click()
        await page.get_by_role("link", name="Delete Telegram").click()
        await expect(page.get_by_role("alert")).to_contain_text("the only channel")
        found += await faults(page)
        await page.goto(f"{path}/delete")
        await page.get_by_role("button", name="Delete contact").click()
        await page.goto(path)
        await expect(page.get_by_text("This contact was deleted at")).to_be_visible()
        found += await faults(page)

    assert found == []
