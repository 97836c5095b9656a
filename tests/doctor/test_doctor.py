"""The doctor: ten faults and more, planted on both stores; nothing on a store in good health."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from reachbook.doctor import Finding, Kind, examine, reading, repair, team
from reachbook.domain import timestamps
from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Refusal
from reachbook.service import Service, TeamKeys
from reachbook.storage import open_store
from tests.support.corrupt import live, number_feed, ruin, step
from tests.support.inconsistencies import FAULTS, ITS_CHANNEL, ITS_EVENT, THIS, Fault
from tests.support.names import expected, indexed
from tests.support.personas import MASTER_KEY, Api

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(fresh_api: Api) -> Api:
    """The API on a database of its own: the tests read the whole store."""
    return fresh_api


async def found(api: Api, *keys: bytes) -> list[Finding]:
    """What the doctor finds, under the master key of the cast unless told otherwise."""
    return [one async for one in examine(api.store, keys or (MASTER_KEY,))]


async def mended(api: Api, findings: list[Finding]) -> list[tuple[Finding, bool]]:
    return [one async for one in repair(api.store, findings, timestamps.now)]


async def victims(api: Api, number: int = 0) -> dict[str, int]:
    """The numbers of a contact of Bob's with a phone and two events, of another, of a deleted."""
    team_id = TeamId(api.bob.team.team_id)
    contact = await api.contact(("phone", f"1510556{number:04}"))
    email = {"channel_type": "email", "channel_id": f"alice-{number}@example.com"}
    await api.request("POST", f"/v2/contact/{contact}/channel", email)
    other, deleted = await api.contact(), await api.contact(("phone", f"1510557{number:04}"))
    reads = [await api.store.read(Contact, team_id, uuid) for uuid in (contact, other, deleted)]
    one, two, three = (read for read in reads if read)
    await api.request("DELETE", f"/v2/contact/{deleted}")
    numbers = {"contact": one.id, "channel": one.channels[0].id, "other": two.id}
    return {"team": team_id, "deleted": three.id, **numbers}


async def plant(api: Api, fault: Fault, numbers: dict[str, int]) -> None:
    await ruin(api.database, *(one.format(**numbers) for one in fault.statements))


async def test_it_works(api: Api) -> None:
    """After random operations on a store, numbered for its feed or not, nothing is wrong."""
    await victims(api)
    await live(api, 250)
    assert await found(api) == []

    await number_feed(api.database)

    assert await found(api) == []


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_found_and_repaired_where_that_is_claimed(api: Api, name: str) -> None:
    numbers = await victims(api)
    await number_feed(api.database)
    fault = FAULTS[name]
    await plant(api, fault, numbers)

    first = await found(api)
    outcome = await mended(api, first)

    assert fault.kind in [one.kind for one in first]
    assert {one.team_id for one in first} <= {numbers["team"], 770077, None}
    left = await found(api)
    assert left == [one for one, done in outcome if not done]
    assert (left == []) is fault.mends
    assert all(one.repair for one, done in outcome if done)


async def test_every_fault_is_seen_beside_the_others(api: Api) -> None:
    """All of them in one store, each on contacts of its own; what can be repaired then is."""
    await live(api, 40)
    everyone = [await victims(api, number) for number in range(len(FAULTS))]
    await number_feed(api.database)
    for fault, numbers in zip(FAULTS.values(), everyone, strict=True):
        await plant(api, fault, numbers)

    first = await found(api)
    await mended(api, first)

    assert {one.kind for one in first} == set(Kind) - {Kind.PREVIOUS_KEY, Kind.SHARED_ADDRESS}
    assert [one for one in await found(api) if one.repair] == []


async def test_a_repair_is_an_event_with_what_was_and_what_is(api: Api) -> None:
    numbers = await victims(api)
    await plant(api, FAULTS["an identity that does not follow its address"], numbers)

    await mended(api, await found(api))

    team_id, contact = numbers["team"], numbers["contact"]
    after = (contact, 2, 2**62, contact)
    rows = await api.store.engine.read("doctor_events", team_id, *after, 9, 2**20)
    [(_, rev, _, at, before, after)] = rows
    told = f"SELECT kind, actor FROM event {ITS_EVENT} = 3".format(**numbers)
    stands = f"SELECT rev, updated FROM contact {THIS}".format(**numbers)
    assert await ruin(api.database, told) == [("repaired", "doctor")]
    assert await ruin(api.database, stands) == [(rev, at)] == [(3, at)]
    assert '"identity":"15105560000"' in before
    assert '"identity":"15105560000"' in after


