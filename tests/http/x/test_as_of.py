"""The state of a contact at a past time: `?as_of=` on its channels, and on a single channel."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.support.histories import EMAIL, ONE, TWO, create_alice_with_history, history, phone
from tests.support.http import ok, refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio


async def test_as_of_returns_the_channels_after_each_event(api: Api) -> None:
    """An event is included at its own time, and not a microsecond before."""
    uuid = await create_alice_with_history(api)
    at = [event["at"] for event in (await history(api, uuid))["events"]][::-1]
    after = [
        [ONE],
        [ONE, TWO],
        [ONE, "12125550199"],
        ["12125550199"],
        ["12125550199", EMAIL],
        [],
    ]
    path = f"/x/contact/{uuid}/channels?as_of="
    for time, expected, before in zip(at, after, [[], *after], strict=False):
        channels = await ok(api, "GET", path + time)
        assert [channel["channel_id"] for channel in channels] == expected
        earlier = await ok(api, "GET", path + microsecond_before(time))
        assert [channel["channel_id"] for channel in earlier] == before
    assert await ok(api, "GET", path + "2001-01-01T00:00:00Z") == []


def microsecond_before(time: str) -> str:
    whole, _, micros = time.removesuffix("Z").partition(".")
    parsed = datetime.fromisoformat(f"{whole}.{micros}+00:00") - timedelta(microseconds=1)
    return parsed.isoformat(timespec="microseconds").replace("+00:00", "Z")


async def test_as_of_returns_the_response_of_that_time(api: Api) -> None:
    """Compares every field of each channel, including `primary`."""
    uuid = await api.contact(("phone", ONE), ("phone", TWO))
    path = f"/x/contact/{uuid}/channels"
    seen = []
    for method, tail, body in [
        ("PATCH", "", {"label": "home", "consent": "opted_in"}),
        ("PATCH", "", {"held": True, "held_reason": "bounced", "info_channel": "a"}),
        ("POST", "/primary", None),
        ("PATCH", "", {"held": False, "channel_handle": "al"}),
    ]:
        api.clock.forward(1)
        second = (await ok(api, "GET", path))[1]["id"]
        await ok(api, method, f"/x/contact/{uuid}/channel/{second}{tail}", body)
        updated = (await ok(api, "GET", f"/v2/contact/{uuid}"))["updated"]
        seen.append((updated, await ok(api, "GET", path)))

    for time, channels in seen:
        assert await ok(api, "GET", f"{path}?as_of={time}") == channels
        for channel in channels:
            url = f"/x/contact/{uuid}/channel/{channel['id']}?as_of={time}"
            assert await ok(api, "GET", url) == channel


async def test_a_channel_is_404_before_its_creation_and_after_its_removal(api: Api) -> None:
    uuid = await api.contact()
    api.clock.forward(1)
    [channel] = await ok(api, "POST", f"/v2/contact/{uuid}/channel", phone(ONE))
    path = f"/x/contact/{uuid}/channel/{channel['id']}"
    api.clock.forward(1)
    await ok(api, "DELETE", path)
    created, added, removed = [event["at"] for event in (await history(api, uuid))["events"]][::-1]

    assert (await ok(api, "GET", f"{path}?as_of={added}"))["channel_id"] == ONE
    for time in (microsecond_before(created), created, microsecond_before(added), removed):
        assert refusal(await api.request("GET", f"{path}?as_of={time}")) == (404, "no_channel")


async def test_as_of_the_contacts_own_updated_is_accepted(api: Api) -> None:
    """After two changes within one tick of the clock, `updated` is a microsecond ahead of it."""
    uuid = await api.contact()
    await ok(api, "POST", f"/v2/contact/{uuid}/channel", phone(ONE))
    updated = (await ok(api, "GET", f"/v2/contact/{uuid}"))["updated"]

    channels = await ok(api, "GET", f"/x/contact/{uuid}/channels?as_of={updated}")

    assert [channel["channel_id"] for channel in channels] == [ONE]


async def test_as_of_accepts_any_offset(api: Api) -> None:
    api.clock.set("2026-01-02T10:00:00+00:00")
    uuid = await api.contact(("phone", ONE))
    path = f"/x/contact/{uuid}/channels?as_of="
    for text in (
        "2026-01-02T10:00:00Z",
        "2026-01-02t10:00:00.000000z",
        "2026-01-02T12:00:00%2B02:00",
        "2026-01-02T05:00:00-05:00",
    ):
        assert len(await ok(api, "GET", path + text)) == 1
    plain = await api.request("GET", f"{path}2026-01-02T12:00:00+02:00")
    assert "%2B" in plain.json()["message"]
    wrong = await api.request("GET", f"{path}yesterday")
    assert "%2B" not in wrong.json()["message"]


async def test_the_error_for_a_date_in_a_body_does_not_mention_queries(api: Api) -> None:
    for date in ("2026-01-02T12:00:00 02:00", "2026-01-02", "x"):
        response = await api.request("POST", "/v2/contacts/list", {"date": date})

        assert (response.status_code, list(response.json()["fields"])) == (400, ["date"])
        assert not {"query", "%2B"} & set(response.json()["message"].split())
