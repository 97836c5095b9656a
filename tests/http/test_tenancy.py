"""Charlie must see nothing: what he is told of Bob's contacts is what he is told of none."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.personas import Book

pytestmark = pytest.mark.anyio

PHONE, EMAIL, PAGE = "15105553344", "alice@example.com", "page-1"
NEW = {"channel_type": "phone", "channel_id": "14155551234"}
OWNED = {"channel_type": "phone", "channel_id": PHONE}
EVERY_WAY = [
    ("POST", "/channel", NEW),
    ("POST", "/channel", OWNED),
    ("POST", "/channel", {**OWNED, "channel_handle": "seen"}),
    ("PUT", "/channel", NEW),
    ("PUT", "/channel", OWNED),
    ("PUT", f"/channel?channel_id={PHONE}", NEW),
    ("GET", "/channels", None),
    ("HEAD", "/channels", None),
    ("GET", "/channel/phone", None),
    ("HEAD", "/channel/phone", None),
    ("GET", f"/channel/phone?channel_id={PHONE}", None),
    ("GET", "/channel/email?representation=integer_ids", None),
    ("DELETE", "/channel/phone", None),
    ("DELETE", f"/channel/phone?channel_id={PHONE}", None),
    ("DELETE", "/channel/facebook", None),
    ("GET", "", None),
    ("HEAD", "", None),
    ("PUT", "", {"first": "Charlie"}),
    ("PATCH", "", {"first": "Charlie"}),
    ("DELETE", "", None),
    ("OPTIONS", "", None),
]


async def alice_of_bob(book: Book) -> str:
    """Bob's contact, with every kind of channel and several of one type."""
    body = {
        "external_id": "bob-1",
        "first": "Alice",
        "contact_channels": [
            OWNED,
            {"channel_type": "email", "channel_id": EMAIL},
            {"channel_type": "facebook", "channel_id": "100", "info_channel": PAGE},
            {"channel_type": "facebook", "channel_id": "200", "info_channel": PAGE},
        ],
    }
    answer = await book.ask("POST", "/v2/contact", body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["uuid"])


async def everything(book: Book, uuid: str) -> Any:
    answer = await book.ask("GET", f"/v2/contact/{uuid}?representation=integer_ids")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("credential", ["by_key", "by_jwt"])
async def test_a_foreign_contact_reads_as_one_that_does_not_exist(
    book: Book, credential: str
) -> None:
    """Byte for byte, headers included, whatever one asks of it; and nothing is changed."""
    uuid = await alice_of_bob(book)
    before = await everything(book, uuid)
    by = {**getattr(book.charlie, credential)(), "x-request-id": "same"}
    book.clock.forward(60)
    by |= getattr(book.charlie, credential)()
    for method, tail, body in EVERY_WAY:
        foreign = await book.ask(method, f"/v2/contact/{uuid}{tail}", body, by=by)
        missing = await book.ask(method, f"/v2/contact/{uuid4()}{tail}", body, by=by)

        assert foreign.status_code in (204, 404, 405), (method, tail)
        assert foreign.status_code == missing.status_code, (method, tail)
        assert foreign.content == missing.content, (method, tail)
        assert foreign.headers.multi_items() == missing.headers.multi_items(), (method, tail)
    assert await everything(book, uuid) == before


async def test_without_a_right_to_write_it_still_reads_the_same(book: Book) -> None:
    """A channel that Bob's contact lacks is not told apart from the contact."""
    uuid = await alice_of_bob(book)
    by = {**book.charlie.by_key(), "x-request-id": "same"}

    there = await book.ask("GET", f"/v2/contact/{uuid}/channel/phone", by=by)
    lacking = await book.ask("GET", f"/v2/contact/{uuid}/channel/telegram", by=by)

    assert there.content == lacking.content
    assert there.json()["error_code"] == "no_contact"


async def test_a_deleted_contact_reads_as_one_that_never_was(book: Book) -> None:
    uuid = await alice_of_bob(book)
    await book.ask("DELETE", f"/v2/contact/{uuid}")
    for by in (book.bob.by_key(), book.charlie.by_key()):
        headers = {**by, "x-request-id": "same"}
        for method, tail, body in EVERY_WAY:
            gone = await book.ask(method, f"/v2/contact/{uuid}{tail}", body, by=headers)
            missing = await book.ask(method, f"/v2/contact/{uuid4()}{tail}", body, by=headers)

            assert gone.content == missing.content, (method, tail)
            assert gone.headers.multi_items() == missing.headers.multi_items(), (method, tail)


async def test_two_teams_may_own_one_address(book: Book) -> None:
    """Charlie's refusals never come from Bob, so they cannot tell him what Bob has."""
    uuid = await alice_of_bob(book)
    before = await everything(book, uuid)
    by = book.charlie.by_key()
    body = {
        "external_id": "bob-1",
        "contact_channels": [
            OWNED,
            {"channel_type": "facebook", "channel_id": "100", "info_channel": PAGE},
        ],
    }

    made = await book.ask("POST", "/v2/contact", body, by=by)
    added = await book.ask(
        "POST",
        f"/v2/contact/{made.json()['uuid']}/channel",
        {"channel_type": "email", "channel_id": EMAIL},
        by=by,
    )

    assert [one["channel_id"] for one in added.json()] == [PHONE, "100", EMAIL]
    assert {one["team_id"] for one in added.json()} == {book.charlie.team.team_id}
    assert await everything(book, uuid) == before


async def test_a_conflict_names_a_contact_of_the_own_team(book: Book) -> None:
    await alice_of_bob(book)
    by = book.charlie.by_key()
    own = await book.contact(("phone", PHONE), by=by)
    other = await book.contact(by=by)

    answer = await book.ask("POST", f"/v2/contact/{other}/channel", OWNED, by=by)

    assert answer.status_code == 409
    assert answer.json()["conflicting_contact_id"] == own


async def test_charlie_removing_his_own_leaves_bobs(book: Book) -> None:
    uuid = await alice_of_bob(book)
    before = await everything(book, uuid)
    own = await book.contact(("phone", PHONE), by=book.charlie.by_key())

    answer = await book.ask("DELETE", f"/v2/contact/{own}/channel/phone", by=book.charlie.by_key())

    assert answer.json() == []
    assert await everything(book, uuid) == before


async def test_the_integer_id_of_a_foreign_contact_opens_nothing(book: Book) -> None:
    number = (await everything(book, await alice_of_bob(book)))["id"]

    answer = await book.ask("GET", f"/v2/contact/{number}/channels", by=book.charlie.by_key())

    assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_uuid")


async def test_each_asks_for_the_own_team(book: Book) -> None:
    for one in (book.bob, book.charlie):
        for by in (one.by_key(), one.by_jwt()):
            team = (await book.ask("GET", "/v1/team", by=by)).json()
            assert (team["id"], team["name"]) == (one.team.team_id, one.team.name)
