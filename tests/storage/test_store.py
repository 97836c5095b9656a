"""The store on both engines: a commit is atomic, and its event is written in the same commit."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from msgspec.structs import replace

from reachbook.domain import channel_rules, event
from reachbook.domain import contact as contacts
from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel import ChannelList, ChannelSelector
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Reason, Refusal
from reachbook.service import WriteContext
from reachbook.storage import STALE, Commit, Conflict, Saved, open_store
from tests.support.personas import ALICE, NOBODY, Api
from tests.support.raw_sql import Raw

pytestmark = pytest.mark.anyio

PHONE = addresses.channel_type("phone")
EVENTS = """
SELECT contact_id, contact_rev, kind, before, after, actor, request_id, at, seq
FROM event AS e LEFT JOIN event_body AS b ON b.team_id = e.team_id AND b.event_id = e.id
ORDER BY e.id"""


@pytest.fixture
def api(fresh_api: Api) -> Api:
    """The API on a database of its own, because the tests read whole tables."""
    return fresh_api


def phone(digits: str, **supplied: str) -> ChannelInput:
    return ChannelInput(addresses.parse(PHONE, digits), **supplied)


def bob(api: Api) -> WriteContext:
    return WriteContext(api.bob.secret.team_id, "rbk_actor", "request-1")


async def create_alice(api: Api, *digits: str) -> Contact:
    """Create a contact of Bob's team with these phones."""
    wanted = ContactInput(tuple(phone(digit) for digit in digits), first="Alice")
    return await api.service.contacts.create(bob(api), wanted, ALICE)


async def read_channels(api: Api, uuid: str = ALICE) -> ChannelList:
    found = await api.store.read(ChannelList, bob(api).team_id, uuid)
    assert found is not None
    return found


def add_commit(before: ChannelList, wanted: ChannelInput, now: int = 1) -> Commit:
    after = channel_rules.add_channel(before, wanted, now)
    return Commit(event.change(before, after), "rbk_actor", "request-1")


async def read_tables(raw: Raw) -> list[Any]:
    """Return all rows of the tables of contacts."""
    return [
        await raw(f"SELECT * FROM {table} ORDER BY 2")
        for table in ("contact", "contact_channel", "event", "event_body")
    ]


async def test_each_revision_has_one_event(api: Api, raw: Raw) -> None:
    """The event is in the same commit, with the time of the revision."""
    made = await create_alice(api, "15105553344")
    api.clock.forward(5)
    added = await api.service.channels.add(bob(api), ALICE, phone("15105553345"))
    api.clock.forward(5)
    put = await api.service.channels.replace(
        bob(api), ALICE, phone("15105553346"), ChannelSelector(PHONE)
    )
    second = ChannelSelector(PHONE, phone("15105553345").address)
    removed = await api.service.channels.remove(bob(api), ALICE, second)
    await api.service.contacts.delete(bob(api), ALICE)

    events = await raw(EVENTS)
    assert [(row[1], row[2]) for row in events] == [
        (1, "contact_created"),
        (2, "channel_added"),
        (3, "channel_updated"),
        (4, "channel_removed"),
        (5, "contact_deleted"),
    ]
    assert {row[0] for row in events} == {made.id}
    assert {row[5:7] for row in events} == {("rbk_actor", "request-1")}
    assert [row[7] for row in events[:4]] == [
        contact.updated for contact in (made, added, put, removed)
    ]
    assert {row[8] for row in events} == {None}


async def test_an_event_has_the_changed_values_before_and_after(api: Api, raw: Raw) -> None:
    made = await create_alice(api, "15105553344", "15105553345")
    before = made.channels[0]
    changed = await api.service.channels.replace(
        bob(api), ALICE, phone("15105553346"), ChannelSelector(PHONE)
    )
    await api.service.contacts.delete(bob(api), ALICE)

    created, updated, deleted = [
        (json.loads(row[3] or "null"), json.loads(row[4])) for row in await raw(EVENTS)
    ]
    assert created[0] is None
    assert [channel["channel_id"] for channel in created[1]["channels"]] == [
        "15105553344",
        "15105553345",
    ]
    assert created[1]["first"] == "Alice"
    [was], [now] = updated[0]["channels"], updated[1]["channels"]
    assert (was["id"], was["channel_id"]) == (before.id, "15105553344")
    assert (now["id"], now["channel_id"]) == (before.id, "15105553346")
    assert (now["created"], now["updated"]) == (before.created, changed.updated)
    assert len(deleted[0]["channels"]) == 2
    assert deleted[1]["channels"] == []
    assert deleted[1]["deleted"]


async def test_the_ids_in_the_event_are_those_of_the_rows(api: Api, raw: Raw) -> None:
    await create_alice(api, "15105553344")

    [[after]] = await raw("SELECT after FROM event_body")
    [[number]] = await raw("SELECT id FROM contact_channel")
    assert json.loads(after)["channels"][0]["id"] == number


async def test_a_write_without_changes_is_not_stored(api: Api, raw: Raw) -> None:
    await create_alice(api, "15105553344")
    before = await read_tables(raw)

    await api.service.channels.add(bob(api), ALICE, phone("+1 510 555 3344"))
    await api.service.channels.replace(
        bob(api), ALICE, phone("15105553344"), ChannelSelector(PHONE)
    )

    assert await read_tables(raw) == before


