"""The bounds of a contact, through every request that writes it, and how its JSON is compared."""

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
from tests.support.raw_sql import beside

pytestmark = pytest.mark.anyio

CHANNELS = 500
CUSTOM_BYTES = 64 * 1024
TOO_MANY = (400, "too_many")


def handles(count: int, start: int = 0) -> list[dict[str, str]]:
    """Returns channels whose ids are stored unchanged."""
    numbers = range(start, start + count)
    return [{"channel_type": "telegram", "channel_id": f"someone-{number}"} for number in numbers]


def custom_of(size: int, key: str = "note") -> dict[str, str]:
    """Returns a custom object of a size in bytes as compact JSON."""
    return {key: "x" * (size - len(json.dumps({key: ""}, separators=(",", ":"))))}


async def made(api: Api, **body: object) -> str:
    """Creates a contact and returns its UUID."""
    return str((await ok(api, "POST", "/v2/contact", body))["uuid"])


async def grown(api: Api, uuid: str, count: int) -> None:
    """Give a contact more channels than it may have, as an older release allowed."""
    seen = await api.store.read(ChannelList, TeamId(api.bob.team.team_id), uuid)
    assert seen
    values = ", ".join(
        f"({seen.team_id}, {9_000_000 + seen.id * 10_000 + index}, {seen.id}, 'telegram',"
        f" 'older-{index}', '', 'older-{index}', '', '', 1, 1)"
        for index in range(count)
    )
    await beside(api.database)(
        "INSERT INTO contact_channel (team_id, id, contact_id, channel_type, channel_id, scope,"
        f" identity, channel_handle, info_channel, created, updated) VALUES {values}"
    )


async def with_custom(api: Api, uuid: str, custom: object) -> None:
    """Give a contact a custom object, as an older release allowed."""
    text = json.dumps(custom, separators=(",", ":"))
    await beside(api.database)(f"UPDATE contact SET custom = '{text}' WHERE uuid = '{uuid}'")


async def failed_row(api: Api, row: dict[str, Any]) -> tuple[int, str]:
    """Returns the status and the reason with which a row of a bulk write fails."""
    result = await ok(api, "POST", "/v2/contacts", {"contacts": [row]})
    [failed] = result["failed_contacts"]
    assert failed["error"] == "bad_data"
    assert "at most" in failed["message"]
    return 400, failed["error_code"]


# ── channels ─────────────────────────────────────────────────────────────────────────────────


async def test_it_works(api: Api) -> None:
    """A contact can have 500 channels, and change them; the next one is refused."""
    uuid = await made(api, contact_channels=handles(CHANNELS))
    path = f"/v2/contact/{uuid}"
    assert len(await ok(api, "GET", f"{path}/channels")) == CHANNELS

    answer = await api.request("POST", f"{path}/channel", handles(1, CHANNELS)[0])

    assert refusal(answer) == TOO_MANY
    assert list(answer.json()["fields"]) == ["channel_id"]
    assert "at most 500 channels" in answer.json()["message"]
    assert await rev(api, uuid) == 1
    replaced = handles(1, CHANNELS)[0]
    await ok(api, "PUT", f"{path}/channel?channel_id=someone-7", replaced)
    again = {**handles(1)[0], "channel_handle": "known already"}
    await ok(api, "POST", f"{path}/channel", again)
    await ok(api, "DELETE", f"{path}/channel/telegram?channel_id=someone-8")
    await ok(api, "POST", f"{path}/channel", handles(1, 8)[0])
    assert len(await ok(api, "GET", f"{path}/channels")) == CHANNELS


async def test_every_way_to_add_the_next_channel_is_refused(api: Api) -> None:
    uuid = await made(api, contact_channels=handles(CHANNELS))
    other = await api.contact(("facebook", "24681357"))
    added, path = handles(1, CHANNELS), f"/v2/contact/{uuid}"
    taken = {"channel_type": "facebook", "channel_id": "24681357"}
    many = {"contact_channels": handles(CHANNELS + 1, 1000)}
    sought = {"channel_id": "15105553344", "create": {"contact_channels": handles(CHANNELS, 2000)}}

    for method, target, body, field in [
        ("POST", "/v2/contact", many, "contact_channels"),
        ("POST", "/v2/contact", {**many, "phone": "15105553344"}, "contact_channels"),
        ("PUT", path, {"contact_channels": added}, "contact_channels"),
        ("PUT", path, {"phone": "15105553344"}, "contact_channels"),
        ("PUT", path, {"email": "alice@example.com"}, "contact_channels"),
        ("POST", f"{path}/channel", added[0], "channel_id"),
        ("POST", f"{path}/channel?on_conflict=move", taken, "channel_id"),
        ("PUT", f"{path}?on_conflict=move", {"contact_channels": [taken]}, "contact_channels"),
        ("POST", "/x/resolve", sought, "contact_channels"),
    ]:
        answer = await api.request(method, target, body)
        assert refusal(answer) == TOO_MANY, (method, target)
        assert list(answer.json()["fields"]) == [field]
    for row in (many, {"contact_id": uuid, "contact_channels": added}):
        assert await failed_row(api, row) == TOO_MANY
    assert (await rev(api, uuid), await rev(api, other)) == (1, 1)


