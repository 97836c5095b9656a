"""Each example of the vendor's documents is returned with the same keys in the same order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reachbook.domain.address import parsing
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.credential import TeamId
from reachbook.service import WriteContext
from tests.support.personas import ALICE, Api

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parent / "vendor_examples"
FILES = sorted(path.name for path in EXAMPLES.glob("*.json"))
FILES_WITH_PLACEHOLDERS = ["seed_001.json", "seed_002.json"]


async def create_alice(fresh_api: Api) -> None:
    """Creates Alice with the UUID, and the phone added at ten o'clock, of the vendor's examples."""
    fresh_api.clock.set("2024-01-15T10:00:00Z")
    phone = ChannelInput(parsing.parse(parsing.channel_type("phone"), "15105553344"))
    context = WriteContext(TeamId(fresh_api.bob.team.team_id), "golden", "golden")
    await fresh_api.service.contacts.create(context, ContactInput((phone,)), ALICE)


def parse_ordered(text: str) -> Any:
    """Returns JSON with each object as a tuple of pairs, so that the order of keys is compared."""
    return json.loads(text, object_pairs_hook=tuple)


def replace_by_types(value: Any) -> Any:
    """Returns JSON with each scalar replaced by its type, and the order of keys."""
    if isinstance(value, dict):
        return [(key, replace_by_types(element)) for key, element in value.items()]
    if isinstance(value, list):
        return tuple(replace_by_types(element) for element in value)
    return type(value)


def test_each_vendor_document_has_an_example_file() -> None:
    assert {"seed_000.json", "seed_001.json", "seed_002.json"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
async def test_the_response_equals_the_vendor_example(fresh_api: Api, name: str) -> None:
    vendor_example = json.loads((EXAMPLES / name).read_text())
    await create_alice(fresh_api)

    for exchange in vendor_example["exchanges"]:
        fresh_api.clock.set(exchange["at"])
        jwt = vendor_example["credential"] == "jwt"
        credential = fresh_api.bob.by_jwt() if jwt else fresh_api.bob.by_key()
        method, path, body = exchange["request"]

        response = await fresh_api.request(method, path, body, by=credential)

        assert response.status_code == 200, response.text
        assert parse_ordered(response.text) == parse_ordered(json.dumps(exchange["answer"])), (
            response.text
        )
        assert response.headers["x-representation"] == vendor_example["representation"]
        assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", FILES_WITH_PLACEHOLDERS)
async def test_the_response_has_the_keys_and_types_of_the_placeholders(
    fresh_api: Api, name: str
) -> None:
    """The examples of documents 001 and 002 have no values, so only keys and types are compared."""
    vendor_example = json.loads((EXAMPLES / name).read_text())
    await create_alice(fresh_api)
    [exchange] = vendor_example["exchanges"]
    fresh_api.clock.set(exchange["at"])

    response = await fresh_api.request(*exchange["request"], by=fresh_api.bob.by_jwt())

    assert replace_by_types(response.json()) == replace_by_types(vendor_example["shape"])