async def test_words_are_written_anew_without_an_event(api: Api) -> None:
    """A process of an older release has changed the name of a contact."""
    numbers = await victims(api)
    one = (await api.request("POST", "/v2/contact", {"first": "Alice Maria"})).json()["uuid"]
    await ruin(api.database, "UPDATE contact_name SET word = 'stale' WHERE word = 'maria'")

    [(finding, is_repaired)] = await mended(api, await found(api))

    assert (finding.kind, finding.contact_id, is_repaired) == (Kind.NAMES, one, True)
    team_id = numbers["team"]
    assert await indexed(api.database, team_id) == await expected(api.database, team_id)
    read = await api.store.read(Contact, TeamId(team_id), one)
    assert read is not None
    assert read.rev == 1


async def test_an_index_that_is_not_complete_is_one_finding(api: Api) -> None:
    await api.request("POST", "/v2/contact", {"first": "Alice Maria"})
    await ruin(
        api.database,
        "DELETE FROM contact_name",
        "UPDATE store_info SET value = '{}' WHERE name = 'names_cursor'",
    )

    [finding] = await found(api)
    await api.store.index_names()

    assert (finding.kind, finding.team_id, finding.repair) == (Kind.NAMES, None, None)
    assert "reachbook migrate" in finding.message
    assert await found(api) == []


async def test_what_another_contact_owns_by_now_is_left_for_a_person(api: Api) -> None:
    """The canonical form of what was tampered with is somebody else's address."""
    numbers = await victims(api)
    await api.contact(("phone", "15105559999"))
    await ruin(
        api.database,
        f"UPDATE contact_channel SET channel_id = '15105559999' {ITS_CHANNEL}".format(**numbers),
    )

    outcome = await mended(api, await found(api))

    assert {one.kind for one, done in outcome if not done} == {Kind.IDENTITY, Kind.REPLAY}


async def test_a_secret_under_the_previous_master_key_is_told_apart(api: Api) -> None:
    kinds = [one.kind for one in await found(api, b"n" * 32, MASTER_KEY)]

    assert kinds == [Kind.PREVIOUS_KEY, Kind.PREVIOUS_KEY]


async def test_of_an_erased_contact_only_the_revisions_count(api: Api) -> None:
    numbers = await victims(api)
    its_events = f"SELECT id FROM event {ITS_EVENT} < 9".format(**numbers)
    erased = f"UPDATE contact SET first = '', erased = updated {THIS}".format(**numbers)
    await ruin(api.database, f"DELETE FROM event_body WHERE event_id IN ({its_events})", erased)

    assert await found(api) == []


async def test_it_pages(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the pages are, it sees the same."""
    for number in range(7):
        numbers = await victims(api, number)
        await plant(api, FAULTS["a handle that no event tells of"], numbers)
    await plant(api, FAULTS["an event of no contact"], numbers)
    await number_feed(api.database)
    at_once = await found(api)

    monkeypatch.setattr(reading, "PAGE", 2)
    monkeypatch.setattr(reading, "PAGE_BYTES", 1)
    monkeypatch.setattr(team, "PAGE", 2)

    assert len(at_once) == 8
    assert await found(api) == at_once


async def test_what_is_being_changed_is_not_reported(api: Api) -> None:
    """Many looks beside writers that never rest."""
    await live(api, 60)
    service, looks = Service(api.store, TeamKeys(api.store, (MASTER_KEY,))), 20
    uuids = [one.uuid async for one in everyone(api)]
    done = asyncio.Event()

    async def change(seed: int) -> int:
        choose, changes = random.Random(seed), 0
        while not done.is_set():
            with suppress(Refusal):
                await step(service, TeamId(api.bob.team.team_id), choose.choice(uuids), choose)
                changes += 1
            await asyncio.sleep(0)
        return changes

    writers = [asyncio.create_task(change(seed)) for seed in range(4)]
    seen = [await asyncio.to_thread(found_beside, api.database) for _ in range(looks)]
    done.set()

    assert sum(await asyncio.gather(*writers)) > looks
    assert seen == [[]] * looks
    assert await found(api) == []


def found_beside(database: str) -> list[Finding]:
    """What is found by a doctor that opens the store for itself, as the command does."""

    async def look() -> list[Finding]:
        store = await open_store(database)
        try:
            return [one async for one in examine(store, (MASTER_KEY,))]
        finally:
            await store.close()

    return asyncio.run(look())


async def everyone(api: Api) -> AsyncIterator[Contact]:
    """Bob's contacts."""
    async for one in reading.audits(api.store, api.bob.team.team_id):
        if one.contact and one.contact.deleted is None:
            yield one.contact
