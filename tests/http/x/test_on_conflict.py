"""`?on_conflict=move`: the address changes hands in one commit, and both contacts tell of it."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.http import ok, refusal
from tests.support.personas import Book

pytestmark = pytest.mark.anyio

ONE, TWO, EMAIL = "15105553344", "14155551234", "alice@example.com"
PHONE = {"channel_type": "phone", "channel_id": ONE}
MOVE = "?on_conflict=move"


async def held(book: Book, uuid: str) -> list[str]:
    return [one["channel_id"] for one in await ok(book, "GET", f"/v2/contact/{uuid}/channels")]


async def owner_of_one(book: Book, *others: tuple[str, str]) -> str:
    """A contact with a phone that is held and opted in."""
    uuid = await book.contact(("phone", ONE), *others)
    [first, *_] = await ok(book, "GET", f"/x/contact/{uuid}/channels")
    told = {"held": True, "consent": "opted_in", "consent_source": "form", "label": "home"}
    await ok(book, "PATCH", f"/x/contact/{uuid}/channel/{first['id']}", told)
    return uuid


async def kinds(book: Book, uuid: str) -> list[str]:
    told = await ok(book, "GET", f"/x/contact/{uuid}/history")
    return [one["kind"] for one in told["events"]]


async def moves(book: Book, way: str, taker: str) -> str:
    """Take the phone in one of the ways that add an address; who has it then."""
    if way == "POST channel":
        await ok(book, "POST", f"/v2/contact/{taker}/channel{MOVE}", PHONE)
    elif way == "PUT channel":
        await ok(book, "PUT", f"/v2/contact/{taker}/channel{MOVE}", PHONE)
    elif way == "PUT phone":
        await ok(book, "PUT", f"/v2/contact/{taker}{MOVE}", {"phone": ONE})
    elif way == "PUT list":
        await ok(book, "PUT", f"/v2/contact/{taker}{MOVE}", {"contact_channels": [PHONE]})
    elif way == "POST contact":
        taker = (await ok(book, "POST", f"/v2/contact{MOVE}", {"phone": ONE}))["uuid"]
    elif way == "bulk update":
        rows = {"contacts": [{"contact_id": taker, "phone": ONE}]}
        taker = (await ok(book, "POST", f"/v2/contacts{MOVE}", rows))["contacts"][0]["uuid"]
    else:
        rows = {"contacts": [{"phone": ONE}]}
        taker = (await ok(book, "POST", f"/v2/contacts{MOVE}", rows))["contacts"][0]["uuid"]
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
async def test_it_works(book: Book, way: str) -> None:
    """Consent and hold stay behind; one revision and one event on each contact."""
    owner = await owner_of_one(book, ("email", EMAIL))
    other = await book.contact(("phone", TWO))

    taker = await moves(book, way, other)

    assert await held(book, owner) == [EMAIL]
    assert ONE in await held(book, taker)
    [moved] = [
        one
        for one in await ok(book, "GET", f"/x/contact/{taker}/channels")
        if one["channel_id"] == ONE
    ]
    assert (moved["held"], moved["held_reason"], moved["consent"]) == (False, None, "unknown")
    assert (moved["consent_source"], moved["consent_at"]) == ("", None)
    assert await kinds(book, owner) == [
        "channel_moved_away",
        "channel_updated",
        "contact_created",
    ]
    made = taker != other
    assert await kinds(book, taker) == (
        ["contact_created"] if made else ["channel_moved_here", "contact_created"]
    )
    revs = [(await ok(book, "GET", f"/v2/contact/{one}"))["rev"] for one in (owner, taker)]
    assert revs == [3, 1 if made else 2]


async def test_both_events_tell_what_moved_by_whom_at_once(book: Book) -> None:
    owner, taker = await book.contact(("phone", ONE)), await book.contact()
    by = {**book.bob.by_key(), "x-request-id": "the-move"}
    await book.ask("POST", f"/v2/contact/{taker}/channel{MOVE}", PHONE, by=by)

    told = [
        (await ok(book, "GET", f"/x/contact/{one}/history"))["events"][0] for one in (owner, taker)
    ]

    away, here = told
    assert [one["channel_id"] for one in away["before"]["channels"]] == [ONE]
    assert away["after"]["channels"] == []
    assert here["before"]["channels"] == []
    assert [one["channel_id"] for one in here["after"]["channels"]] == [ONE]
    assert {one["request_id"] for one in told} == {"the-move"}
    assert {one["actor"]["credential_id"] for one in told} == {book.bob.key.id}
    feed = (await ok(book, "GET", "/x/events"))["events"]
    assert sorted(one["kind"] for one in feed[-2:]) == ["channel_moved_away", "channel_moved_here"]


@pytest.mark.parametrize("way", EVERY_WAY)
async def test_as_of_any_moment_the_address_has_one_owner(book: Book, way: str) -> None:
    """Also when the owner was changed by a host whose clock is ahead."""
    book.clock.forward(5)
    owner = await owner_of_one(book)
    book.clock.forward(-4)
    other = await book.contact(("phone", TWO))

    taker = await moves(book, way, other)

    [away, here] = [
        (await ok(book, "GET", f"/x/contact/{one}/history"))["events"][0] for one in (owner, taker)
    ]
    assert away["at"] == here["at"]
    stood = [
        await ok(book, "GET", f"/x/contact/{one}/channels?as_of={here['at']}")
        for one in (owner, taker)
    ]
    assert [sum(one["channel_id"] == ONE for one in some) for some in stood] == [0, 1]


@pytest.mark.parametrize("query", ["", "?on_conflict=refuse"])
async def test_to_refuse_is_the_default(book: Book, query: str) -> None:
    owner = await owner_of_one(book)
    taker = await book.contact(("phone", TWO))
    for method, path, body in [
        ("POST", f"/v2/contact/{taker}/channel", PHONE),
        ("PUT", f"/v2/contact/{taker}/channel", PHONE),
        ("PUT", f"/v2/contact/{taker}", {"phone": ONE}),
        ("POST", "/v2/contact", {"phone": ONE}),
    ]:
        answer = await book.ask(method, path + query, body)

        assert refusal(answer) == (409, "address_taken"), (method, path)
        assert answer.json()["conflicting_contact_id"] == owner
        assert answer.json()["channel_id"] == ONE
    assert await held(book, owner) == [ONE]


@pytest.mark.parametrize("value", ["", "Move", "steal"])
async def test_another_choice_is_refused(book: Book, value: str) -> None:
    answer = await book.ask("POST", f"/v2/contact?on_conflict={value}", {})

    assert refusal(answer) == (400, "bad_value")
    assert list(answer.json()["fields"]) == ["on_conflict"]


async def test_what_nobody_owns_is_just_added(book: Book) -> None:
    uuid = await book.contact()
    await ok(book, "POST", f"/v2/contact/{uuid}/channel{MOVE}", PHONE)
    again = await ok(book, "POST", f"/v2/contact/{uuid}/channel{MOVE}", PHONE)

    assert len(again) == 1
    assert await kinds(book, uuid) == ["channel_added", "contact_created"]


async def test_a_twin_in_the_same_contact_does_not_move(book: Book) -> None:
    uuid = await book.contact(("phone", ONE), ("phone", TWO))
    answer = await book.ask("PUT", f"/v2/contact/{uuid}/channel{MOVE}&channel_id={TWO}", PHONE)

    assert refusal(answer) == (409, "address_taken")
    assert answer.json()["conflicting_contact_id"] == uuid
    assert await held(book, uuid) == [ONE, TWO]


async def test_several_addresses_move_in_one_commit(book: Book) -> None:
    """From one owner and from another; each of them tells it in one event."""
    first = await book.contact(("phone", ONE), ("email", EMAIL), ("facebook", "1"))
    second = await book.contact(("phone", TWO))
    taker = await book.contact()
    body = {
        "email": EMAIL,
        "phone": ONE,
        "contact_channels": [{"channel_type": "phone", "channel_id": TWO}],
    }

    after = await ok(book, "PUT", f"/v2/contact/{taker}{MOVE}", body)

    assert sorted(one["channel_id"] for one in after["contact_channels"]) == [TWO, ONE, EMAIL]
    assert (await held(book, first), await held(book, second)) == (["1"], [])
    for one in (first, second):
        assert await kinds(book, one) == ["channel_moved_away", "contact_created"]
        assert (await ok(book, "GET", f"/v2/contact/{one}"))["rev"] == 2
    assert await kinds(book, taker) == ["channel_moved_here", "contact_created"]


async def test_what_cannot_move_stays_a_conflict_and_nothing_moves(book: Book) -> None:
    """An external id is not an address."""
    owner = await book.contact(("phone", ONE))
    await ok(book, "PUT", f"/v2/contact/{owner}", {"external_id": "crm-1"})
    taker = await book.contact()
    for body in ({"external_id": "crm-1"}, {"external_id": "crm-1", "phone": ONE}):
        for method, path in [("POST", "/v2/contact"), ("PUT", f"/v2/contact/{taker}")]:
            answer = await book.ask(method, path + MOVE, body)

            assert refusal(answer) == (409, "external_id_taken"), (method, body)
            assert answer.json()["conflicting_contact_id"] == owner
    assert await held(book, owner) == [ONE]
    assert (await ok(book, "GET", f"/v2/contact/{owner}"))["rev"] == 2


async def test_a_move_under_an_old_revision_is_refused(book: Book) -> None:
    owner, taker = await book.contact(("phone", ONE)), await book.contact()
    by = {**book.bob.by_key(), "if-match": '"7-string_ids"'}

    answer = await book.ask("POST", f"/v2/contact/{taker}/channel{MOVE}", PHONE, by=by)

    assert refusal(answer) == (412, "stale_revision")
    assert await held(book, owner) == [ONE]


async def test_a_retry_of_a_move_takes_nothing_back(book: Book) -> None:
    """The address has moved on since; the answer is still the one that was given."""
    await book.contact(("phone", ONE))
    taker, third = await book.contact(), await book.contact()
    by = {**book.bob.by_key(), "idempotency-key": "k"}
    path = f"/v2/contact/{taker}/channel{MOVE}"
    first = await book.ask("POST", path, PHONE, by=by)
    await ok(book, "POST", f"/v2/contact/{third}/channel{MOVE}", PHONE)

    again = await book.ask("POST", path, PHONE, by=by)

    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert (await held(book, taker), await held(book, third)) == ([], [ONE])


async def test_an_address_moved_by_many_at_once_has_one_owner(book: Book) -> None:
    contacts = [await book.contact() for _ in range(6)]
    paths = [f"/v2/contact/{one}/channel{MOVE}" for one in contacts]

    await asyncio.gather(*(ok(book, "POST", path, PHONE) for path in paths * 2))

    assert sorted([await held(book, one) for one in contacts]) == [[], [], [], [], [], [ONE]]
    here = sum([(await kinds(book, one)).count("channel_moved_here") for one in contacts])
    away = sum([(await kinds(book, one)).count("channel_moved_away") for one in contacts])
    assert here == away


async def test_an_address_of_another_team_does_not_move(book: Book) -> None:
    uuid = await book.contact(("phone", ONE))
    by = book.charlie.by_key()
    own = await book.contact(by=by)

    answer = await book.ask("POST", f"/v2/contact/{own}/channel{MOVE}", PHONE, by=by)

    assert answer.status_code == 200
    assert await held(book, uuid) == [ONE]
    assert await kinds(book, uuid) == ["contact_created"]
    foreign = await book.ask("POST", f"/v2/contact/{uuid}/channel{MOVE}", PHONE, by=by)
    assert refusal(foreign) == (404, "no_contact")
