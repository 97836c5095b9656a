"""A contact's page: its channels, details and history, and outdated forms."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from reachbook.console import contact_page
from reachbook.domain.address.parsing import ChannelType, parse
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.credential import TeamId
from reachbook.service import WriteContext
from reachbook.storage.engine import Engine
from tests.support.console import Console, Visitor, text_of

pytestmark = pytest.mark.anyio
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def visitor(console: Console) -> AsyncIterator[Visitor]:
    """A browser in which a member is signed in."""
    async with console.visitor(console.member) as opened:
        yield opened


async def contact(console: Console, *channels: tuple[str, str], **fields: object) -> str:
    """Create Alice, and return the path of her page."""
    body = {
        "first": "Alice",
        "contact_channels": [
            {"channel_type": kind, "channel_id": address} for kind, address in channels
        ],
        **fields,
    }
    response = await console.api.request("POST", "/v2/contact", body)
    return f"/console/contact/{response.json()['uuid']}"


async def stored(console: Console, path: str) -> dict[str, Any]:
    """Return a contact as the API returns it."""
    body: dict[str, Any] = (
        await console.api.request("GET", path.replace("/console/", "/v2/"))
    ).json()
    return body


async def channel(console: Console, path: str, place: int = 0) -> tuple[str, dict[str, Any]]:
    """Return the path of a channel, and the channel as the API returns it."""
    channels = (
        await console.api.request("GET", f"{path.replace('/console/', '/x/')}/channels")
    ).json()
    number = int(str(channels[place]["id"]).removeprefix("ch_"))
    return f"{path}/channel/{number}", channels[place]


async def submit(
    visitor: Visitor, page: str, action: str, form: dict[str, str] | None = None
) -> httpx.Response:
    """Open a page, and send a form with the revision of the page."""
    return await visitor.post(action, {"rev": await revision(visitor, page), **(form or {})})


async def revision(visitor: Visitor, page: str) -> str:
    """Open a page, and return the revision in its forms."""
    return str(re.findall(r'name="rev" value="(\d+)"', (await visitor.get(page)).text)[0])


def error(response: httpx.Response, field: str) -> str:
    """Return the error message of a field."""
    [found] = re.findall(rf'id="{field}-error" dir="auto">([^<]+)', response.text)
    return str(found)


# ── the page ─────────────────────────────────────────────────────────────────────────────────────


async def test_the_page_executes_at_most_four_statements_and_writes_nothing(
    console: Console, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await contact(console, ("phone", "15105553344"), ("email", "alice@example.com"))
    await visitor.get(path)
    engine: Engine = console.api.store.engine
    statements: list[str] = []
    for method in ("read", "scan", "write"):
        original = getattr(engine, method)

        async def counted(
            name: str, *values: object, called: Any = original, kind: str = method
        ) -> Any:
            statements.append(f"{kind} {name}")
            return await called(name, *values)

        monkeypatch.setattr(engine, method, counted)

    await visitor.get(path)

    assert len(statements) <= 4, statements
    assert not [each for each in statements if each.startswith("write")]


async def test_the_primary_channel_of_each_type_is_first(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(
        console, ("email", "a@example.com"), ("phone", "15105553344"), ("phone", "14155550120")
    )
    second, _ = await channel(console, path, 2)
    made = await submit(visitor, path, f"{second}/primary")

    heads = re.findall(r"<h3><span class=\"soft\">(\w+)</span> <bdi>([^<]+)", made.text)
    assert heads == [
        ("Phone", "+1 415-555-0120"),
        ("Phone", "+1 510-555-3344"),
        ("Email", "a@example.com"),
    ]
    assert "The channel is now the primary one of its type." in text_of(made)


async def test_many_channels_are_paged(
    console: Console, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_page, "CHANNELS", 2)
    path = await contact(console, *(("webchat", f"visitor-{number}") for number in range(5)))
    first = await visitor.get(path)
    second = await visitor.get(f"{path}?channels=2")
    beyond = await visitor.get(f"{path}?channels=999")
    last, _ = await channel(console, path, 4)
    refused = await submit(visitor, path, f"{last}/edit", {"address": ""})

    assert "Channels 1 to 2 of 5 Next channels" in text_of(first)
    assert "Channels 3 to 4 of 5 Previous channels Next channels" in text_of(second)
    assert "Channels 5 to 5 of 5 Previous channels" in text_of(beyond)
    assert "Type the address" in error(refused, f"edit-{last.rpartition('/')[2]}-address")


@pytest.mark.parametrize("uuid", [NOBODY, "7", "nonsense"])
async def test_an_unknown_contact_returns_404(visitor: Visitor, uuid: str) -> None:
    response = await visitor.get(f"/console/contact/{uuid}")

    assert response.status_code == 404
    assert "Go to the contacts" in text_of(response)


async def test_a_contact_of_another_team_is_not_shown(console: Console, visitor: Visitor) -> None:
    uuid = await console.api.contact(("phone", "15105553344"), by=console.api.charlie.by_key())

    assert (await visitor.get(f"/console/contact/{uuid}")).status_code == 404
    assert (await visitor.get(f"/console/contact/{uuid}/delete")).status_code == 404


async def test_the_page_of_a_deleted_or_erased_contact_shows_when(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console, ("phone", "15105553344"))
    await submit(visitor, f"{path}/delete", f"{path}/delete")
    deleted = await visitor.get(path)
    await console.api.request("DELETE", f"{path.replace('/console/', '/x/')}/erase")
    erased = await visitor.get(path)

    assert (deleted.status_code, erased.status_code) == (404, 410)
    assert "Alice This contact was deleted at" in text_of(deleted)
    assert "Phone +1 510-555-3344 removed" in text_of(deleted)
    assert "This contact was erased at" in text_of(erased)
    assert "Alice" not in text_of(erased)
    assert "510" not in text_of(erased)


async def test_a_get_of_a_forms_action_redirects_to_the_contact(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console)

    assert (await visitor.get(f"{path}/edit")).headers["location"] == path


# ── channels ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_channel_is_added_and_edited(console: Console, visitor: Visitor) -> None:
    path = await contact(console)
    text = "my number is +1 (510) 555-3344!"
    added = await submit(visitor, path, f"{path}/channels", {"type": "phone", "address": text})
    channel_path, before = await channel(console, path)
    form = {"address": "+1 415 555 0120", "label": "home", "handle": "al"}
    edited = await submit(visitor, path, f"{channel_path}/edit", form)
    after = (await channel(console, path))[1]

    assert "The channel was added." in text_of(added)
    assert (before["channel_id"], after["channel_id"]) == ("15105553344", "14155550120")
    assert (after["id"], after["label"]) == (before["id"], "home")
    assert "Phone +1 510-555-3344 added" in text_of(edited)
    assert "Phone changed from +1 510-555-3344 to +1 415-555-0120" in text_of(edited)
    assert "Label of Phone set to home" in text_of(edited)
    assert f"by {console.member.email}" in text_of(edited)


async def test_a_channel_is_held_and_released_and_a_consent_recorded(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console, ("phone", "15105553344"))
    channel_path, _ = await channel(console, path)
    await submit(visitor, path, f"{channel_path}/hold", {"reason": "wrong_person"})
    held = (await channel(console, path))[1]
    await submit(visitor, path, f"{channel_path}/release")
    form = {"consent": "opted_in", "source": "a call"}
    page = text_of(await submit(visitor, path, f"{channel_path}/consent", form))
    after = (await channel(console, path))[1]

    assert held["held_reason"] == "wrong_person"
    assert (after["held"], after["consent"], after["consent_source"]) == (False, *form.values())
    assert "Phone +1 510-555-3344 held: wrong person" in page
    assert "Phone +1 510-555-3344 released" in page
    assert "Phone +1 510-555-3344 has the consent: opted in, source a call" in page


async def test_the_last_channel_is_deleted_after_a_warning(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console, ("phone", "15105553344"))
    channel_path, _ = await channel(console, path)
    response = await visitor.get(f"{channel_path}/delete")
    deleted = await submit(visitor, f"{channel_path}/delete", f"{channel_path}/delete")

    assert (
        "This is the only channel of the contact. Deleting it may prevent you from messaging "
        "that contact." in text_of(response)
    )
    assert "Phone +1 510-555-3344 removed" in text_of(deleted)
    assert "The contact cannot be reached yet." in text_of(deleted)


async def test_deleting_a_channel_that_is_not_the_last_shows_no_warning(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console, ("phone", "15105553344"), ("email", "a@example.com"))
    channel_path, _ = await channel(console, path)

    assert "the only channel" not in text_of(await visitor.get(f"{channel_path}/delete"))


@pytest.mark.parametrize(
    ("form", "field", "sentence"),
    [
        ({"type": "phone", "address": " "}, "add-address", "Type the address"),
        (
            {"type": "phone", "address": "+1 510 555 3344 or +1 510 555 3355"},
            "add-address",
            "several numbers",
        ),
        ({"type": "email", "address": "nobody"}, "add-address", "This is not an email address"),
        ({"type": "facebook", "address": "\x01"}, "add-address", "control character"),
        (
            {"type": "phone", "address": "+15105553344", "handle": "x" * 256},
            "add-handle",
            "This is 256 characters long",
        ),
    ],
)
async def test_an_invalid_channel_is_refused_with_an_error_at_its_field(
    console: Console, visitor: Visitor, form: dict[str, str], field: str, sentence: str
) -> None:
    path = await contact(console)

    refused = await submit(visitor, path, f"{path}/channels", form)

    assert refused.status_code == 400
    assert sentence in error(refused, field)
    assert '<details class="card add" open>' in refused.text
    assert "<title>Error: Alice" in refused.text


async def test_an_unknown_choice_is_refused(console: Console, visitor: Visitor) -> None:
    path = await contact(console, ("phone", "15105553344"))
    channel_path, _ = await channel(console, path)
    for action, field in (("hold", "reason"), ("consent", "consent")):
        refused = await submit(visitor, path, f"{channel_path}/{action}", {field: "perhaps"})

        assert refused.status_code == 400
        assert "Choose one of" in error(
            refused, f"{action}-{channel_path.rpartition('/')[2]}-{field}"
        )


async def test_an_edit_without_changes_is_reported(console: Console, visitor: Visitor) -> None:
    path = await contact(console, ("phone", "15105553344"))
    channel_path, _ = await channel(console, path)

    same = await submit(visitor, path, f"{channel_path}/edit", {"address": "+1 510-555-3344"})

    assert "Nothing was changed" in text_of(same)


async def test_a_conflict_shows_the_owner_and_the_address_can_be_moved(
    console: Console, visitor: Visitor
) -> None:
    owner = await contact(console, ("phone", "15105553344"), first="Bob")
    path = await contact(console, ("phone", "14155550120"))
    channel_path, _ = await channel(console, path)
    form = {"address": "+15105553344", "label": "work", "rev": await revision(visitor, path)}
    refused = await visitor.post(f"{channel_path}/edit", form)
    moved = await visitor.post(f"{channel_path}/edit", {**form, "move": "1"})
    former_owner = await visitor.get(owner)

    assert refused.status_code == 409
    assert f'href="{owner}"' in refused.text
    assert "It belongs to Bob ." in text_of(refused)
    assert 'name="label" value="work"' in refused.text
    assert "The address was moved to this contact." in text_of(moved)
    assert "Phone changed from +1 415-555-0120 to +1 510-555-3344" in text_of(moved)
    assert "Phone +1 510-555-3344 moved to another contact" in text_of(former_owner)
    assert '/console/contacts?q=%2B1%20510-555-3344"' in former_owner.text


async def test_an_address_that_the_contact_has_cannot_be_moved(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console, ("phone", "15105553344"), ("phone", "14155550120"))
    channel_path, _ = await channel(console, path)

    refused = await submit(visitor, path, f"{channel_path}/edit", {"address": "+14155550120"})

    assert refused.status_code == 409
    assert "as another channel" in text_of(refused)
    assert "Move the address" not in text_of(refused)


# ── details ──────────────────────────────────────────────────────────────────────────────────────

CUSTOM = {"plan": "pro", "age": 7, "nested": {"a": [1, None]}, "text": "a\r\nb", "empty": ""}


class CustomFields(HTMLParser):
    """The values of the custom fields in the form of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if name.startswith("custom_"):
            self.values[name] = given.get("value") or ""
            self._inside = "" if tag == "input" else name
        elif (
            tag == "option"
            and self._inside
            and ("selected" in given or not self.values[self._inside])
        ):
            self.values[self._inside] = given["value"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag in ("textarea", "select"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if "kind" not in self._inside and self._inside:
            self.values[self._inside] += data


def custom_form(page: httpx.Response) -> dict[str, str]:
    """Return the custom fields of a form as a browser would send them."""
    fields = CustomFields()
    fields.feed(page.text)
    # A browser drops the first line break of a text area, and sends line breaks as CR LF.
    return {
        name: value.removeprefix("\n").replace("\r\n", "\n").replace("\n", "\r\n")
        for name, value in fields.values.items()
    }


async def test_details_are_saved_and_other_values_are_unchanged(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console, custom=CUSTOM)
    page = await visitor.get(path)
    form = custom_form(page)
    form["custom_value_0"] = "family"
    form |= {"custom_key_5": "score", "custom_value_5": "1.5", "custom_kind_5": "json"}
    saved = await submit(
        visitor, path, f"{path}/edit", {"first": "Alice", "last": "Q", "tags": "3,4", **form}
    )
    after = await stored(console, path)

    assert after["custom"] == {**CUSTOM, "plan": "family", "score": 1.5}
    assert (after["last"], [tag["tag_id"] for tag in after["tags"]]) == ("Q", [3, 4])
    history = text_of(saved)
    assert "Last name set to Q" in history
    assert "Tags set to 3, 4" in history
    assert "Custom field plan changed from pro to family" in history
    assert "Custom field score set to 1.5" in history
    assert "Custom field age" not in history.partition("Last name set")[2].partition("created")[0]


async def test_a_custom_field_without_a_name_and_a_value_is_deleted(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console, custom={"plan": "pro"})
    saved = await submit(
        visitor,
        path,
        f"{path}/edit",
        {"first": "Alice", "custom_key_0": "", "custom_value_0": "", "custom_kind_0": "text"},
    )

    assert (await stored(console, path))["custom"] == {}
    assert "Custom field plan removed; it was pro" in text_of(saved)


@pytest.mark.parametrize(
    ("form", "field", "sentence"),
    [
        (
            {"custom_key_0": "a", "custom_value_0": "{", "custom_kind_0": "json"},
            "d-value-0",
            "This is not valid JSON",
        ),
        ({"custom_key_0": "", "custom_value_0": "x"}, "d-key-0", "no name"),
        (
            {"custom_key_0": "a", "custom_value_0": "1", "custom_key_1": "a"},
            "d-key-1",
            "Another custom field has this name",
        ),
        ({"custom_json": "[1]"}, "d-custom", "a JSON object"),
        ({"tags": "vip"}, "d-tags", "Tags are numbers"),
        ({"last": "x" * 256}, "d-last", "This is 256 characters"),
    ],
)
async def test_a_form_with_an_error_keeps_the_typed_values(
    console: Console, visitor: Visitor, form: dict[str, str], field: str, sentence: str
) -> None:
    path = await contact(console)

    refused = await submit(visitor, path, f"{path}/edit", {"display_name": "Typed", **form})

    assert refused.status_code == 400
    assert sentence in error(refused, field)
    assert 'value="Typed"' in refused.text


async def test_many_custom_fields_are_edited_as_json(console: Console, visitor: Visitor) -> None:
    path = await contact(console, custom={f"key{number}": number for number in range(80)})
    page = await visitor.get(path)
    form = custom_form(page)
    saved = await submit(visitor, path, f"{path}/edit", {"first": "Al", **form})

    assert list(form) == ["custom_json"]
    assert saved.status_code == 200
    assert len((await stored(console, path))["custom"]) == 80


async def test_the_error_for_a_used_external_id_links_to_its_owner(
    console: Console, visitor: Visitor
) -> None:
    owner = await contact(console, first="Bob", external_id="7")
    path = await contact(console)

    refused = await submit(visitor, path, f"{path}/edit", {"first": "Al", "external_id": "7"})

    assert refused.status_code == 409
    assert f'href="{owner}"' in refused.text


# ── concurrent edits ─────────────────────────────────────────────────────────────────────────────


async def test_an_outdated_form_shows_both_versions(console: Console, visitor: Visitor) -> None:
    path = await contact(console, custom={"plan": "pro"})
    rev = await revision(visitor, path)
    theirs = {"first": "Alicia", "custom": {"plan": "family"}}
    await console.api.request("PUT", path.replace("/console/", "/v2/"), theirs)
    mine = {"first": "Alice", "last": "Quark", "custom_key_0": "plan", "custom_value_0": "basic"}

    stale = await visitor.post(f"{path}/edit", {"rev": rev, **mine})
    saved = await submit_again(visitor, stale, f"{path}/edit", mine)

    assert stale.status_code == 412
    assert "First name changed from Alice to Alicia" in text_of(stale)
    assert "First name Alicia Alice differs" in text_of(stale)
    assert "Custom field plan family basic differs" in text_of(stale)
    assert 'value="Quark"' in stale.text
    after = await stored(console, path)
    assert (after["first"], after["last"], after["custom"]) == ("Alice", "Quark", {"plan": "basic"})
    assert "First name changed from Alicia to Alice" in text_of(saved)


async def submit_again(
    visitor: Visitor, page: httpx.Response, action: str, form: dict[str, str]
) -> httpx.Response:
    """Send the form of a page again, with the revision of the page."""
    [rev] = set(re.findall(r'name="rev" value="(\d+)"', page.text))
    return await visitor.post(action, {"rev": rev, **form})


@pytest.mark.parametrize(
    ("action", "form"),
    [
        ("edit", {"address": "+14155550120", "label": "mine"}),
        ("hold", {"reason": "recycled"}),
        ("consent", {"consent": "opted_in", "source": "mine"}),
        ("primary", {}),
        ("release", {}),
        ("delete", {}),
    ],
)
async def test_an_outdated_form_of_a_channel_is_refused_and_can_be_sent_again(
    console: Console, visitor: Visitor, action: str, form: dict[str, str]
) -> None:
    path = await contact(console, ("phone", "15105553344"), ("phone", "12125550100"))
    channel_path, _ = await channel(console, path, 1)
    rev = await revision(visitor, path)
    await console.api.request("PUT", path.replace("/console/", "/v2/"), {"first": "Alicia"})

    stale = await visitor.post(f"{channel_path}/{action}", {"rev": rev, **form})
    again = await submit_again(visitor, stale, f"{channel_path}/{action}", form)

    assert stale.status_code == 412
    assert "First name changed from Alice to Alicia" in text_of(stale)
    assert all(value in stale.text for value in form.values())
    assert again.status_code == 200
    assert f'action="{channel_path}/{action}"' in stale.text


async def test_an_outdated_new_channel_or_deletion_is_refused(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console)
    rev = await revision(visitor, path)
    await console.api.request("PUT", path.replace("/console/", "/v2/"), {"first": "Alicia"})
    form = {"type": "email", "address": "mine@example.com", "handle": "m"}

    added = await visitor.post(f"{path}/channels", {"rev": rev, **form})
    deleted = await visitor.post(f"{path}/delete", {"rev": rev})
    gone = await submit_again(visitor, deleted, f"{path}/delete", {})

    assert added.status_code == deleted.status_code == 412
    assert 'value="mine@example.com"' in added.text
    assert "Delete the contact?" in text_of(deleted)
    assert "The contact was deleted." in text_of(gone)


async def test_a_form_without_a_valid_revision_is_refused(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console)
    for rev in ("", "x", "9" * 40):
        stale = await visitor.post(f"{path}/edit", {"rev": rev, "first": "Al"})
        assert stale.status_code == 412


async def test_the_form_of_a_deleted_channel_keeps_its_values(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console, ("phone", "15105553344"))
    channel_path, _ = await channel(console, path)
    rev = await revision(visitor, path)
    await console.api.request("DELETE", channel_path.replace("/console/", "/x/"))
    form = {"rev": rev, "type": "phone", "address": "+14155550120", "label": "home"}

    lost = await visitor.post(f"{channel_path}/edit", form)
    held = await visitor.post(f"{channel_path}/hold", {"rev": rev, "reason": "other"})
    removed = await visitor.post(f"{channel_path}/delete", {"rev": rev})
    response = await visitor.get(f"{channel_path}/delete")

    assert lost.status_code == 412
    assert "You can add it again as you typed it." in text_of(lost)
    assert 'value="+14155550120"' in lost.text
    assert "There is nothing left to change." in text_of(held)
    assert "it is deleted already" in text_of(removed)
    assert response.status_code == 404


async def test_the_form_of_a_deleted_contact_shows_its_values(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console)
    rev = await revision(visitor, path)
    await console.api.request("DELETE", path.replace("/console/", "/v2/"))

    for action in ("edit", "channels"):
        form = {"rev": rev, "first": "My text", "type": "phone", "address": "+15105553344"}
        lost = await visitor.post(f"{path}/{action}", form)
        assert lost.status_code == 404
        assert "It was not saved, because the contact was deleted meanwhile." in text_of(lost)
        assert "My text" in text_of(lost)


# ── history ──────────────────────────────────────────────────────────────────────────────────────


async def test_the_history_is_paged(
    console: Console, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_page, "HISTORY_EVENTS", 2)
    path = await contact(console)
    for name in ("B", "C", "D"):
        await console.api.request("PUT", path.replace("/console/", "/v2/"), {"last": name})
    first = await visitor.get(path)
    [older] = re.findall(r'href="([^"]+)">Older events', first.text)
    second = await visitor.get(older)

    assert "Last name changed from C to D" in text_of(first)
    assert "Last name set to B" not in text_of(first)
    assert "Last name set to B" in text_of(second)
    assert "Contact created" in text_of(second)
    assert "Older events" not in text_of(second)


async def test_the_history_names_the_actors(console: Console, visitor: Visitor) -> None:
    api = console.api
    path = await contact(console, ("phone", "15105553344"))
    team = TeamId(api.bob.team.team_id)
    uuid = path.rpartition("/")[2]
    for actor in ("command line", "first run", "doctor", "rbk_0_gone"):
        wanted = ChannelInput(parse(ChannelType("phone"), "15105553344"), channel_handle=actor)
        await api.service.channels.add(WriteContext(team, actor, "test"), uuid, wanted)

    history = text_of(await visitor.get(path))

    for name in (
        "the command line",
        "the first start",
        "the check of the database",
        "credential rbk_0_gone",
    ):
        assert f"by {name}" in history


async def test_the_history_shows_that_an_address_was_moved_here(
    console: Console, visitor: Visitor
) -> None:
    await contact(console, ("phone", "15105553344"), first="Bob")
    path = await contact(console)

    moved = await submit(
        visitor, path, f"{path}/channels", {"type": "phone", "address": "+15105553344", "move": "1"}
    )

    assert "Phone +1 510-555-3344 moved here from another contact" in text_of(moved)


async def test_a_write_without_a_session_is_refused(console: Console) -> None:
    path = await contact(console, ("phone", "15105553344"))
    async with console.visitor() as nobody:
        await nobody.get("/console/sign-in")
        response = await nobody.post(f"{path}/edit", {"rev": "1", "first": "Mallory"})

    assert (await stored(console, path))["first"] == "Alice"
    assert "Mallory" in response.text  # the text is shown again after signing in


@pytest.mark.parametrize("key", ["", "two\nlines"])
async def test_custom_fields_with_unusual_names_are_edited_as_json(
    console: Console, visitor: Visitor, key: str
) -> None:
    path = await contact(console, custom={key: "kept"})
    form = custom_form(await visitor.get(path))
    await submit(visitor, path, f"{path}/edit", {"first": "Al", **form})

    assert (await stored(console, path))["custom"] == {key: "kept"}


async def test_an_outdated_form_keeps_its_rows_of_custom_fields(
    console: Console, visitor: Visitor
) -> None:
    path = await contact(console)
    rev = await revision(visitor, path)
    many = {f"key{number}": number for number in range(80)}
    await console.api.request("PUT", path.replace("/console/", "/v2/"), {"custom": many})

    form = {"rev": rev, "first": "Al", "custom_key_0": "mine", "custom_value_0": "typed"}
    stale = await visitor.post(f"{path}/edit", form)

    assert custom_form(stale)["custom_value_0"] == "typed"