async def test_channels_are_counted_after_the_change(api: Api) -> None:
    """An address that is listed twice counts once, and a channel that is removed does not count."""
    spelled = [
        {"channel_type": "phone", "channel_id": text} for text in ("15105553344", "+1 510 555-3344")
    ]
    uuid = await made(api, contact_channels=[*spelled, *handles(CHANNELS - 1), *handles(200)])
    assert len(await ok(api, "GET", f"/v2/contact/{uuid}/channels")) == CHANNELS

    body = {"phone": None, "email": "alice@example.com"}
    changed = await ok(api, "PUT", f"/v2/contact/{uuid}", body)

    assert changed["email"] == "alice@example.com"
    assert len(changed["contact_channels"]) == CHANNELS


async def test_a_contact_that_is_over_the_bound_can_change_and_not_grow(api: Api) -> None:
    uuid = await made(api, first="Alice")
    await grown(api, uuid, CHANNELS + 20)
    path = f"/v2/contact/{uuid}"
    whole = await ok(api, "GET", path)

    await ok(api, "PUT", path, {**whole, "first": "Alicia"})
    await ok(api, "POST", "/v2/contacts", {"contacts": [{**whole, "contact_id": uuid}]})
    older = {"channel_type": "telegram", "channel_id": "older-3"}
    await ok(api, "POST", f"{path}/channel", {**older, "channel_handle": "a"})
    await ok(api, "PUT", f"{path}/channel?channel_id=older-4", handles(1)[0])
    await ok(api, "DELETE", f"{path}/channel/telegram?channel_id=older-5")
    answer = await api.request("POST", f"{path}/channel", handles(1, 1)[0])

    assert refusal(answer) == TOO_MANY
    assert "would leave it with 520" in answer.json()["message"]
    assert len(await ok(api, "GET", f"{path}/channels")) == CHANNELS + 19


# ── custom ───────────────────────────────────────────────────────────────────────────────────


async def test_custom_is_bounded_through_every_way_to_write_it(api: Api) -> None:
    uuid, large = await made(api), custom_of(CUSTOM_BYTES + 1)
    merged = await made(api, custom=custom_of(CUSTOM_BYTES))
    sought = {"channel_id": "15105553344", "create": {"custom": large}}

    for method, target, body in [
        ("POST", "/v2/contact", {"custom": large}),
        ("PUT", f"/v2/contact/{uuid}", {"custom": large}),
        ("PUT", f"/v2/contact/{uuid}?overwrite=true", {"custom": large}),
        ("PUT", f"/v2/contact/{merged}", {"custom": {"a": 1}}),
        ("POST", "/x/resolve", sought),
    ]:
        answer = await api.request(method, target, body)
        assert refusal(answer) == TOO_MANY, (method, target)
        assert list(answer.json()["fields"]) == ["custom"]
    for row in (
        {"custom": large},
        {"contact_id": uuid, "custom": large},
        {"contact_id": merged, "custom": {"a": 1}},
    ):
        assert await failed_row(api, row) == TOO_MANY
    assert (await rev(api, uuid), await rev(api, merged)) == (1, 1)


@pytest.mark.parametrize("sign", ["x", "é", "\U0001f600", '"', "\u2028"])
async def test_custom_is_counted_in_bytes_of_compact_json(api: Api, sign: str) -> None:
    each = len(json.dumps(sign, ensure_ascii=False).encode()) - 2
    most = (CUSTOM_BYTES - len('{"a":""}')) // each

    kept = await ok(api, "POST", "/v2/contact", {"custom": {"a": sign * most}})
    answer = await api.request("POST", "/v2/contact", {"custom": {"a": sign * (most + 1)}})

    assert kept["custom"] == {"a": sign * most}
    assert refusal(answer) == TOO_MANY


