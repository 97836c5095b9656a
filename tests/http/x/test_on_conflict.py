"""`?on_conflict=move`: the address moves in one commit, and both contacts have an event."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.http import ok, refusal
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

ONE, TWO, EMAIL = "15105553344", "14155551234", "alice@example.com"
PHONE = {"channel_type": "phone", "channel_id": ONE}
MOVE = "?on_conflict=move"


async def addresses_of(api: Api, uuid: str) -> list[str]:
    return [
        channel["channel_id"] for channel in await ok(api, "GET", f"/v2/contact/{uuid}/channels")
    ]


async def create_owner(api: Api, *others: tuple[str, str]) -> str:
    """Creates a contact with a phone that is held and opted in."""
    uuid = await api.contact(("phone", ONE), *others)
    [first, *_] = await ok(api, "GET", f"/x/contact/{uuid}/channels")
    fields = {"held": True, "consent": "opted_in", "consent_source": "form", "label": "home"}
    await ok(api, "PATCH", f"/x/contact/{uuid}/channel/{first['id']}", fields)
    return uuid


async def event_kinds(api: Api, uuid: str) -> list[str]:
    page = await ok(api, "GET", f"/x/contact/{uuid}/history")
    return [event["kind"] for event in page["events"]]


async def move_phone(api: Api, operation: str, new_owner: str) -> str:
    """Moves the phone by one kind of request, and returns the UUID of its new owner."""
    if operation == "POST channel":
        await ok(api, "POST", f"/v2/contact/{new_owner}/channel{MOVE}", PHONE)
    elif operation == "PUT channel":
        await ok(api, "PUT", f"/v2/contact/{new_owner}/channel{MOVE}", PHONE)
    elif operation == "PUT phone":
        await ok(api, "PUT", f"/v2/contact/{new_owner}{MOVE}", {"phone": ONE})
    elif operation == "PUT list":
        await ok(api, "PUT", f"/v2/contact/{new_owner}{MOVE}", {"contact_channels": [PHONE]})
    elif operation == "POST contact":
        new_owner = (await ok(api, "POST", f"/v2/contact{MOVE}", {"phone": ONE}))["uuid"]
    elif operation == "bulk update":
        rows = {"contacts": [{"contact_id": new_owner, "phone": ONE}]}
        new_owner = (await ok(api, "POST", f"/v2/contacts{MOVE}", rows))["contacts"][0]["uuid"]
    else:
        rows = {"contacts": [{"phone": ONE}]}
        new_owner = (await ok(api, "POST", f"/v2/contacts{MOVE}", rows))["contacts"][0]["uuid"]
    return new_owner


OPERATIONS = [
    "POST channel",
    "PUT channel",
    "PUT phone",
    "PUT list",
    "POST contact",
    "bulk update",
    "bulk create",
]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_move_takes_the_address_without_consent_and_hold(api: Api, operation: str) -> None:
    """Each contact gets one new revision and one event."""
    owner = await create_owner(api, ("email", EMAIL))
    other = await api.contact(("phone", TWO))

    new_owner = await move_phone(api, operation, other)

    assert await addresses_of(api, owner) == [EMAIL]
    assert ONE in await addresses_of(api, new_owner)
    [moved] = [
        channel
        for channel in await ok(api, "GET", f"/x/contact/{new_owner}/channels")
        if channel["channel_id"] == ONE
    ]
    assert (moved["held"], moved["held_reason"], moved["consent"]) == (False, None, "unknown")
    assert (moved["consent_source"], moved["consent_at"]) == ("", None)
    assert await event_kinds(api, owner) == [
        "channel_moved_away",
        "channel_updated",
        "contact_created",
    ]
    created = new_owner != other
    assert await event_kinds(api, new_owner) == (
        ["contact_created"] if created else ["channel_moved_here", "contact_created"]
    )
    revs = [(await ok(api, "GET", f"/v2/contact/{uuid}"))["rev"] for uuid in (owner, new_owner)]
    assert revs == [3, 1 if created else 2]


async def test_both_events_of_a_move_have_channel_actor_and_request_id(api: Api) -> None:
    owner, new_owner = await api.contact(("phone", ONE)), await api.contact()
    by = {**api.bob.by_key(), "x-request-id": "the-move"}
    await api.request("POST", f"/v2/contact/{new_owner}/channel{MOVE}", PHONE, by=by)

    events = [
        (await ok(api, "GET", f"/x/contact/{uuid}/history"))["events"][0]
        for uuid in (owner, new_owner)
    ]

    from_owner, to_new_owner = events
    assert [channel["channel_id"] for channel in from_owner["before"]["channels"]] == [ONE]
    assert from_owner["after"]["channels"] == []
    assert to_new_owner["before"]["channels"] == []
    assert [channel["channel_id"] for channel in to_new_owner["after"]["channels"]] == [ONE]
    assert {uuid["request_id"] for uuid in events} == {"the-move"}
    assert {event["actor"]["credential_id"] for event in events} == {api.bob.key.id}
    feed = (await ok(api, "GET", "/x/events"))["events"]
    assert sorted(event["kind"] for event in feed[-2:]) == [
        "channel_moved_away",
        "channel_moved_here",
    ]


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_as_of_the_move_the_address_has_one_owner(api: Api, operation: str) -> None:
    """This holds even if the owner was last changed by a host whose clock is ahead."""
    api.clock.forward(5)
    owner = await create_owner(api)
    api.clock.forward(-4)
    other = await api.contact(("phone", TWO))

    new_owner = await move_phone(api, operation, other)

    [away, here] = [
        (await ok(api, "GET", f"/x/contact/{uuid}/history"))["events"][0]
        for uuid in (owner, new_owner)
    ]
    assert away["at"] == here["at"]
    states = [
        await ok(api, "GET", f"/x/contact/{uuid}/channels?as_of={here['at']}")
        for uuid in (owner, new_owner)
    ]
    assert [sum(channel["channel_id"] == ONE for channel in channels) for channels in states] == [
        0,
        1,
    ]


@pytest.mark.parametrize("query", ["", "?on_conflict=refuse"])
async def test_a_conflict_is_refused_by_default(api: Api, query: str) -> None:
    owner = await create_owner(api)
    new_owner = await api.contact(("phone", TWO))
    for method, path, body in [
        ("POST", f"/v2/contact/{new_owner}/channel", PHONE),
        ("PUT", f"/v2/contact/{new_owner}/channel", PHONE),
        ("PUT", f"/v2/contact/{new_owner}", {"phone": ONE}),
        ("POST", "/v2/contact", {"phone": ONE}),
    ]:
        response = await api.request(method, path + query, body)

        assert refusal(response) == (409, "address_taken"), (method, path)
        assert response.json()["conflicting_contact_id"] == owner
        assert response.json()["channel_id"] == ONE
    assert await addresses_of(api, owner) == [ONE]


@pytest.mark.parametrize("value", ["", "Move", "steal"])
async def test_an_unknown_on_conflict_is_refused(api: Api, value: str) -> None:
    response = await api.request("POST", f"/v2/contact?on_conflict={value}", {})

    assert refusal(response) == (400, "bad_value")
    assert list(response.json()["fields"]) == ["on_conflict"]


async def test_an_address_without_an_owner_is_added(api: Api) -> None:
    uuid = await api.contact()
    await ok(api, "POST", f"/v2/contact/{uuid}/channel{MOVE}", PHONE)
    again = await ok(api, "POST", f"/v2/contact/{uuid}/channel{MOVE}", PHONE)

    assert len(again) == 1
    assert await event_kinds(api, uuid) == ["channel_added", "contact_created"]


async def test_an_address_does_not_move_between_channels_of_a_contact(api: Api) -> None:
    uuid = await api.contact(("phone", ONE), ("phone", TWO))
    response = await api.request("PUT", f"/v2/contact/{uuid}/channel{MOVE}&channel_id={TWO}", PHONE)

    assert refusal(response) == (409, "address_taken")
    assert response.json()["conflicting_contact_id"] == uuid
    assert await addresses_of(api, uuid) == [ONE, TWO]


async def test_several_addresses_move_in_one_commit(api: Api) -> None:
    """They come from two owners, and each owner gets one event."""
    first = await api.contact(("phone", ONE), ("email", EMAIL), ("facebook", "1"))
    second = await api.contact(("phone", TWO))
    new_owner = await api.contact()
    body = {
        "email": EMAIL,
        "phone": ONE,
        "contact_channels": [{"channel_type": "phone", "channel_id": TWO}],
    }

    after = await ok(api, "PUT", f"/v2/contact/{new_owner}{MOVE}", body)

    assert sorted(channel["channel_id"] for channel in after["contact_channels"]) == [
        TWO,
        ONE,
        EMAIL,
    ]
    assert (await addresses_of(api, first), await addresses_of(api, second)) == (["1"], [])
    for uuid in (first, second):
        assert await event_kinds(api, uuid) == ["channel_moved_away", "contact_created"]
        assert (await ok(api, "GET", f"/v2/contact/{uuid}"))["rev"] == 2
    assert await event_kinds(api, new_owner) == ["channel_moved_here", "contact_created"]


async def test_a_conflict_of_the_external_id_prevents_the_move(api: Api) -> None:
    """An external id is not an address, so it cannot be moved."""
    owner = await api.contact(("phone", ONE))
    await ok(api, "PUT", f"/v2/contact/{owner}", {"external_id": "crm-1"})
    new_owner = await api.contact()
    for body in ({"external_id": "crm-1"}, {"external_id": "crm-1", "phone": ONE}):
        for method, path in [("POST", "/v2/contact"), ("PUT", f"/v2/contact/{new_owner}")]:
            response = await api.request(method, path + MOVE, body)

            assert refusal(response) == (409, "external_id_taken"), (method, body)
            assert response.json()["conflicting_contact_id"] == owner
    assert await addresses_of(api, owner) == [ONE]
    assert (await ok(api, "GET", f"/v2/contact/{owner}"))["rev"] == 2


async def test_a_move_with_a_stale_if_match_is_refused(api: Api) -> None:
    owner, new_owner = await api.contact(("phone", ONE)), await api.contact()
    by = {**api.bob.by_key(), "if-match": '"7-string_ids"'}

    response = await api.request("POST", f"/v2/contact/{new_owner}/channel{MOVE}", PHONE, by=by)

    assert refusal(response) == (412, "stale_revision")
    assert await addresses_of(api, owner) == [ONE]


async def test_a_retry_of_a_move_does_not_move_the_address_again(api: Api) -> None:
    """The address has been moved to a third contact since; the stored response is returned."""
    await api.contact(("phone", ONE))
    new_owner, third = await api.contact(), await api.contact()
    by = {**api.bob.by_key(), "idempotency-key": "k"}
    path = f"/v2/contact/{new_owner}/channel{MOVE}"
    first = await api.request("POST", path, PHONE, by=by)
    await ok(api, "POST", f"/v2/contact/{third}/channel{MOVE}", PHONE)

    again = await api.request("POST", path, PHONE, by=by)

    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert (await addresses_of(api, new_owner), await addresses_of(api, third)) == ([], [ONE])


async def test_simultaneous_moves_leave_one_owner(api: Api) -> None:
    contacts = [await api.contact() for _ in range(6)]
    paths = [f"/v2/contact/{contact}/channel{MOVE}" for contact in contacts]

    await asyncio.gather(*(ok(api, "POST", path, PHONE) for path in paths * 2))

    assert sorted([await addresses_of(api, contact) for contact in contacts]) == [
        [],
        [],
        [],
        [],
        [],
        [ONE],
    ]
    moved_here = sum(
        [(await event_kinds(api, contact)).count("channel_moved_here") for contact in contacts]
    )
    moved_away = sum(
        [(await event_kinds(api, contact)).count("channel_moved_away") for contact in contacts]
    )
    assert moved_here == moved_away


async def test_an_address_of_another_team_does_not_move(api: Api) -> None:
    uuid = await api.contact(("phone", ONE))
    by = api.charlie.by_key()
    charlies = await api.contact(by=by)

    response = await api.request("POST", f"/v2/contact/{charlies}/channel{MOVE}", PHONE, by=by)

    assert response.status_code == 200
    assert await addresses_of(api, uuid) == [ONE]
    assert await event_kinds(api, uuid) == ["contact_created"]
    foreign = await api.request("POST", f"/v2/contact/{uuid}/channel{MOVE}", PHONE, by=by)
    assert refusal(foreign) == (404, "no_contact")
