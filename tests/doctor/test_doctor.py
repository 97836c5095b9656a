"""The doctor finds each fault that is made on both stores, and none on a consistent store."""

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
from tests.support.corrupt import execute_unchecked, make_random_writes, number_feed, step
from tests.support.inconsistencies import FAULTS, ITS_CHANNEL, ITS_EVENT, THIS, Fault
from tests.support.names import expected, indexed
from tests.support.personas import MASTER_KEY, Api

pytestmark = pytest.mark.anyio


@pytest.fixture
def api(fresh_api: Api) -> Api:
    """The API on a database of its own: the tests read the whole store."""
    return fresh_api


async def findings_of(api: Api, *keys: bytes) -> list[Finding]:
    """Returns the findings of the doctor, by default with the master key of the personas."""
    return [finding async for finding in examine(api.store, keys or (MASTER_KEY,))]


async def repair_all(api: Api, findings: list[Finding]) -> list[tuple[Finding, bool]]:
    return [finding async for finding in repair(api.store, findings, timestamps.now)]


async def create_contacts(api: Api, number: int = 0) -> dict[str, int]:
    """Creates three contacts, deletes the last, and returns their ids and the id of a channel."""
    team_id = TeamId(api.bob.team.team_id)
    contact = await api.contact(("phone", f"1510556{number:04}"))
    email = {"channel_type": "email", "channel_id": f"alice-{number}@example.com"}
    await api.request("POST", f"/v2/contact/{contact}/channel", email)
    other, deleted = await api.contact(), await api.contact(("phone", f"1510557{number:04}"))
    reads = [await api.store.read(Contact, team_id, uuid) for uuid in (contact, other, deleted)]
    first, second, third = (read for read in reads if read)
    await api.request("DELETE", f"/v2/contact/{deleted}")
    numbers = {"contact": first.id, "channel": first.channels[0].id, "other": second.id}
    return {"team": team_id, "deleted": third.id, **numbers}


async def cause_fault(api: Api, fault: Fault, numbers: dict[str, int]) -> None:
    await execute_unchecked(
        api.database, *(statement.format(**numbers) for statement in fault.statements)
    )


async def test_a_consistent_store_has_no_findings(api: Api) -> None:
    """Tests after random operations, before and after the events are numbered for the feed."""
    await create_contacts(api)
    await make_random_writes(api, 250)
    assert await findings_of(api) == []

    await number_feed(api.database)

    assert await findings_of(api) == []


@pytest.mark.parametrize("name", FAULTS)
async def test_each_fault_is_found_and_repaired_if_it_is_repairable(api: Api, name: str) -> None:
    numbers = await create_contacts(api)
    await number_feed(api.database)
    fault = FAULTS[name]
    await cause_fault(api, fault, numbers)

    findings = await findings_of(api)
    outcome = await repair_all(api, findings)

    assert fault.kind in [finding.kind for finding in findings]
    assert {finding.team_id for finding in findings} <= {numbers["team"], 770077, None}
    left = await findings_of(api)
    assert left == [finding for finding, done in outcome if not done]
    assert (left == []) is fault.mends
    assert all(finding.repair for finding, done in outcome if done)


async def test_all_faults_are_found_in_the_same_store(api: Api) -> None:
    """Each fault is made on separate contacts; all repairable faults are repaired."""
    await make_random_writes(api, 40)
    contacts = [await create_contacts(api, number) for number in range(len(FAULTS))]
    await number_feed(api.database)
    for fault, numbers in zip(FAULTS.values(), contacts, strict=True):
        await cause_fault(api, fault, numbers)

    findings = await findings_of(api)
    await repair_all(api, findings)

    assert {finding.kind for finding in findings} == set(Kind) - {
        Kind.PREVIOUS_KEY,
        Kind.SHARED_ADDRESS,
    }
    assert [finding for finding in await findings_of(api) if finding.repair] == []


async def test_a_repair_is_an_event_with_the_values_before_and_after(api: Api) -> None:
    numbers = await create_contacts(api)
    await cause_fault(api, FAULTS["an identity that does not follow its address"], numbers)

    await repair_all(api, await findings_of(api))

    team_id, contact = numbers["team"], numbers["contact"]
    after = (contact, 2, 2**62, contact)
    rows = await api.store.engine.read("doctor_events", team_id, *after, 9, 2**20)
    [(_, rev, _, at, before, after)] = rows
    event_query = f"SELECT kind, actor FROM event {ITS_EVENT} = 3".format(**numbers)
    contact_query = f"SELECT rev, updated FROM contact {THIS}".format(**numbers)
    assert await execute_unchecked(api.database, event_query) == [("repaired", "doctor")]
    assert await execute_unchecked(api.database, contact_query) == [(rev, at)] == [(3, at)]
    assert '"identity":"15105560000"' in before
    assert '"identity":"15105560000"' in after


