"""`?on_conflict=move`: the address changes hands in one commit, and both contacts tell of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.http import ok, refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

ONE, TWO, EMAIL = "15105553344", "14155551234", "alice@example.com"
PHONE = {"channel_type": "phone", "channel_id": ONE}
MOVE = "?on_conflict=move"


async def held(api: Api, uuid: str) -> list[str]:
    return [one["channel_id"] for one in await ok(api, "GET", f"/v2/contact/{uuid}/channels")]


async def owner_of_one(api: Api, *others: tuple[str, str]) -> str:
    """A contact with a phone that is held and opted in."""
    uuid = await api.contact(("phone", ONE), *others)
    [first, *_] = await ok(api, "GET", f"/x/contact/{uuid}/channels")
    told = {"held": True, "consent": "opted_in", "consent_source": "form", "label": "home"}
    await ok(api, "PATCH", f"/x/contact/{uuid}/channel/{first['id']}", told)
    return uuid


async def kinds(api: Api, uuid: str) -> list[str]:
    told = await ok(api, "GET", f"/x/contact/{uuid}/history")
    return [one["kind"] for one in told["events"]]


async def moves(api: Api, way: str, taker: str) -> str:
    """Take the phone in one of the ways that add an address; who has it then."""
    if way == "POST channel":
        await ok(api, "POST", f"/v2/contact/{taker}/channel{MOVE}", PHONE)
    elif way == "PUT channel":
        await ok(api, "PUT", f"/v2/contact/{taker}/channel{MOVE}", PHONE)
    elif way == "PUT phone":
        await ok(api, "PUT", f"/v2/contact/{taker}{MOVE}", {"phone": ONE})
    elif way == "PUT list":
        await ok(api, "PUT", f"/v2/contact/{taker}{MOVE}", {"contact_channels": [PHONE]})
    elif way == "POST contact":
        taker = (await ok(api, "POST", f"/v2/contact{MOVE}", {"phone": ONE}))["uuid"]
    elif way == "bulk update":
        rows = {"contacts": [{"contact_id": taker, "phone": ONE}]}
        taker = (await ok(api, "POST", f"/v2/contacts{MOVE}", rows))["contacts"][0]["uuid"]
    else:
        rows = {"contacts": [{"phone": ONE}]}
        taker = (await ok(api, "POST", f"/v2/contacts{MOVE}", rows))["contacts"][0]["uuid"]
    return taker


EVERY_WAY = [
    "POST channel",
    "PUT channel",
    "PUT phone",
    "PUT list",
    "POST contact",
    "bulk update",
    "bulk create",
]


@pytest.mark.parametrize("way", EVERY_WAY)
async def test_it_works(api: Api, way: str) -> None:
    """Consent and hold stay behind; one revision and one event on each contact."""
    owner = await owner_of_one(api, ("email", EMAIL))
    other = await api.contact(("phone", TWO))

    taker = await moves(api, way, other)

    assert await held(api, owner) == [EMAIL]
    assert ONE in await held(api, taker)
    [moved] = [
        one
        for one in await ok(api, "GET", f"/x/contact/{taker}/channels")
        if one["channel_id"] == ONE
    ]
    assert (moved["held"], moved["held_reason"], moved["consent"]) == (False, None, "unknown")
    assert (moved["consent_source"], moved["consent_at"]) == ("", None)
    assert await kinds(api, owner) == [
        "channel_moved_away",
        "channel_updated",
        "contact_created",
    ]
    made = taker != other
    assert await kinds(api, taker) == (
        ["contact_created"] if made else ["channel_moved_here", "contact_created"]
    )
    revs = [(await ok(api, "GET", f"/v2/contact/{one}"))["rev"] for one in (owner, taker)]
    assert revs == [3, 1 if made else 2]


async def test_both_events_tell_what_moved_by_whom_at_once(api: Api) -> None:
    owner, taker = await api.contact(("phone", ONE)), await api.contact()
    by = {**api.bob.by_key(), "x-request-id": "the-move"}
    await api.request("POST", f"/v2/contact/{taker}/channel{MOVE}", PHONE, by=by)

    told = [
        (await ok(api, "GET", f"/x/contact/{one}/history"))["events"][0] for one in (owner, taker)
    ]

    away, here = told
    assert [one["channel_id"] for one in away["before"]["channels"]] == [ONE]
    assert away["after"]["channels"] == []
    assert here["before"]["channels"] == []
    assert [one["channel_id"] for one in here["after"]["channels"]] == [ONE]
    assert {one["request_id"] for one in told} == {"the-move"}
    assert {one["actor"]["credential_id"] for one in told} == {api.bob.key.id}
    feed = (await ok(api, "GET", "/x/events"))["events"]
    assert sorted(one["kind"] for one in feed[-2:]) == ["channel_moved_away", "channel_moved_here"]


@pytest.mark.parametrize("way", EVERY_WAY)
async def test_as_of_any_moment_the_address_has_one_owner(api: Api, way: str) -> None:
    """Also when the owner was changed by a host whose clock is ahead."""
    api.clock.forward(5)
    owner = await owner_of_one(api)
    api.clock.forward(-4)
    other = await api.contact(("phone", TWO))

    taker = await moves(api, way, other)

    [away, here] = [
        (await ok(api, "GET", f"/x/contact/{one}/history"))["events"][0] for one in (owner, taker)
    ]
    assert away["at"] == here["at"]
    stood = [
        await ok(api, "GET", f"/x/contact/{one}/channels?as_of={here['at']}")
        for one in (owner, taker)
    ]
    assert [sum(one["channel_id"] == ONE for one in some) for some in stood] == [0, 1]


@pytest.mark.parametrize("query", ["", "?on_conflict=refuse"])
async def test_to_refuse_is_the_default(api: Api, query: str) -> None:
    owner = await owner_of_one(api)
    taker = await api.contact(("phone", TWO))
    for method, path, body in [
        ("POST", f"/v2/contact/{taker}/channel", PHONE),
        ("PUT", f"/v2/contact/{taker}/channel", PHONE),
        ("PUT", f"/v2/contact/{taker}", {"phone": ONE}),
        ("POST", "/v2/contact", {"phone": ONE}),
    ]:
        answer = await api.request(method, path + query, body)

        assert refusal(answer) == (409, "address_taken"), (method, path)
        assert answer.json()["conflicting_contact_id"] == owner
        assert answer.json()["channel_id"] == ONE
    assert await held(api, owner) == [ONE]


@pytest.mark.parametrize("value", ["", "Move", "steal"])
async def test_another_choice_is_refused(api: Api, value: str) -> None:
    answer = await api.request("POST", f"/v2/contact?on_conflict={value}", {})

    assert refusal(answer) == (400, "bad_value")
    assert list(answer.json()["fields"]) == ["on_conflict"]


async def test_what_nobody_owns_is_just_added(api: Api) -> None:
    uuid = await api.contact()
    await ok(api, "POST", f"/v2/contact/{uuid}/channel{MOVE}", PHONE)
    again = await ok(api, "POST", f"/v2/contact/{uuid}/channel{MOVE}", PHONE)

    assert len(again) == 1
    assert await kinds(api, uuid) == ["channel_added", "contact_created"]


async def test_a_twin_in_the_same_contact_does_not_move(api: Api) -> None:
    uuid = await api.contact(("phone", ONE), ("phone", TWO))
    answer = await api.request("PUT", f"/v2/contact/{uuid}/channel{MOVE}&channel_id={TWO}", PHONE)

    assert refusal(answer) == (409, "address_taken")
    assert answer.json()["conflicting_contact_id"] == uuid
    assert await held(api, uuid) == [ONE, TWO]


async def test_several_addresses_move_in_one_commit(api: Api) -> None:
    """From one owner and from another; each of them tells it in one event."""
    first = await api.contact(("phone", ONE), ("email", EMAIL), ("facebook", "1"))
    second = await api.contact(("phone", TWO))
    taker = await api.contact()
    body = {
        "email": EMAIL,
        "phone": ONE,
        "contact_channels": [{"channel_type": "phone", "channel_id": TWO}],
    }

    after = await ok(api, "PUT", f"/v2/contact/{taker}{MOVE}", body)

    assert sorted(one["channel_id"] for one in after["contact_channels"]) == [TWO, ONE, EMAIL]
    assert (await held(api, first), await held(api, second)) == (["1"], [])
    for one in (first, second):
        assert await kinds(api, one) == ["channel_moved_away", "contact_created"]
        assert (await ok(api, "GET", f"/v2/contact/{one}"))["rev"] == 2
    assert await kinds(api, taker) == ["channel_moved_here", "contact_created"]


async def test_what_cannot_move_stays_a_conflict_and_nothing_moves(api: Api) -> None:
    """An external id is not an address."""
    owner = await api.contact(("phone", ONE))
    await ok(api, "PUT", f"/v2/contact/{owner}", {"external_id": "crm-1"})
    taker = await api.contact()
    for body in ({"external_id": "crm-1"}, {"external_id": "crm-1", "phone": ONE}):
        for method, path in [("POST", "/v2/contact"), ("PUT", f"/v2/contact/{taker}")]:
            answer = await api.request(method, path + MOVE, body)

            assert refusal(answer) == (409, "external_id_taken"), (method, body)
            assert answer.json()["conflicting_contact_id"] == owner
    assert await held(api, owner) == [ONE]
    assert (await ok(api, "GET", f"/v2/contact/{owner}"))["rev"] == 2


async def test_a_move_under_an_old_revision_is_refused(api: Api) -> None:
    owner, taker = await api.contact(("phone", ONE)), await api.contact()
    by = {**api.bob.by_key(), "if-match": '"7-string_ids"'}

    answer = await api.request("POST", f"/v2/contact/{taker}/channel{MOVE}", PHONE, by=by)

    assert refusal(answer) == (412, "stale_revision")
    assert await held(api, owner) == [ONE]


async def test_a_retry_of_a_move_takes_nothing_back(api: Api) -> None:
    """The address has moved on since; the answer is still the one that was given."""
    await api.contact(("phone", ONE))
    taker, third = await api.contact(), await api.contact()
    by = {**api.bob.by_key(), "idempotency-key": "k"}
    path = f"/v2/contact/{taker}/channel{MOVE}"
    first = await api.request("POST", path, PHONE, by=by)
    await ok(api, "POST", f"/v2/contact/{third}/channel{MOVE}", PHONE)

    again = await api.request("POST", path, PHONE, by=by)

    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert (await held(api, taker), await held(api, third)) == ([], [ONE])


async def test_an_address_moved_by_many_at_once_has_one_owner(api: Api) -> None:
    contacts = [await api.contact() for _ in range(6)]
    paths = [f"/v2/contact/{one}/channel{MOVE}" for one in contacts]

    await asyncio.gather(*(ok(api, "POST", path, PHONE) for path in paths * 2))

    assert sorted([await held(api, one) for one in contacts]) == [[], [], [], [], [], [ONE]]
    here = sum([(await kinds(api, one)).count("channel_moved_here") for one in contacts])
    away = sum([(await kinds(api, one)).count("channel_moved_away") for one in contacts])
    assert here == away


async def test_an_address_of_another_team_does_not_move(api: Api) -> None:
    uuid = await api.contact(("phone", ONE))
    by = api.charlie.by_key()
    own = await api.contact(by=by)

    answer = await api.request("POST", f"/v2/contact/{own}/channel{MOVE}", PHONE, by=by)

    assert answer.status_code == 200
    assert await held(api, uuid) == [ONE]
    assert await kinds(api, uuid) == ["contact_created"]
    foreign = await api.request("POST", f"/v2/contact/{uuid}/channel{MOVE}", PHONE, by=by)
    assert refusal(foreign) == (404, "no_contact")
