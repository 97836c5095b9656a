"""Every example of the seeds, as the wire shows it: the same JSON, the keys in the seed's order."""

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

GOLDEN = Path(__file__).parent / "vendor_examples"
FILES = sorted(path.name for path in GOLDEN.glob("*.json"))
OTHER_WITH_A_SHAPE = ["seed_001.json", "seed_002.json"]


async def meet_alice(fresh_api: Api) -> None:
    """Alice as the seeds know her: her UUID, and the phone that was added at ten o'clock."""
    fresh_api.clock.set("2024-01-15T10:00:00Z")
    phone = ChannelInput(parsing.parse(parsing.channel_type("phone"), "15105553344"))
    context = WriteContext(TeamId(fresh_api.bob.team.team_id), "golden", "golden")
    await fresh_api.service.contacts.create(context, ContactInput((phone,)), ALICE)


def in_order(text: str) -> Any:
    """JSON with each object as its pairs, so that the order of keys counts."""
    return json.loads(text, object_pairs_hook=tuple)


def with_types(value: Any) -> Any:
    """JSON with each scalar as its type, and the order of keys."""
    if isinstance(value, dict):
        return [(key, with_types(one)) for key, one in value.items()]
    if isinstance(value, list):
        return tuple(with_types(one) for one in value)
    return type(value)


def test_there_is_a_golden_file_for_each_seed() -> None:
    assert {"seed_000.json", "seed_001.json", "seed_002.json"} <= set(FILES)


@pytest.mark.parametrize("name", FILES)
async def test_it_answers_as_the_seed_shows(fresh_api: Api, name: str) -> None:
    golden = json.loads((GOLDEN / name).read_text())
    await meet_alice(fresh_api)

    for exchange in golden["exchanges"]:
        fresh_api.clock.set(exchange["at"])
        jwt = golden["credential"] == "jwt"
        credential = fresh_api.bob.by_jwt() if jwt else fresh_api.bob.by_key()
        method, path, body = exchange["request"]

        answer = await fresh_api.request(method, path, body, by=credential)

        assert answer.status_code == 200, answer.text
        assert in_order(answer.text) == in_order(json.dumps(exchange["answer"])), answer.text
        assert answer.headers["x-representation"] == golden["representation"]
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name", OTHER_WITH_A_SHAPE)
async def test_it_has_the_keys_and_types_of_the_placeholders(fresh_api: Api, name: str) -> None:
    """Seeds 001 and 002 show no values, so their literal example is compared key by key."""
    golden = json.loads((GOLDEN / name).read_text())
    await meet_alice(fresh_api)
    [exchange] = golden["exchanges"]
    fresh_api.clock.set(exchange["at"])

    answer = await fresh_api.request(*exchange["request"], by=fresh_api.bob.by_jwt())

    assert with_types(answer.json()) == with_types(golden["shape"])