async def test_the_words_of_names_are_repaired_without_an_event(api: Api) -> None:
    """A process of an older release has changed the name of a contact."""
    numbers = await create_contacts(api)
    uuid = (await api.request("POST", "/v2/contact", {"first": "Alice Maria"})).json()["uuid"]
    await execute_unchecked(
        api.database, "UPDATE contact_name SET word = 'stale' WHERE word = 'maria'"
    )

    [(finding, is_repaired)] = await repair_all(api, await findings_of(api))

    assert (finding.kind, finding.contact_id, is_repaired) == (Kind.NAMES, uuid, True)
    team_id = numbers["team"]
    assert await indexed(api.database, team_id) == await expected(api.database, team_id)
    read = await api.store.read(Contact, TeamId(team_id), uuid)
    assert read is not None
    assert read.rev == 1


async def test_an_incomplete_name_index_is_one_finding(api: Api) -> None:
    await api.request("POST", "/v2/contact", {"first": "Alice Maria"})
    await execute_unchecked(
        api.database,
        "DELETE FROM contact_name",
        "UPDATE store_info SET value = '{}' WHERE name = 'names_cursor'",
    )

    [finding] = await findings_of(api)
    await api.store.index_names()

    assert (finding.kind, finding.team_id, finding.repair) == (Kind.NAMES, None, None)
    assert "reachbook migrate" in finding.message
    assert await findings_of(api) == []


async def test_an_address_of_another_contact_is_not_repaired(api: Api) -> None:
    """The canonical form of the changed address belongs to another contact."""
    numbers = await create_contacts(api)
    await api.contact(("phone", "15105559999"))
    await execute_unchecked(
        api.database,
        f"UPDATE contact_channel SET channel_id = '15105559999' {ITS_CHANNEL}".format(**numbers),
    )

    outcome = await repair_all(api, await findings_of(api))

    assert {finding.kind for finding, done in outcome if not done} == {Kind.IDENTITY, Kind.REPLAY}


async def test_a_secret_of_the_previous_master_key_is_a_separate_finding(api: Api) -> None:
    kinds = [finding.kind for finding in await findings_of(api, b"n" * 32, MASTER_KEY)]

    assert kinds == [Kind.PREVIOUS_KEY, Kind.PREVIOUS_KEY]


async def test_only_the_revisions_of_an_erased_contact_are_checked(api: Api) -> None:
    numbers = await create_contacts(api)
    its_events = f"SELECT id FROM event {ITS_EVENT} < 9".format(**numbers)
    erased = f"UPDATE contact SET first = '', erased = updated {THIS}".format(**numbers)
    await execute_unchecked(
        api.database, f"DELETE FROM event_body WHERE event_id IN ({its_events})", erased
    )

    assert await findings_of(api) == []


async def test_the_findings_do_not_depend_on_page_sizes(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compares the findings with those of very small pages."""
    for number in range(7):
        numbers = await create_contacts(api, number)
        await cause_fault(api, FAULTS["a handle that no event tells of"], numbers)
    await cause_fault(api, FAULTS["an event of no contact"], numbers)
    await number_feed(api.database)
    with_large_pages = await findings_of(api)

    monkeypatch.setattr(reading, "PAGE", 2)
    monkeypatch.setattr(reading, "PAGE_BYTES", 1)
    monkeypatch.setattr(team, "PAGE", 2)

    assert len(with_large_pages) == 8
    assert await findings_of(api) == with_large_pages


async def test_concurrent_changes_are_not_reported(api: Api) -> None:
    """Runs the doctor many times during continuous writes."""
    await make_random_writes(api, 60)
    service, runs = Service(api.store, TeamKeys(api.store, (MASTER_KEY,))), 20
    uuids = [contact.uuid async for contact in read_contacts(api)]
    done = asyncio.Event()

    async def change(seed: int) -> int:
        chooser, changes = random.Random(seed), 0
        while not done.is_set():
            with suppress(Refusal):
                await step(service, TeamId(api.bob.team.team_id), chooser.choice(uuids), chooser)
                changes += 1
            await asyncio.sleep(0)
        return changes

    writers = [asyncio.create_task(change(seed)) for seed in range(4)]
    seen = [await asyncio.to_thread(findings_of_new_store, api.database) for _ in range(runs)]
    done.set()

    assert sum(await asyncio.gather(*writers)) > runs
    assert seen == [[]] * runs
    assert await findings_of(api) == []


def findings_of_new_store(database: str) -> list[Finding]:
    """Returns the findings of a doctor that opens the store itself, as the command does."""

    async def examine_store() -> list[Finding]:
        store = await open_store(database)
        try:
            return [finding async for finding in examine(store, (MASTER_KEY,))]
        finally:
            await store.close()

    return asyncio.run(examine_store())


async def read_contacts(api: Api) -> AsyncIterator[Contact]:
    """Yields Bob's contacts that are not deleted."""
    async for audit in reading.audits(api.store, api.bob.team.team_id):
        if audit.contact and audit.contact.deleted is None:
            yield audit.contact
