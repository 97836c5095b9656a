"""The page Settings > Integrations > API: generate, use, rotate and revoke credentials."""

from __future__ import annotations

import re
import shlex
import sys
from html import unescape

import anyio
import pytest

from reachbook.console.api_settings import PATH, RECIPE
from reachbook.domain import timestamps
from reachbook.domain.credential import Representation
from reachbook.service.administration import CredentialOptions
from tests.docs.test_docs import blocks, read
from tests.support.console import Console, Visitor, text_of
from tests.support.personas import MASTER_KEY

pytestmark = pytest.mark.anyio

FORM = {"label": "CRM sync", "representation": "integer_ids"}


async def shown_values(visitor: Visitor, kind: str, **form: str) -> dict[str, str]:
    """Generate a credential, and return the values that the page shows once."""
    response = await visitor.post(f"{PATH}/{kind}", {**FORM, **form})
    assert response.status_code == 200, text_of(response)
    assert response.headers["cache-control"] == "no-store"
    found = re.findall(r'<input id="c-(\w+)" value="([^"]*)"', response.text)
    recipes = re.findall(
        r'<textarea id="c-(\w+)"[^>]*>\n(.*?)</textarea>', response.text, re.DOTALL
    )
    return {name: unescape(value) for name, value in (*found, *recipes)}


async def status_of(console: Console, curl: str) -> int:
    """Return the status of the request of a curl line."""
    _, url, _, header = shlex.split(curl)
    name, _, value = header.partition(": ")
    response = await console.api.client.get(url, headers={name: value})
    return response.status_code


async def test_a_secret_is_generated_used_and_revoked(console: Console) -> None:
    console.api.clock.set("2030-01-15T10:00:00Z")
    [old] = await console.api.administration.list("api_secret", console.admin.team_id)
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        shown = await shown_values(visitor, "secrets")
        works = await status_of(console, shown["curl"])
        listed = await visitor.get(PATH)
        response = await visitor.get(f"{PATH}/{shown['id']}/revoke")
        await visitor.post(f"{PATH}/{shown['id']}/revoke")
        console.api.clock.forward(1)
        again = await visitor.post(f"{PATH}/{shown['id']}/revoke")

    assert works == 200
    assert shown["key"] not in listed.text
    assert "CRM sync" in text_of(listed)
    assert "The team has 2 API secrets, which is the most." in text_of(listed)
    assert (old.label or old.id) in text_of(listed)
    assert "Revoke CRM sync ?" in text_of(response)
    assert "The credential was revoked." in text_of(again)
    [_, revoked] = await console.api.administration.list("api_secret", console.admin.team_id)
    assert revoked.revoked


async def test_the_recipe_signs_a_token_with_the_shown_values(console: Console) -> None:
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        shown = await shown_values(visitor, "secrets")
    assert shown["recipe"].startswith(RECIPE)
    done = await anyio.run_process([sys.executable, "-"], input=shown["recipe"].encode())
    # The clock of the API is stopped; the program uses the clock of the host.
    console.api.clock.now = timestamps.now()

    by = {"authorization": f"Bearer {done.stdout.decode().strip()}"}
    assert (await console.api.request("GET", "/v1/team", by=by)).status_code == 200


async def test_a_key_is_generated_and_used(console: Console) -> None:
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        shown = await shown_values(visitor, "keys", read_only="1", representation="string_ids")
        works = await status_of(console, shown["curl"])

    assert works == 200
    ident = shown["key"].rpartition("_")[0]
    keys = await console.api.administration.list("api_key", console.admin.team_id)
    [made] = [key for key in keys if key.id == ident]
    assert made.read_only
    assert made.representation is Representation.STRING_IDS
    assert made.label == "CRM sync"


async def test_a_third_secret_is_refused_and_the_form_keeps_its_values(console: Console) -> None:
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        await shown_values(visitor, "secrets")
        refused = await visitor.post(f"{PATH}/secrets", {**FORM, "label": "third"})

    assert refused.status_code == 409
    assert "Revoke one of them first." in text_of(refused)
    assert 'value="third"' in refused.text


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"label": "x" * 256}, "1 to 255 printable characters"),
        ({"label": "two\nlines"}, "1 to 255 printable characters"),
        ({"representation": "roman"}, "Choose one of the two forms of ids."),
    ],
)
async def test_an_invalid_form_is_refused_with_a_reason(
    console: Console, form: dict[str, str], message: str
) -> None:
    before = await console.api.administration.list("api_key", console.admin.team_id)
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        refused = await visitor.post(f"{PATH}/keys", {**FORM, **form})

    assert refused.status_code == 400
    assert message in text_of(refused)
    assert await console.api.administration.list("api_key", console.admin.team_id) == before


@pytest.mark.parametrize("label", ['<b>"bold"</b> & co', "عنوان", "\U0001f389" * 255])
async def test_a_label_is_shown_as_typed(console: Console, label: str) -> None:
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        await shown_values(visitor, "keys", label=label)
        listed = await visitor.get(PATH)

    assert f'<strong dir="auto">{label}</strong>' in unescape(listed.text)
    assert "<b>" not in listed.text


async def test_a_credential_of_another_team_is_not_found(console: Console) -> None:
    charlie = console.api.charlie
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        for ident in (charlie.secret.id, charlie.key.id, "rbs_1_x", "..", "x" * 300):
            assert (await visitor.get(f"{PATH}/{ident}/revoke")).status_code == 404
            assert (await visitor.post(f"{PATH}/{ident}/revoke")).status_code == 404
        listed = await visitor.get(PATH)

    assert charlie.key.id not in listed.text
    [key] = await console.api.administration.list("api_key", charlie.team.team_id)
    assert key.revoked is None


async def test_a_revoked_credential_is_refused_within_a_second(console: Console) -> None:
    options = CredentialOptions(Representation.INTEGER_IDS)
    team_id = console.admin.team_id
    key, api_key = await console.api.administration.create_key(team_id, options)
    by = {"authorization": f"Bearer {api_key}"}
    async with console.visitor(console.admin) as visitor:
        await visitor.get(PATH)
        assert (await console.api.request("GET", "/v1/team", by=by)).status_code == 200
        await visitor.post(f"{PATH}/{key.id}/revoke")

    await anyio.sleep(1)
    assert (await console.api.request("GET", "/v1/team", by=by)).status_code == 401


def test_the_recipe_is_the_one_in_the_documentation() -> None:
    [snippet] = blocks(read("docs/credentials.md"), "python")

    assert snippet.strip() == RECIPE.strip()
    assert MASTER_KEY.decode() not in RECIPE
