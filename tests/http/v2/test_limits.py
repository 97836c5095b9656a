"""The limits of a contact, in every request that writes it, and how its JSON is compared."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from reachbook.domain.channel import ChannelList
from reachbook.domain.credential import TeamId
from tests.support.http import ok, refusal, rev
from tests.support.personas import Api
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

CHANNELS = 500
CUSTOM_BYTES = 64 * 1024
TOO_MANY = (400, "too_many")


def telegram_channels(count: int, start: int = 0) -> list[dict[str, str]]:
    """Returns channels whose ids are stored unchanged."""
    numbers = range(start, start + count)
    return [{"channel_type": "telegram", "channel_id": f"someone-{number}"} for number in numbers]


def custom_of_size(size: int, key: str = "note") -> dict[str, str]:
    """Returns a custom object of a size in bytes as compact JSON."""
    return {key: "x" * (size - len(json.dumps({key: ""}, separators=(",", ":"))))}


async def create_contact(api: Api, **body: object) -> str:
    """Creates a contact and returns its UUID."""
    return str((await ok(api, "POST", "/v2/contact", body))["uuid"])


async def insert_channels(api: Api, uuid: str, count: int) -> None:
    """Give a contact more channels than it may have, as an older release allowed."""
    seen = await api.store.read(ChannelList, TeamId(api.bob.team.team_id), uuid)
    assert seen
    values = ", ".join(
        f"({seen.team_id}, {9_000_000 + seen.id * 10_000 + index}, {seen.id}, 'telegram',"
        f" 'older-{index}', '', 'older-{index}', '', '', 1, 1)"
        for index in range(count)
    )
    await sql_runner(api.database)(
        "INSERT INTO contact_channel (team_id, id, contact_id, channel_type, channel_id, scope,"
        f" identity, channel_handle, info_channel, created, updated) VALUES {values}"
    )


async def set_custom(api: Api, uuid: str, custom: object) -> None:
    """Give a contact a custom object, as an older release allowed."""
    text = json.dumps(custom, separators=(",", ":"))
    await sql_runner(api.database)(f"UPDATE contact SET custom = '{text}' WHERE uuid = '{uuid}'")


async def failure_of_row(api: Api, row: dict[str, Any]) -> tuple[int, str]:
    """Returns the status code and the error code with which a row of a bulk write fails."""
    result = await ok(api, "POST", "/v2/contacts", {"contacts": [row]})
    [failed] = result["failed_contacts"]
    assert failed["error"] == "bad_data"
    assert "at most" in failed["message"]
    return 400, failed["error_code"]


# ── channels ─────────────────────────────────────────────────────────────────────────────────


async def test_a_contact_can_have_500_channels(api: Api) -> None:
    """They can be changed; a further one is refused."""
    uuid = await create_contact(api, contact_channels=telegram_channels(CHANNELS))
    path = f"/v2/contact/{uuid}"
    assert len(await ok(api, "GET", f"{path}/channels")) == CHANNELS

    response = await api.request("POST", f"{path}/channel", telegram_channels(1, CHANNELS)[0])

    assert refusal(response) == TOO_MANY
    assert list(response.json()["fields"]) == ["channel_id"]
    assert "at most 500 channels" in response.json()["message"]
    assert await rev(api, uuid) == 1
    replaced = telegram_channels(1, CHANNELS)[0]
    await ok(api, "PUT", f"{path}/channel?channel_id=someone-7", replaced)
    again = {**telegram_channels(1)[0], "channel_handle": "known already"}
    await ok(api, "POST", f"{path}/channel", again)
    await ok(api, "DELETE", f"{path}/channel/telegram?channel_id=someone-8")
    await ok(api, "POST", f"{path}/channel", telegram_channels(1, 8)[0])
    assert len(await ok(api, "GET", f"{path}/channels")) == CHANNELS


async def test_no_request_can_add_a_channel_above_the_limit(api: Api) -> None:
    uuid = await create_contact(api, contact_channels=telegram_channels(CHANNELS))
    other = await api.contact(("facebook", "24681357"))
    added, path = telegram_channels(1, CHANNELS), f"/v2/contact/{uuid}"
    taken = {"channel_type": "facebook", "channel_id": "24681357"}
    many = {"contact_channels": telegram_channels(CHANNELS + 1, 1000)}
    resolve = {
        "channel_id": "15105553344",
        "create": {"contact_channels": telegram_channels(CHANNELS, 2000)},
    }

    for method, target, body, field in [
        ("POST", "/v2/contact", many, "contact_channels"),
        ("POST", "/v2/contact", {**many, "phone": "15105553344"}, "contact_channels"),
        ("PUT", path, {"contact_channels": added}, "contact_channels"),
        ("PUT", path, {"phone": "15105553344"}, "contact_channels"),
        ("PUT", path, {"email": "alice@example.com"}, "contact_channels"),
        ("POST", f"{path}/channel", added[0], "channel_id"),
        ("POST", f"{path}/channel?on_conflict=move", taken, "channel_id"),
        ("PUT", f"{path}?on_conflict=move", {"contact_channels": [taken]}, "contact_channels"),
        ("POST", "/x/resolve", resolve, "contact_channels"),
    ]:
        response = await api.request(method, target, body)
        assert refusal(response) == TOO_MANY, (method, target)
        assert list(response.json()["fields"]) == [field]
    for row in (many, {"contact_id": uuid, "contact_channels": added}):
        assert await failure_of_row(api, row) == TOO_MANY
    assert (await rev(api, uuid), await rev(api, other)) == (1, 1)


async def test_channels_are_counted_after_the_change(api: Api) -> None:
    """An address that is listed twice counts once, and a channel that is removed does not count."""
    spelled = [
        {"channel_type": "phone", "channel_id": text} for text in ("15105553344", "+1 510 555-3344")
    ]
    uuid = await create_contact(
        api, contact_channels=[*spelled, *telegram_channels(CHANNELS - 1), *telegram_channels(200)]
    )
    assert len(await ok(api, "GET", f"/v2/contact/{uuid}/channels")) == CHANNELS

    body = {"phone": None, "email": "alice@example.com"}
    changed = await ok(api, "PUT", f"/v2/contact/{uuid}", body)

    assert changed["email"] == "alice@example.com"
    assert len(changed["contact_channels"]) == CHANNELS


async def test_a_contact_above_the_limit_can_change_but_not_grow(api: Api) -> None:
    uuid = await create_contact(api, first="Alice")
    await insert_channels(api, uuid, CHANNELS + 20)
    path = f"/v2/contact/{uuid}"
    whole = await ok(api, "GET", path)

    await ok(api, "PUT", path, {**whole, "first": "Alicia"})
    await ok(api, "POST", "/v2/contacts", {"contacts": [{**whole, "contact_id": uuid}]})
    older = {"channel_type": "telegram", "channel_id": "older-3"}
    await ok(api, "POST", f"{path}/channel", {**older, "channel_handle": "a"})
    await ok(api, "PUT", f"{path}/channel?channel_id=older-4", telegram_channels(1)[0])
    await ok(api, "DELETE", f"{path}/channel/telegram?channel_id=older-5")
    response = await api.request("POST", f"{path}/channel", telegram_channels(1, 1)[0])

    assert refusal(response) == TOO_MANY
    assert "would leave it with 520" in response.json()["message"]
    assert len(await ok(api, "GET", f"{path}/channels")) == CHANNELS + 19


# ── custom ───────────────────────────────────────────────────────────────────────────────────


async def test_no_request_can_write_custom_above_the_limit(api: Api) -> None:
    uuid, large = await create_contact(api), custom_of_size(CUSTOM_BYTES + 1)
    merged = await create_contact(api, custom=custom_of_size(CUSTOM_BYTES))
    resolve = {"channel_id": "15105553344", "create": {"custom": large}}

    for method, target, body in [
        ("POST", "/v2/contact", {"custom": large}),
        ("PUT", f"/v2/contact/{uuid}", {"custom": large}),
        ("PUT", f"/v2/contact/{uuid}?overwrite=true", {"custom": large}),
        ("PUT", f"/v2/contact/{merged}", {"custom": {"a": 1}}),
        ("POST", "/x/resolve", resolve),
    ]:
        response = await api.request(method, target, body)
        assert refusal(response) == TOO_MANY, (method, target)
        assert list(response.json()["fields"]) == ["custom"]
    for row in (
        {"custom": large},
        {"contact_id": uuid, "custom": large},
        {"contact_id": merged, "custom": {"a": 1}},
    ):
        assert await failure_of_row(api, row) == TOO_MANY
    assert (await rev(api, uuid), await rev(api, merged)) == (1, 1)


@pytest.mark.parametrize("character", ["x", "é", "\U0001f600", '"', "\u2028"])
async def test_the_size_of_custom_is_counted_in_bytes_of_compact_json(
    api: Api, character: str
) -> None:
    size = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    most = (CUSTOM_BYTES - len('{"a":""}')) // size

    stored = await ok(api, "POST", "/v2/contact", {"custom": {"a": character * most}})
    response = await api.request("POST", "/v2/contact", {"custom": {"a": character * (most + 1)}})

    assert stored["custom"] == {"a": character * most}
    assert refusal(response) == TOO_MANY


async def test_merged_custom_does_not_exceed_the_limit(api: Api) -> None:
    """Sends 16 parts that are small enough by themselves, and 16 of a megabyte."""
    uuid = await create_contact(api)
    statuses = []
    for size in (CUSTOM_BYTES // 8, 1_000_000):
        for number in range(16):
            part = {"custom": custom_of_size(size, f"part-{number}")}
            statuses.append((await api.request("PUT", f"/v2/contact/{uuid}", part)).status_code)

    stored = (await ok(api, "GET", f"/v2/contact/{uuid}"))["custom"]
    assert statuses == [200] * 8 + [400] * 24
    assert CUSTOM_BYTES - 20 < len(json.dumps(stored, separators=(",", ":"))) <= CUSTOM_BYTES
    exported = await api.request("GET", f"/x/contact/{uuid}/export")
    assert len(exported.content) < 10 * CUSTOM_BYTES


async def test_custom_above_the_limit_can_change_but_not_grow(api: Api) -> None:
    uuid = await create_contact(api)
    path = f"/v2/contact/{uuid}"
    await set_custom(api, uuid, {"a": "x" * 70_000, "b": "y"})

    await ok(api, "PUT", path, {"first": "Alice", "custom": {"b": "z"}})
    await ok(api, "PUT", path, await ok(api, "GET", path))
    response = await api.request("PUT", path, {"custom": {"b": "zz"}})
    changed = await ok(api, "PUT", path, {"custom": {"a": "x" * 69_000}})

    assert refusal(response) == TOO_MANY
    assert changed["custom"] == {"a": "x" * 69_000, "b": "z"}
    assert await rev(api, uuid) == 3


# ── JSON is compared as JSON ─────────────────────────────────────────────────────────────────

DIFFERENT = ["0", "false", "0.0", "1", "true", "1.0", "null", '"0"', "[]", "{}"]
NESTED: dict[str, Callable[[str], str]] = {
    "itself": lambda text: f'{{"a":{text}}}',
    "in a list": lambda text: f'{{"a":[[{text}]]}}',
    "in an object": lambda text: f'{{"a":{{"b":{{"c":{text}}}}}}}',
}


@pytest.mark.parametrize("where", NESTED)
@pytest.mark.parametrize("overwrite", ["", "?overwrite=true"])
async def test_a_value_of_another_json_type_is_a_change(
    api: Api, where: str, overwrite: str
) -> None:
    """The revision is incremented, and the response, the next read and the event have the value."""
    path = f"/v2/contact/{await create_contact(api)}"
    texts = [NESTED[where](text) for text in DIFFERENT]
    expected = 1
    for text in [*texts, *texts[::-1][1:]]:
        expected += 1
        body = b'{"custom":%b}' % text.encode()
        response = await api.request("PUT", f"{path}{overwrite}", body)
        assert (response.status_code, response.json()["rev"]) == (200, expected), text
        assert f'"custom":{text}' in response.text
        assert f'"custom":{text}' in (await api.request("GET", path)).text
        history = await api.request("GET", f"{path.replace('/v2', '/x')}/history?limit=1")
        [event] = json.loads(history.content, parse_float=str, parse_int=str)["events"]
        assert event["after"]["custom"] == json.loads(text, parse_float=str, parse_int=str)
        assert (await api.request("PUT", f"{path}{overwrite}", body)).json()["rev"] == expected


async def test_a_different_order_of_keys_is_no_change(api: Api) -> None:
    """The stored order remains. A different order of a list is a change."""
    first, second = (
        {"a": 1, "b": {"c": [1, {"d": 1, "e": 2}], "f": 2}},
        '{"f":2,"c":[1,{"e":2,"d":1}]}',
    )
    uuid = await create_contact(api, custom=first)

    for overwrite in ("", "?overwrite=true"):
        body = b'{"custom":{"b":%b,"a":1}}' % second.encode()
        response = await api.request("PUT", f"/v2/contact/{uuid}{overwrite}", body)
        assert response.json()["rev"] == 1
        assert list(response.json()["custom"]) == ["a", "b"]
    shorter = {"custom": {"b": {"c": [{"d": 1, "e": 2}, 1], "f": 2}}}
    changed = await ok(api, "PUT", f"/v2/contact/{uuid}", shorter)
    assert changed["rev"] == 2


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity"])
async def test_nan_and_infinite_numbers_are_refused(api: Api, number: str) -> None:
    response = await api.request("POST", "/v2/contact", b'{"custom":{"a":%b}}' % number.encode())

    assert (response.status_code, response.json()["error"]) == (400, "bad_data")


# ── time ─────────────────────────────────────────────────────────────────────────────────────


async def least_cpu_time(
    api: Api, method: str, path: str, body: object
) -> tuple[httpx.Response, float]:
    """Returns the response to a request, and the least CPU time of three tries, in seconds."""
    times = []
    for _ in range(3):
        began = time.process_time()
        response = await api.request(method, path, body)
        times.append(time.process_time() - began)
    return response, min(times)


@pytest.mark.parametrize("kind", ["email", "telegram"])
async def test_8000_channels_are_refused_within_50_ms(api: Api, kind: str) -> None:
    """The count is checked before any address is parsed."""
    uuid = await create_contact(api)
    listed = [
        {"channel_type": kind, "channel_id": f"someone-{number}@example.com"}
        for number in range(8_000)
    ]
    body = json.dumps({"contact_channels": listed}).encode()

    for method, path in (("POST", "/v2/contact"), ("PUT", f"/v2/contact/{uuid}")):
        response, seconds = await least_cpu_time(api, method, path, body)
        assert refusal(response) == TOO_MANY
        assert list(response.json()["fields"]) == ["contact_channels"]
        assert seconds < 0.05