@pytest.mark.parametrize("whole", [False, True])
async def test_a_stale_commit_writes_nothing(api: Api, raw: Raw, whole: bool) -> None:
    """The commit has only the channels, or the whole contact."""
    old: ChannelList = await create_alice(api, "15105553344")
    if not whole:
        old = await read_channels(api)
    await api.service.channels.add(bob(api), ALICE, phone("15105553345"))
    before = await read_tables(raw)

    added = add_commit(old, phone("15105553346"))
    removed = Commit(event.change(old, replace(old, rev=2, channels=())), "a", "r")

    assert await api.store.commit(added) is STALE
    assert await api.store.commit(removed) is STALE
    assert await read_tables(raw) == before


async def test_only_one_concurrent_commit_of_a_revision_is_saved(api: Api, raw: Raw) -> None:
    await create_alice(api)
    old = await read_channels(api)
    commits = [add_commit(old, phone(f"151055533{number}")) for number in range(40, 50)]

    outcomes = await asyncio.gather(*(api.store.commit(commit) for commit in commits))

    [saved] = [outcome for outcome in outcomes if isinstance(outcome, Saved)]
    assert outcomes.count(STALE) == len(commits) - 1
    assert await read_channels(api) == saved.after
    assert len(await raw(EVENTS)) == 2


async def test_a_commit_without_its_contact_is_stale(api: Api, raw: Raw) -> None:
    unknown = ChannelList(bob(api).team_id, 4711, NOBODY, 1, 0, ())

    assert await api.store.commit(add_commit(unknown, phone("15105553344"))) is STALE
    assert await read_tables(raw) == [[], [], [], []]


async def test_a_commit_to_another_team_is_stale(api: Api, raw: Raw) -> None:
    """The id is Alice's, but the team is another."""
    made = await create_alice(api, "15105553344")
    before = await read_tables(raw)
    foreign = replace(await read_channels(api), team_id=api.charlie.team.team_id, channels=())

    assert await api.store.commit(add_commit(foreign, phone("15105553399"))) is STALE
    assert await read_tables(raw) == before
    assert made.rev == 1


async def test_a_commit_with_a_used_address_writes_nothing(api: Api, raw: Raw) -> None:
    """The second of three channels has a used address; the others are not written either."""
    owner = await create_alice(api, "15105553344")
    other = await api.service.contacts.create(bob(api), ContactInput())
    before = await read_tables(raw)
    both = ContactInput((phone("15105553300"), phone("15105553344"), phone("15105553399")))
    now = api.clock()

    new = contacts.create(bob(api).team_id, NOBODY, both, now)
    outcomes = [
        await api.store.commit(add_commit(other, phone("15105553344"), now)),
        await api.store.commit(Commit(event.change(None, new), "a", "r")),
    ]

    for outcome in outcomes:
        assert outcome == Conflict(ALICE, "address", owner.channels[0])
    assert await read_tables(raw) == before


@pytest.mark.parametrize("uuid", [ALICE, NOBODY])
async def test_a_commit_with_a_used_uuid_or_external_id_writes_nothing(
    api: Api, raw: Raw, uuid: str
) -> None:
    wanted = ContactInput(external_id="crm-1")
    await api.service.contacts.create(bob(api), wanted, ALICE)
    before = await read_tables(raw)

    with pytest.raises(Refusal) as refused:
        await api.service.contacts.create(
            bob(api),
            ContactInput((phone("15105553344"),), external_id=None if uuid == ALICE else "crm-1"),
            uuid,
        )

    reason = Reason.UUID_TAKEN if uuid == ALICE else Reason.EXTERNAL_ID_TAKEN
    assert refused.value.reason is reason
    assert refused.value.facts == {"conflicting_contact_id": ALICE}
    assert await read_tables(raw) == before


async def test_the_uuid_of_a_deleted_contact_cannot_be_used_again(api: Api) -> None:
    await create_alice(api, "15105553344")
    await api.service.contacts.delete(bob(api), ALICE)

    with pytest.raises(Refusal) as refused:
        await create_alice(api)

    assert refused.value.reason is Reason.UUID_TAKEN
    other = ContactInput((phone("15105553344"),))
    assert (await api.service.contacts.create(bob(api), other)).channels


async def test_teams_may_use_the_same_uuid_and_address(api: Api) -> None:
    await create_alice(api, "15105553344")
    charlie = WriteContext(api.charlie.secret.team_id, "c", "r")
    wanted = ContactInput((phone("15105553344"),), external_id="crm-1")

    made = await api.service.contacts.create(charlie, wanted, ALICE)

    assert made.channels[0].channel_id == "15105553344"
    assert (await read_channels(api)).channels[0].id != made.channels[0].id


async def test_every_kind_of_value_is_read_as_it_was_written(database: str) -> None:
    store = await open_store(database)
    team_id = TeamId((await store.create_team("Bob's team", "US", 1)).team_id)
    custom: dict[str, object] = {"a": [1, 2.5, None, True, {"b": "é\u2028"}], "": ""}
    wanted = ContactInput(
        (phone("15105553344", channel_handle="é\U0001f600", info_channel="page"),),
        first="First",
        last="Last",
        display_name="Shown",
        avatar="https://x/y.png",
        assigned_user_id=2**53 - 1,
        external_id="crm-1",
        is_opted_out=True,
        custom=custom,
        tags=(3, 1, 2),
    )
    new = contacts.create(team_id, ALICE, wanted, 2**52)

    saved = await store.commit(Commit(event.change(None, new), "a", "r"))
    read = await store.read(Contact, team_id, ALICE)
    await store.close()

    assert isinstance(saved, Saved)
    assert read is not None
    assert read == saved.after
    assert read == replace(
        new, id=read.id, channels=(replace(new.channels[0], id=read.channels[0].id),)
    )
