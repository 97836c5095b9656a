"""The store on both engines: a commit is all of it or nothing, and its event is written with it."""

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
    """On a database of its own, whose tables are then read whole."""
    return fresh_api


def phone(digits: str, **supplied: str) -> ChannelInput:
    return ChannelInput(addresses.parse(PHONE, digits), **supplied)


def bob(api: Api) -> WriteContext:
    return WriteContext(api.bob.secret.team_id, "rbk_actor", "request-1")


async def alice(api: Api, *digits: str) -> Contact:
    """A contact of Bob's team with these phones."""
    wanted = ContactInput(tuple(phone(one) for one in digits), first="Alice")
    return await api.service.contacts.create(bob(api), wanted, ALICE)


async def seen(api: Api, uuid: str = ALICE) -> ChannelList:
    found = await api.store.read(ChannelList, bob(api).team_id, uuid)
    assert found is not None
    return found


def adding(before: ChannelList, wanted: ChannelInput, now: int = 1) -> Commit:
    after = channel_rules.add_channel(before, wanted, now)
    return Commit(event.change(before, after), "rbk_actor", "request-1")


async def everything(raw: Raw) -> list[Any]:
    """All that is kept of contacts."""
    return [
        await raw(f"SELECT * FROM {table} ORDER BY 2")
        for table in ("contact", "contact_channel", "event", "event_body")
    ]


async def test_it_works(api: Api, raw: Raw) -> None:
    """One event a revision, in the same commit, with the values before and after."""
    made = await alice(api, "15105553344")
    api.clock.forward(5)
    added = await api.service.channels.add(bob(api), ALICE, phone("15105553345"))
    api.clock.forward(5)
    put = await api.service.channels.replace(
        bob(api), ALICE, phone("15105553346"), ChannelSelector(PHONE)
    )
    second = ChannelSelector(PHONE, phone("15105553345").address)
    left = await api.service.channels.remove(bob(api), ALICE, second)
    await api.service.contacts.delete(bob(api), ALICE)

    events = await raw(EVENTS)
    assert [(one[1], one[2]) for one in events] == [
        (1, "contact_created"),
        (2, "channel_added"),
        (3, "channel_updated"),
        (4, "channel_removed"),
        (5, "contact_deleted"),
    ]
    assert {one[0] for one in events} == {made.id}
    assert {one[5:7] for one in events} == {("rbk_actor", "request-1")}
    assert [one[7] for one in events[:4]] == [one.updated for one in (made, added, put, left)]
    assert {one[8] for one in events} == {None}


async def test_an_event_holds_what_was_touched_before_and_after(api: Api, raw: Raw) -> None:
    made = await alice(api, "15105553344", "15105553345")
    before = made.channels[0]
    changed = await api.service.channels.replace(
        bob(api), ALICE, phone("15105553346"), ChannelSelector(PHONE)
    )
    await api.service.contacts.delete(bob(api), ALICE)

    created, updated, deleted = [
        (json.loads(one[3] or "null"), json.loads(one[4])) for one in await raw(EVENTS)
    ]
    assert created[0] is None
    assert [one["channel_id"] for one in created[1]["channels"]] == ["15105553344", "15105553345"]
    assert created[1]["first"] == "Alice"
    [was], [now] = updated[0]["channels"], updated[1]["channels"]
    assert (was["id"], was["channel_id"]) == (before.id, "15105553344")
    assert (now["id"], now["channel_id"]) == (before.id, "15105553346")
    assert (now["created"], now["updated"]) == (before.created, changed.updated)
    assert len(deleted[0]["channels"]) == 2
    assert deleted[1]["channels"] == []
    assert deleted[1]["deleted"]


async def test_the_numbers_in_the_event_are_those_of_the_rows(api: Api, raw: Raw) -> None:
    await alice(api, "15105553344")

    [[told]] = await raw("SELECT after FROM event_body")
    [[number]] = await raw("SELECT id FROM contact_channel")
    assert json.loads(told)["channels"][0]["id"] == number


async def test_what_changes_nothing_writes_nothing(api: Api, raw: Raw) -> None:
    await alice(api, "15105553344")
    before = await everything(raw)

    await api.service.channels.add(bob(api), ALICE, phone("+1 510 555 3344"))
    await api.service.channels.replace(
        bob(api), ALICE, phone("15105553344"), ChannelSelector(PHONE)
    )

    assert await everything(raw) == before


