"""A channel by its id: the nine keys of /v2, and the consent, hold, label and primary fields."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.http import refusal
from tests.support.personas import NOBODY, Api

pytestmark = pytest.mark.anyio

ONE, TWO, EMAIL = "15105553344", "14155551234", "alice@example.com"
DEFAULTS = {
    "primary": True,
    "label": "",
    "held": False,
    "held_reason": None,
    "consent": "unknown",
    "consent_source": "",
    "consent_at": None,
}
OPERATIONS: list[tuple[str, str, object]] = [
    ("GET", "", None),
    ("PATCH", "", {"label": "x"}),
    ("POST", "/primary", None),
    ("DELETE", "", None),
]


async def get_channels(api: Api, uuid: str) -> list[Any]:
    response = await api.request("GET", f"/x/contact/{uuid}/channels")
    assert response.status_code == 200, response.text
    return list(response.json())


async def channel_paths(api: Api, uuid: str) -> list[str]:
    return [
        f"/x/contact/{uuid}/channel/{channel['id']}" for channel in await get_channels(api, uuid)
    ]


async def patch(api: Api, path: str, body: object) -> Any:
    response = await api.request("PATCH", path, body)
    assert response.status_code == 200, response.text
    return response.json()


async def rev(api: Api, uuid: str) -> int:
    return int((await api.request("GET", f"/v2/contact/{uuid}")).json()["rev"])


async def test_a_channel_has_the_nine_keys_and_the_detail_fields(api: Api) -> None:
    """The nine keys are in `string_ids`, whatever the representation of the credential is."""
    uuid = await api.contact(("phone", ONE), ("email", EMAIL))
    nine = (await api.request("GET", f"/v2/contact/{uuid}/channels")).json()

    for by in (api.bob.by_key(), api.bob.by_jwt()):
        response = await api.request("GET", f"/x/contact/{uuid}/channels", by=by)

        assert response.json() == [{**channel, **DEFAULTS} for channel in nine]
        for channel in response.json():
            single = await api.request("GET", f"/x/contact/{uuid}/channel/{channel['id']}", by=by)
            assert single.json() == channel
    assert await get_channels(api, await api.contact()) == []


async def test_the_channel_id_in_the_path_may_be_an_integer(api: Api) -> None:
    [path] = await channel_paths(api, await api.contact(("phone", ONE)))
    number = path.replace("ch_", "")
    assert (await api.request("GET", number)).json() == (await api.request("GET", path)).json()


# ── PATCH ────────────────────────────────────────────────────────────────────────────────────


async def test_patch_sets_the_fields_of_the_body(api: Api) -> None:
    uuid = await api.contact(("phone", ONE))
    [path] = await channel_paths(api, uuid)
    before = (await api.request("GET", path)).json()
    api.clock.forward(1)
    wanted = {
        "channel_handle": "al",
        "info_channel": "inbox",
        "label": "home",
        "held": True,
        "held_reason": "bounced",
        "consent": "opted_in",
        "consent_source": "form",
    }

    after = await patch(api, path, wanted)

    assert after["consent_at"]
    moved = {"updated": after["updated"], "consent_at": after["consent_at"]}
    assert after == {**before, **wanted, **moved}
    assert after["updated"] > before["updated"]
    assert (await api.request("GET", path)).json() == after
    assert await rev(api, uuid) == 2
    assert await patch(api, path, wanted) == after
    assert await patch(api, path, {}) == after
    assert await rev(api, uuid) == 2


@pytest.mark.parametrize("empty", ["", None])
async def test_an_empty_text_clears_a_field(api: Api, empty: str | None) -> None:
    [path] = await channel_paths(api, await api.contact(("phone", ONE)))
    texts = ("channel_handle", "info_channel", "label", "consent_source")
    await patch(api, path, dict.fromkeys(texts, "x"))

    after = await patch(api, path, dict.fromkeys(texts, empty))

    assert (after["label"], after["consent_source"]) == ("", "")
    assert "channel_handle" not in after
    assert "info_channel" not in after


async def test_a_hold_always_has_a_reason(api: Api) -> None:
    [path] = await channel_paths(api, await api.contact(("phone", ONE)))
    steps: list[tuple[dict[str, object], tuple[bool, str | None]]] = [
        ({"held": True}, (True, "other")),
        ({"held_reason": "recycled"}, (True, "recycled")),
        ({"held": True}, (True, "recycled")),
        ({"label": "x"}, (True, "recycled")),
        ({"held": False}, (False, None)),
        ({"held": True, "held_reason": "wrong_person"}, (True, "wrong_person")),
        ({"held_reason": None}, (True, "other")),
        ({"held": False, "held_reason": None}, (False, None)),
        ({"held_reason": None}, (False, None)),
        ({"held": True, "held_reason": None}, (True, "other")),
    ]
    for body, expected in steps:
        after = await patch(api, path, body)
        assert (after["held"], after["held_reason"]) == expected, body


async def test_consent_at_is_the_time_of_the_last_change_of_consent(api: Api) -> None:
    [path] = await channel_paths(api, await api.contact(("phone", ONE)))
    api.clock.set("2026-01-02T10:00:00+00:00")
    api.clock.forward(86400 * 365 * 2)
    first = await patch(api, path, {"consent": "opted_in"})
    assert first["consent_at"] == "2028-01-02T10:00:00.000000Z"
    api.clock.forward(60)

    later = await patch(api, path, {"label": "x", "consent": "opted_in"})
    out = await patch(api, path, {"consent": "opted_out"})

    assert later["consent_at"] == first["consent_at"]
    assert out["consent_at"] > first["consent_at"]


async def test_an_info_channel_that_causes_a_duplicate_is_a_conflict(api: Api) -> None:
    """The page is a part of a Facebook id: another contact may have the same id on that page."""
    owners = []
    for page in ("a", "b"):
        channel = {"channel_type": "facebook", "channel_id": "100", "info_channel": page}
        created = await api.request("POST", "/v2/contact", {"contact_channels": [channel]})
        owners.append(created.json()["uuid"])
    [path] = await channel_paths(api, owners[0])

    response = await api.request("PATCH", path, {"info_channel": "b"})

    assert refusal(response) == (409, "address_taken")
    assert response.json()["conflicting_contact_id"] == owners[1]
    assert (await patch(api, path, {"info_channel": "c"}))["info_channel"] == "c"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"held_reason": "bounced"}, "bad_value", "held_reason"),
        ({"held": False, "held_reason": "bounced"}, "bad_value", "held_reason"),
        ({"held": True, "held_reason": "rude"}, "wrong_type", "held_reason"),
        ({"held": "yes"}, "wrong_type", "held"),
        ({"consent": "maybe"}, "wrong_type", "consent"),
        ({"label": "x" * 256}, "bad_value", "label"),
        ({"label": "a\u0000"}, "bad_value", "label"),
        ({"channel_id": TWO}, "unknown_name", "channel_id"),
        ({"primary": True}, "unknown_name", "primary"),
        ({"lable": "x"}, "unknown_name", "lable"),
        ([1], "wrong_type", "body"),
    ],
)
async def test_a_malformed_patch_is_refused(api: Api, body: object, code: str, field: str) -> None:
    uuid = await api.contact(("phone", ONE))
    [path] = await channel_paths(api, uuid)

    response = await api.request("PATCH", path, body)

    assert refusal(response) == (400, code)
    assert list(response.json()["fields"]) == [field]
    assert await rev(api, uuid) == 1


async def test_the_error_for_an_unknown_key_names_the_nearest_key(api: Api) -> None:
    [path] = await channel_paths(api, await api.contact(("phone", ONE)))
    assert "nearest is label" in (await api.request("PATCH", path, {"lable": 1})).json()["message"]
    response = await api.request("GET", f"{path}?as_off=2026-01-01T00:00:00Z")
    assert refusal(response) == (400, "unknown_name")
    assert "nearest is as_of" in response.json()["message"]
    assert refusal(await api.request("DELETE", f"{path}?channel_id=1")) == (400, "unknown_name")


# ── primary and DELETE ───────────────────────────────────────────────────────────────────────


async def test_post_primary_makes_a_channel_primary(api: Api) -> None:
    uuid = await api.contact(("phone", ONE), ("phone", TWO), ("email", EMAIL))
    first, second, email = await channel_paths(api, uuid)

    created = await api.request("POST", f"{second}/primary")

    assert (created.status_code, created.json()["primary"]) == (200, True)
    assert [channel["primary"] for channel in await get_channels(api, uuid)] == [False, True, True]
    contact = (await api.request("GET", f"/v2/contact/{uuid}")).json()
    assert (contact["phone"], contact["rev"]) == (TWO, 2)
    for path in (second, email):
        assert (await api.request("POST", f"{path}/primary")).json()["primary"] is True
    assert await rev(api, uuid) == 2
    await api.request("POST", f"{first}/primary")
    assert [channel["primary"] for channel in await get_channels(api, uuid)] == [True, False, True]


async def test_deleting_the_primary_channel_makes_the_previous_one_primary(api: Api) -> None:
    uuid = await api.contact(("phone", ONE), ("phone", TWO), ("phone", "12125550199"))
    _, second, third = await channel_paths(api, uuid)
    await api.request("POST", f"{second}/primary")
    await api.request("POST", f"{third}/primary")
    seen = []
    for path in (third, second):
        left = (await api.request("DELETE", path)).json()
        seen.append([channel["channel_id"] for channel in left if channel["primary"]])
    assert seen == [[TWO], [ONE]]


async def test_delete_returns_the_remaining_channels(api: Api) -> None:
    uuid = await api.contact(("phone", ONE), ("phone", TWO))
    first, second = await channel_paths(api, uuid)
    _, remaining = await get_channels(api, uuid)

    response = await api.request("DELETE", first)

    assert (response.status_code, response.json()) == (200, [{**remaining, "primary": True}])
    assert "x-contact-reachable" not in response.headers
    assert refusal(await api.request("DELETE", first)) == (404, "no_channel")
    last = await api.request("DELETE", second)
    assert (last.json(), last.headers["x-contact-reachable"]) == ([], "false")


# ── not found ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("method", "tail", "body"), OPERATIONS)
async def test_a_channel_of_another_contact_is_not_found(
    api: Api, method: str, tail: str, body: object
) -> None:
    uuid = await api.contact(("phone", ONE))
    [path] = await channel_paths(api, await api.contact(("phone", TWO)))
    number = path.rsplit("/", maxsplit=1)[1]
    for contact, channel, expected in [
        (uuid, number, (404, "no_channel")),
        (uuid, "ch_999999999", (404, "no_channel")),
        (NOBODY, number, (404, "no_contact")),
        (uuid, "phone", (400, "bad_value")),
        (uuid, "ch_", (400, "bad_value")),
        ("7", number, (400, "bad_uuid")),
    ]:
        url = f"/x/contact/{contact}/channel/{channel}{tail}"
        assert refusal(await api.request(method, url, body)) == expected, url
    assert await rev(api, uuid) == 1


@pytest.mark.parametrize(("method", "tail", "body"), [*OPERATIONS, ("HEAD", "", None)])
async def test_a_channel_of_another_team_and_a_missing_channel_have_equal_responses(
    api: Api, method: str, tail: str, body: object
) -> None:
    uuid = await api.contact(("phone", ONE))
    [path] = await channel_paths(api, uuid)
    by = {**api.charlie.by_key(), "x-request-id": "same"}

    foreign = await api.request(method, path + tail, body, by=by)
    missing = await api.request(method, path.replace(uuid, NOBODY) + tail, body, by=by)

    assert foreign.status_code == 404
    assert foreign.content == missing.content
    assert foreign.headers.multi_items() == missing.headers.multi_items()
    assert await rev(api, uuid) == 1
    listed = await api.request("GET", f"/x/contact/{uuid}/channels", by=by)
    assert refusal(listed) == (404, "no_contact")
