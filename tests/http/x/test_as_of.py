"""How a contact stood at a moment: `?as_of=` on its channels, and on one of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.support.histories import EMAIL, ONE, TWO, history, phone, told_of_alice
from tests.support.http import ok, refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio


async def test_as_of_answers_for_every_moment(api: Api) -> None:
    """The very instant of an event is included; a microsecond before it is not."""
    uuid = await told_of_alice(api)
    at = [one["at"] for one in (await history(api, uuid))["events"]][::-1]
    after = [
        [ONE],
        [ONE, TWO],
        [ONE, "12125550199"],
        ["12125550199"],
        ["12125550199", EMAIL],
        [],
    ]
    path = f"/x/contact/{uuid}/channels?as_of="
    for moment, expected, before in zip(at, after, [[], *after], strict=False):
        stood = await ok(api, "GET", path + moment)
        assert [one["channel_id"] for one in stood] == expected
        earlier = await ok(api, "GET", path + just_before(moment))
        assert [one["channel_id"] for one in earlier] == before
    assert await ok(api, "GET", path + "2001-01-01T00:00:00Z") == []


def just_before(moment: str) -> str:
    whole, _, micros = moment.removesuffix("Z").partition(".")
    exact = datetime.fromisoformat(f"{whole}.{micros}+00:00") - timedelta(microseconds=1)
    return exact.isoformat(timespec="microseconds").replace("+00:00", "Z")


async def test_the_past_is_what_the_present_was(api: Api) -> None:
    """All that we know of each channel, and which one was primary."""
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

    for moment, stood in seen:
        assert await ok(api, "GET", f"{path}?as_of={moment}") == stood
        for one in stood:
            exactly = f"/x/contact/{uuid}/channel/{one['id']}?as_of={moment}"
            assert await ok(api, "GET", exactly) == one


async def test_one_channel_is_404_before_it_came_and_after_it_went(api: Api) -> None:
    uuid = await api.contact()
    api.clock.forward(1)
    [one] = await ok(api, "POST", f"/v2/contact/{uuid}/channel", phone(ONE))
    path = f"/x/contact/{uuid}/channel/{one['id']}"
    api.clock.forward(1)
    await ok(api, "DELETE", path)
    created, came, went = [one["at"] for one in (await history(api, uuid))["events"]][::-1]

    assert (await ok(api, "GET", f"{path}?as_of={came}"))["channel_id"] == ONE
    for moment in (just_before(created), created, just_before(came), went):
        assert refusal(await api.request("GET", f"{path}?as_of={moment}")) == (404, "no_channel")


async def test_a_moment_that_the_contact_lived_through_is_no_future(api: Api) -> None:
    """Two changes within one tick of the clock: the second lies a microsecond ahead of it."""
    uuid = await api.contact()
    await ok(api, "POST", f"/v2/contact/{uuid}/channel", phone(ONE))
    updated = (await ok(api, "GET", f"/v2/contact/{uuid}"))["updated"]

    stood = await ok(api, "GET", f"/x/contact/{uuid}/channels?as_of={updated}")

    assert [one["channel_id"] for one in stood] == [ONE]


async def test_any_offset_will_do(api: Api) -> None:
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


async def test_the_date_of_a_body_is_refused_without_a_word_of_queries(api: Api) -> None:
    for date in ("2026-01-02T12:00:00 02:00", "2026-01-02", "x"):
        answer = await api.request("POST", "/v2/contacts/list", {"date": date})

        assert (answer.status_code, list(answer.json()["fields"])) == (400, ["date"])
        assert not {"query", "%2B"} & set(answer.json()["message"].split())