@pytest.mark.parametrize("whole", [False, True])
async def test_a_stale_commit_writes_nothing(api: Api, raw: Raw, whole: bool) -> None:
    """Whether it carries the channels only or the whole contact."""
    old: ChannelList = await alice(api, "15105553344")
    if not whole:
        old = await seen(api)
    await api.service.channels.add(bob(api), ALICE, phone("15105553345"))
    before = await everything(raw)

    added = adding(old, phone("15105553346"))
    removed = Commit(event.change(old, replace(old, rev=2, channels=())), "a", "r")

    assert await api.store.commit(added) is STALE
    assert await api.store.commit(removed) is STALE
    assert await everything(raw) == before


async def test_of_two_commits_on_one_revision_one_holds(api: Api, raw: Raw) -> None:
    await alice(api)
    old = await seen(api)
    commits = [adding(old, phone(f"151055533{number}")) for number in range(40, 50)]

    outcomes = await asyncio.gather(*(api.store.commit(one) for one in commits))

    [saved] = [one for one in outcomes if isinstance(one, Saved)]
    assert outcomes.count(STALE) == len(commits) - 1
    assert await seen(api) == saved.after
    assert len(await raw(EVENTS)) == 2


async def test_a_commit_without_its_contact_is_stale(api: Api, raw: Raw) -> None:
    ghost = ChannelList(bob(api).team_id, 4711, NOBODY, 1, 0, ())

    assert await api.store.commit(adding(ghost, phone("15105553344"))) is STALE
    assert await everything(raw) == [[], [], [], []]


async def test_a_commit_to_another_team_is_stale(api: Api, raw: Raw) -> None:
    """The number is Alice's, the team is not."""
    made = await alice(api, "15105553344")
    before = await everything(raw)
    foreign = replace(await seen(api), team_id=api.charlie.team.team_id, channels=())

    assert await api.store.commit(adding(foreign, phone("15105553399"))) is STALE
    assert await everything(raw) == before
    assert made.rev == 1


async def test_an_address_that_is_taken_leaves_nothing_behind(api: Api, raw: Raw) -> None:
    """The second of two channels is the one that cannot be had; the first goes with it."""
    owner = await alice(api, "15105553344")
    other = await api.service.contacts.create(bob(api), ContactInput())
    before = await everything(raw)
    both = ContactInput((phone("15105553300"), phone("15105553344"), phone("15105553399")))
    now = api.clock()

    new = contacts.create(bob(api).team_id, NOBODY, both, now)
    outcomes = [
        await api.store.commit(adding(other, phone("15105553344"), now)),
        await api.store.commit(Commit(event.change(None, new), "a", "r")),
    ]

    for outcome in outcomes:
        assert outcome == Conflict(ALICE, "address", owner.channels[0])
    assert await everything(raw) == before


@pytest.mark.parametrize("uuid", [ALICE, NOBODY])
async def test_a_uuid_or_external_id_in_use_leaves_nothing_behind(
    api: Api, raw: Raw, uuid: str
) -> None:
    wanted = ContactInput(external_id="crm-1")
    await api.service.contacts.create(bob(api), wanted, ALICE)
    before = await everything(raw)

    with pytest.raises(Refusal) as refused:
        await api.service.contacts.create(
            bob(api),
            ContactInput((phone("15105553344"),), external_id=None if uuid == ALICE else "crm-1"),
            uuid,
        )

    reason = Reason.UUID_TAKEN if uuid == ALICE else Reason.EXTERNAL_ID_TAKEN
    assert refused.value.reason is reason
    assert refused.value.facts == {"conflicting_contact_id": ALICE}
    assert await everything(raw) == before


async def test_the_uuid_of_a_deleted_contact_is_not_given_again(api: Api) -> None:
    await alice(api, "15105553344")
    await api.service.contacts.delete(bob(api), ALICE)

    with pytest.raises(Refusal) as refused:
        await alice(api)

    assert refused.value.reason is Reason.UUID_TAKEN
    other = ContactInput((phone("15105553344"),))
    assert (await api.service.contacts.create(bob(api), other)).channels


async def test_teams_do_not_share_anything(api: Api) -> None:
    await alice(api, "15105553344")
    charlie = WriteContext(api.charlie.secret.team_id, "c", "r")
    wanted = ContactInput((phone("15105553344"),), external_id="crm-1")

    made = await api.service.contacts.create(charlie, wanted, ALICE)

    assert made.channels[0].channel_id == "15105553344"
    assert (await seen(api)).channels[0].id != made.channels[0].id


async def test_both_stores_answer_the_same_page(database: str) -> None:
    """Every kind of value comes back as it was written."""
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