async def test_merging_does_not_pass_the_bound(api: Api) -> None:
    """16 parts that are small enough by themselves, and 16 of a megabyte."""
    uuid = await made(api)
    statuses = []
    for size in (CUSTOM_BYTES // 8, 1_000_000):
        for number in range(16):
            part = {"custom": custom_of(size, f"part-{number}")}
            statuses.append((await api.request("PUT", f"/v2/contact/{uuid}", part)).status_code)

    kept = (await ok(api, "GET", f"/v2/contact/{uuid}"))["custom"]
    assert statuses == [200] * 8 + [400] * 24
    assert CUSTOM_BYTES - 20 < len(json.dumps(kept, separators=(",", ":"))) <= CUSTOM_BYTES
    exported = await api.request("GET", f"/x/contact/{uuid}/export")
    assert len(exported.content) < 10 * CUSTOM_BYTES


async def test_custom_that_is_over_the_bound_can_change_and_not_grow(api: Api) -> None:
    uuid = await made(api)
    path = f"/v2/contact/{uuid}"
    await with_custom(api, uuid, {"a": "x" * 70_000, "b": "y"})

    await ok(api, "PUT", path, {"first": "Alice", "custom": {"b": "z"}})
    await ok(api, "PUT", path, await ok(api, "GET", path))
    answer = await api.request("PUT", path, {"custom": {"b": "zz"}})
    changed = await ok(api, "PUT", path, {"custom": {"a": "x" * 69_000}})

    assert refusal(answer) == TOO_MANY
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
    """The revision moves, and the response, the next read and the event have the new value."""
    path = f"/v2/contact/{await made(api)}"
    texts = [NESTED[where](text) for text in DIFFERENT]
    expected = 1
    for text in [*texts, *texts[::-1][1:]]:
        expected += 1
        body = b'{"custom":%b}' % text.encode()
        answer = await api.request("PUT", f"{path}{overwrite}", body)
        assert (answer.status_code, answer.json()["rev"]) == (200, expected), text
        assert f'"custom":{text}' in answer.text
        assert f'"custom":{text}' in (await api.request("GET", path)).text
        history = await api.request("GET", f"{path.replace('/v2', '/x')}/history?limit=1")
        [event] = json.loads(history.content, parse_float=str, parse_int=str)["events"]
        assert event["after"]["custom"] == json.loads(text, parse_float=str, parse_int=str)
        assert (await api.request("PUT", f"{path}{overwrite}", body)).json()["rev"] == expected


async def test_another_order_of_keys_is_no_change(api: Api) -> None:
    """The stored order stays. The order of a list is a change."""
    first, second = (
        {"a": 1, "b": {"c": [1, {"d": 1, "e": 2}], "f": 2}},
        '{"f":2,"c":[1,{"e":2,"d":1}]}',
    )
    uuid = await made(api, custom=first)

    for overwrite in ("", "?overwrite=true"):
        body = b'{"custom":{"b":%b,"a":1}}' % second.encode()
        answer = await api.request("PUT", f"/v2/contact/{uuid}{overwrite}", body)
        assert answer.json()["rev"] == 1
        assert list(answer.json()["custom"]) == ["a", "b"]
    shorter = {"custom": {"b": {"c": [{"d": 1, "e": 2}, 1], "f": 2}}}
    assert (await ok(api, "PUT", f"/v2/contact/{uuid}", shorter))["rev"] == 2  # lists have an order


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity"])
async def test_nan_and_infinite_numbers_are_refused(api: Api, number: str) -> None:
    answer = await api.request("POST", "/v2/contact", b'{"custom":{"a":%b}}' % number.encode())

    assert (answer.status_code, answer.json()["error"]) == (400, "bad_data")


# ── time ─────────────────────────────────────────────────────────────────────────────────────


async def quickest(api: Api, method: str, path: str, body: object) -> tuple[httpx.Response, float]:
    """Returns the response to a request, and the least CPU time of three tries, in seconds."""
    times = []
    for _ in range(3):
        began = time.process_time()
        answer = await api.request(method, path, body)
        times.append(time.process_time() - began)
    return answer, min(times)


@pytest.mark.parametrize("kind", ["email", "telegram"])
async def test_8000_channels_are_refused_at_once(api: Api, kind: str) -> None:
    """The count is checked before any address is parsed."""
    uuid = await made(api)
    listed = [
        {"channel_type": kind, "channel_id": f"someone-{number}@example.com"}
        for number in range(8_000)
    ]
    body = json.dumps({"contact_channels": listed}).encode()

    for method, path in (("POST", "/v2/contact"), ("PUT", f"/v2/contact/{uuid}")):
        answer, seconds = await quickest(api, method, path, body)
        assert refusal(answer) == TOO_MANY
        assert list(answer.json()["fields"]) == ["contact_channels"]
        assert seconds < 0.05
