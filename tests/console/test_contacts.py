"""The list of contacts, the search, and new contacts."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest

from reachbook.console import contacts
from reachbook.domain.credential import TeamId
from reachbook.service import WriteContext
from tests.support.console import Console, text_of
from tests.support.names import named

pytestmark = pytest.mark.anyio
MARKUP = '<b>Zoë</b> & "Co" <script>alert(1)</script>'
ARABIC = "مرحبا بالعالم"


def context(console: Console) -> WriteContext:
    """Return the context of a write to the team of the users."""
    return WriteContext(TeamId(console.api.bob.team.team_id), "test", "test")


def heading(response: httpx.Response) -> str:
    """Return the text of the first heading of a page, with single spaces."""
    [text] = re.findall(r"<h1[^>]*>(.*?)</h1>", response.text, re.DOTALL)
    return " ".join(unescape(text).split())


def titles(response: httpx.Response) -> list[str]:
    """Return the names in a list of contacts."""
    rows = re.findall(r'<div class="contact-name">\s*<a [^>]*>(.*?)</a>', response.text)
    return [str(each) for each in rows]


async def test_the_list_of_an_empty_team_shows_the_first_steps(console: Console) -> None:
    async with console.visitor(console.admin) as visitor:
        for_admin = await visitor.get("/console/contacts")
    async with console.visitor(console.member) as visitor:
        for_member = await visitor.get("/console/contacts")

    assert "Your team has no contacts yet. Create the first contact" in text_of(for_admin)
    assert "Settings has its credentials" in text_of(for_admin)
    assert "an admin of your team makes its credentials" in text_of(for_member)


async def test_contacts_are_listed_by_last_change_and_paged(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "PAGE", 2)
    api = console.api
    for name in ("One", "Two", "Three", "Four", "Five"):
        api.clock.forward(1)
        await api.request("POST", "/v2/contact", {"first": name})
    async with console.visitor(console.member) as visitor:
        first = await visitor.get("/console/contacts")
        [next_url] = re.findall(r'rel="next" href="([^"]+)"', first.text)
        second = await visitor.get(next_url)
        [previous_url] = re.findall(r'rel="prev" href="([^"]+)"', second.text)
        again = await visitor.get(previous_url)
        [next_url] = re.findall(r'rel="next" href="([^"]+)"', second.text)
        last = await visitor.get(next_url)

    assert titles(first) == titles(again) == ["Five", "Four"]
    assert titles(second) == ["Three", "Two"]
    assert titles(last) == ["One"]
    assert 'rel="next"' not in last.text
    assert 'rel="prev"' not in first.text


@pytest.mark.parametrize("query", ["before=x", "after=", "before=" + "9" * 40, "after=-1"])
async def test_an_invalid_position_shows_the_newest_contacts(console: Console, query: str) -> None:
    await console.api.request("POST", "/v2/contact", {"first": "One"})
    async with console.visitor(console.member) as visitor:
        assert titles(await visitor.get(f"/console/contacts?{query}")) == ["One"]


# ── search ───────────────────────────────────────────────────────────────────────────────────────


async def test_the_owner_of_a_number_is_listed_with_the_channel_marked(
    console: Console,
) -> None:
    await console.api.contact(("phone", "15105553344"), ("email", "alice@example.com"))
    async with console.visitor(console.member) as visitor:
        found = await visitor.get("/console/contacts?q=call+%2B1+(510)+555-3344+after+5!")

    assert titles(found) == ["+1 510-555-3344"]
    assert "+1 510-555-3344 : found in the text around it." in text_of(found)
    assert "+1 510-555-3344 Match" in text_of(found)
    assert "alice@example.com Match" not in text_of(found)


async def test_a_name_is_searched_by_prefixes_of_words(console: Console) -> None:
    await named(console.api, context(console), "Anna,Smith", "Annabel,Smithers", "Bo,Ann")
    async with console.visitor(console.member) as visitor:
        found = await visitor.get("/console/contacts?q=ann+smi")

    assert titles(found) == ["Anna Smith", "Annabel Smithers"]
    assert "Read as a name: words that begin with ann and smi" in text_of(found)


async def test_a_search_by_name_is_paged(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reachbook.service.name_search.PAGE", 2)
    await named(console.api, context(console), "Ann,A", "Ann,B", "Ann,C")
    async with console.visitor(console.member) as visitor:
        first = await visitor.get("/console/contacts?q=ann")
        [next_url] = re.findall(r'href="([^"]+)">More results', first.text)
        second = await visitor.get(next_url.replace("&amp;", "&"))
        broken = await visitor.get("/console/contacts?q=ann&cursor=x")

    assert titles(first) == ["Ann A", "Ann B"]
    assert titles(second) == ["Ann C"]
    assert broken.status_code == 400


async def test_an_unknown_number_links_to_a_new_contact(console: Console) -> None:
    async with console.visitor(console.member) as visitor:
        found = await visitor.get("/console/contacts?q=%2B15105553344")
        [link] = re.findall(r'href="([^"]+)">New contact with this number', found.text)
        form = await visitor.get(link.replace("&amp;", "&"))

    assert "No contact has it." in text_of(found)
    assert 'value="+1 510-555-3344"' in form.text


async def test_a_suppressed_number_without_an_owner_is_shown(console: Console) -> None:
    api = console.api
    uuid = await api.contact(("phone", "15105553344"))
    [channel] = (await api.request("GET", f"/x/contact/{uuid}/channels")).json()
    path = f"/x/contact/{uuid}/channel/{channel['id']}"
    await api.request("PATCH", path, {"consent": "opted_out"})
    await api.request("DELETE", path)
    async with console.visitor(console.member) as visitor:
        found = await visitor.get("/console/contacts?q=%2B15105553344")

    assert "The phone number +1 510-555-3344 was opted out at" in text_of(found)


async def test_both_readings_of_an_ambiguous_number_are_shown(console: Console) -> None:
    team = console.api.bob.team.team_id
    await console.api.administration.set_team(team, None, "US")
    async with console.visitor(console.member) as visitor:
        found = await visitor.get("/console/contacts?q=(646)+555-0123")

    assert "Read as the phone number +64 6 555 0123 : ambiguous" in text_of(found)
    assert "Read as the phone number +1 646-555-0123 : ambiguous" in text_of(found)


async def test_two_numbers_in_one_text_are_refused_with_the_reason(console: Console) -> None:
    async with console.visitor(console.member) as visitor:
        found = await visitor.get("/console/contacts?q=home+%2B15105553344+work+%2B15105553355")

    assert "Not read as an address." in text_of(found)
    assert "several numbers, +15105553344, +15105553355" in text_of(found)


async def test_a_national_number_without_a_region_shows_how_to_set_one(console: Console) -> None:
    async with console.visitor(console.member) as visitor:
        found = await visitor.get("/console/contacts?q=call+(510)+555-3344+please")

    assert "An admin can choose the default region on the page Team." in text_of(found)


async def test_a_search_without_results_links_to_a_new_contact(console: Console) -> None:
    async with console.visitor(console.member) as visitor:
        by_name = await visitor.get("/console/contacts?q=Zoe+Quark")
        punctuation = await visitor.get("/console/contacts?q=%2C%2C")

    assert "No contact matches." in text_of(by_name)
    assert "/console/contacts/new?first=Zoe&amp;last=Quark" in by_name.text
    assert "the text has no words of a name" in text_of(punctuation)


async def test_the_contacts_of_another_team_are_not_found(console: Console) -> None:
    api = console.api
    await api.contact(("phone", "15105553344"), by=api.charlie.by_key())
    async with console.visitor(console.member) as visitor:
        for page in ("/console/contacts", "/console/contacts?q=%2B15105553344"):
            assert titles(await visitor.get(page)) == []


@pytest.mark.parametrize("name", [MARKUP, ARABIC, "👩‍👩‍👧 " * 20, "x" * 255])
async def test_names_are_escaped_and_shown_unchanged(console: Console, name: str) -> None:
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/contacts/new")
        made = await visitor.post("/console/contacts/new", {"display_name": name})
        listed = await visitor.get("/console/contacts")

    assert made.status_code == listed.status_code == 200
    assert "<script>alert" not in made.text + listed.text
    assert heading(made) == " ".join(name.split())


# ── a new contact ────────────────────────────────────────────────────────────────────────────────


async def test_a_contact_is_created_with_a_channel(console: Console) -> None:
    form = {
        "first": "Alice",
        "last": "Quark",
        "external_id": "crm-7",
        "tags": "12, 40",
        "type": "email",
        "address": "Alice <alice@example.com>",
    }
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/contacts/new")
        made = await visitor.post("/console/contacts/new", form)

    assert made.url.path.startswith("/console/contact/")
    assert "The contact was created." in text_of(made)
    assert "Email alice@example.com Primary" in text_of(made)
    stored = (await console.api.request("GET", f"/v2/contact/{made.url.path[-36:]}")).json()
    assert (stored["external_id"], stored["tags"]) == ("crm-7", [{"tag_id": 12}, {"tag_id": 40}])
    assert f"by {console.member.email}" in text_of(made)


async def test_a_contact_is_created_with_a_channel_of_a_custom_type(console: Console) -> None:
    form = {"type": "other", "other_type": "Webchat", "address": "visitor-7"}
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/contacts/new")
        made = await visitor.post("/console/contacts/new", form)

    assert "Webchat visitor-7" in text_of(made)


@pytest.mark.parametrize(
    ("form", "field", "sentence"),
    [
        ({"type": "phone", "address": "12"}, "new-address", "not an international phone number"),
        ({"type": "other", "address": "7"}, "new-other", "Type the name of the channel type"),
        ({"type": "other", "other_type": "é", "address": "7"}, "new-type", "A type is 1 to 32"),
        ({"first": "A", "tags": "vip"}, "n-tags", "Tags are numbers"),
        ({"first": "x" * 256}, "n-first", "This is 256 characters long"),
        ({"first": "A", "tags": "1 2 3 4 5 6"}, "n-tags", "at most 5 tags"),
        ({"last": " "}, "n-first", "Type a name or an address"),
    ],
)
async def test_a_form_with_an_error_shows_it_and_keeps_the_typed_values(
    console: Console, form: dict[str, str], field: str, sentence: str
) -> None:
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/contacts/new")
        refused = await visitor.post("/console/contacts/new", {"last": "Kept", **form})
    assert refused.status_code == 400
    [error] = re.findall(rf'id="{field}-error" dir="auto">([^<]+)', refused.text)
    assert sentence in error
    assert f'aria-describedby="{field}-error' in refused.text
    assert f'value="{form.get("last", "Kept")}"' in refused.text


async def test_the_error_for_a_used_address_links_to_its_owner_and_it_can_be_moved(
    console: Console,
) -> None:
    owner = await console.api.contact(("phone", "15105553344"))
    form = {"first": "Bob", "type": "phone", "address": "+1 510 555 3344"}
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/contacts/new")
        refused = await visitor.post("/console/contacts/new", form)
        moved = await visitor.post("/console/contacts/new", {**form, "move": "1"})

    assert refused.status_code == 409
    assert f'/console/contact/{owner}"' in refused.text
    assert "Move the address to the new contact" in text_of(refused)
    assert "Phone +1 510-555-3344 Primary" in text_of(moved)


async def test_the_error_for_a_used_external_id_names_its_owner(console: Console) -> None:
    await console.api.request("POST", "/v2/contact", {"first": "Eve", "external_id": "7"})
    async with console.visitor(console.member) as visitor:
        await visitor.get("/console/contacts/new")
        refused = await visitor.post("/console/contacts/new", {"first": "A", "external_id": "7"})

    assert refused.status_code == 409
    assert "It belongs to Eve ." in text_of(refused)
    assert "Move the address" not in text_of(refused)
