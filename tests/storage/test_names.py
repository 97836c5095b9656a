"""The index of words of names: writes that change a name, and the migration that fills it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import Contact, ContactInput
from reachbook.service import WriteContext
from reachbook.service.bulk import NewContact
from reachbook.storage import names, open_store
from reachbook.storage.names import NamesProgress
from tests.support.names import expected, indexed, named
from tests.support.personas import Api
from tests.support.previous_release import Planted, plant
from tests.support.raw_sql import sql_runner
from tests.support.services import services

pytestmark = pytest.mark.anyio

OLD_CONTACTS = 25


@pytest.fixture
def api(fresh_api: Api) -> Api:
    """The API on a database of its own, because the tests read the whole index."""
    return fresh_api


@pytest.fixture
def bob(api: Api) -> WriteContext:
    """The context of a write by Bob."""
    return WriteContext(api.bob.secret.team_id, api.bob.key.id, "request-1")


@pytest.fixture
async def anna(api: Api, bob: WriteContext) -> Contact:
    """A contact of Bob's team."""
    [made] = await named(api, bob, "Anna Maria,Müller")
    return made


def phone(digits: str) -> ChannelInput:
    return ChannelInput(addresses.parse(addresses.channel_type("phone"), digits))


async def indexed_words(api: Api, contact: Contact) -> list[str]:
    """Return the indexed words of a contact, and check the rest of the index."""
    found = await indexed(api.database, contact.team_id)
    assert found == await expected(api.database, contact.team_id)
    return found.get(contact.id, [])


async def test_the_words_follow_creation_renaming_and_deletion(
    api: Api, bob: WriteContext, anna: Contact
) -> None:
    assert await indexed_words(api, anna) == ["anna", "maria", "müller"]

    renamed = ContactInput(last="Smith", display_name="Annie")
    await api.service.contacts.update(bob, anna.uuid, renamed, overwrite=False)
    assert await indexed_words(api, anna) == ["anna", "annie", "maria", "smith"]

    nameless = ContactInput(first="", last="", display_name="")
    await api.service.contacts.update(bob, anna.uuid, nameless, overwrite=False)
    assert await indexed_words(api, anna) == []

    await api.service.contacts.update(bob, anna.uuid, ContactInput(first="Eve"), overwrite=False)
    await api.service.contacts.delete(bob, anna.uuid)
    assert await indexed_words(api, anna) == []


@pytest.mark.parametrize("deleted_before", [False, True])
async def test_an_erased_contact_has_no_words(
    api: Api, bob: WriteContext, anna: Contact, *, deleted_before: bool
) -> None:
    if deleted_before:
        await api.service.contacts.delete(bob, anna.uuid)
    path = f"/x/contact/{anna.uuid}/erase"
    assert (await api.request("DELETE", path)).status_code == 200

    assert await indexed_words(api, anna) == []


async def test_the_words_of_a_bulk_creation_are_indexed(api: Api, bob: WriteContext) -> None:
    wanted = [ContactInput(first=f"Person {n}", last="Straße") for n in range(30)]
    wanted += [ContactInput((phone("15105553344"),)), ContactInput(first="Person 0")]

    made = await api.service.contacts.create_many(
        bob.team_id, [NewContact(bob, each) for each in wanted]
    )

    assert made[7] is not None
    assert await indexed_words(api, made[7]) == ["7", "person", "strasse"]
    assert len(await indexed(api.database, bob.team_id)) == 31 + len(
        await contacts_of_the_fixture(api, bob)
    )


async def contacts_of_the_fixture(api: Api, context: WriteContext) -> list[Any]:
    """Return the contacts with a name that the fixture `api` created."""
    statement = f"SELECT id FROM contact WHERE team_id = {context.team_id} AND first = 'Alice'"
    return await sql_runner(api.database)(statement)


async def test_a_change_without_a_name_writes_no_words(
    api: Api, bob: WriteContext, anna: Contact
) -> None:
    """The index is emptied with SQL before, so a write of words would be visible."""
    await sql_runner(api.database)("DELETE FROM contact_name")

    await api.service.channels.add(bob, anna.uuid, phone("15105553344"))
    for wanted in (
        ContactInput((phone("15105553345"),), avatar="https://example.com/a.png"),
        ContactInput(first="Anna-Maria", last="MÜLLER"),
    ):
        await api.service.contacts.update(bob, anna.uuid, wanted, overwrite=False)
    await api.service.channels.add(bob, anna.uuid, phone("15105553346"))

    assert await indexed(api.database, bob.team_id) == {}


async def test_a_refused_creation_writes_no_words(api: Api, bob: WriteContext) -> None:
    await api.service.contacts.create(bob, ContactInput((phone("15105553344"),), first="Owner"))
    response = await api.request("POST", "/v2/contact", {"first": "Second", "phone": "15105553344"})

    assert response.status_code == 409
    assert await indexed(api.database, bob.team_id) == await expected(api.database, bob.team_id)


# ── the migration ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["sqlite", "postgres"])
def old_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/reachbook.db"
    return str(request.getfixturevalue("empty_postgres"))


async def plant_named_contacts(database: str, count: int = OLD_CONTACTS) -> None:
    """Create a database of the previous release, with contacts that have names."""
    await plant(database, [Planted(n, "telegram", f"u{n}", f"u{n}") for n in range(1, count + 1)])
    raw = sql_runner(database)
    await raw("UPDATE contact SET first = 'Person ' || id, last = 'Straße'")
    await raw("UPDATE contact SET deleted = 2 WHERE id = 3")


async def migrate(database: str) -> NamesProgress | None:
    store = await open_store(database)
    try:
        await store.migrate()
        await store.migrate_identities()
        return await store.index_names()
    finally:
        await store.close()


async def test_contacts_of_the_previous_release_are_indexed(old_database: str) -> None:
    await plant_named_contacts(old_database)

    progress = await migrate(old_database)

    assert progress is not None
    assert progress.contacts == OLD_CONTACTS
    found = await indexed(old_database, 1)
    assert found == await expected(old_database, 1)
    assert found[7] == ["7", "person", "strasse"]
    assert 3 not in found
    assert await migrate(old_database) is None


async def test_a_new_database_has_no_names_to_index(old_database: str) -> None:
    assert await migrate(old_database) is None


async def test_a_killed_migration_is_resumed(
    old_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is rolled back once, while the API writes."""
    monkeypatch.setattr(names, "BATCH", 4)
    await plant_named_contacts(old_database)
    store = await open_store(old_database)
    await store.migrate()
    await store.migrate_identities()
    [service] = services([store])
    bob = WriteContext((await store.teams())[0].team_id, "test", "test")  # type: ignore[arg-type]
    for number in range(1, OLD_CONTACTS + 1, 3):
        with pytest.raises(KilledError):
            await store.engine.run(lambda: fail_at_the_end(names.next_batch()))
        await store.engine.run(names.next_batch)
        assert not await store.has_all_names()
        if number != 3:
            uuid = f"00000000-0000-4000-8000-{number:012d}"
            await service.contacts.update(
                bob, uuid, ContactInput(first=f"Renamed {number}"), overwrite=False
            )
        await service.contacts.create(bob, ContactInput(first=f"New {number}"))
        if number > OLD_CONTACTS // 3:
            break

    progress = await store.index_names()

    assert progress is not None
    assert progress.contacts >= OLD_CONTACTS
    assert await store.has_all_names()
    assert await indexed(old_database, 1) == await expected(old_database, 1)
    await store.close()


class KilledError(Exception):
    """Stands for the end of the process in the middle of a transaction."""


def fail_at_the_end(script: Any) -> Any:
    """Run the statements of a script, and raise KilledError at its end."""
    yield from script
    raise KilledError


async def test_concurrent_migrations_take_turns(
    old_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "BATCH", 3)
    await plant_named_contacts(old_database)
    first = await open_store(old_database)
    await first.migrate()
    second = await open_store(old_database, migrating=True)

    done = await asyncio.gather(first.index_names(), second.index_names())

    assert sum(each is not None for each in done) == 1
    assert await indexed(old_database, 1) == await expected(old_database, 1)
    await first.close()
    await second.close()


async def test_outdated_words_of_an_older_release_are_replaced(
    old_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older release changes names without changing their words."""
    monkeypatch.setattr(names, "BATCH", 10)
    await plant_named_contacts(old_database)
    store = await open_store(old_database)
    await store.migrate()
    raw = sql_runner(old_database)
    await raw("INSERT INTO contact_name (team_id, word, contact_id) VALUES (1, 'stale', 7)")

    await store.index_names()

    assert await indexed(old_database, 1) == await expected(old_database, 1)
    await store.close()


async def test_rewrite_names_indexes_one_contact(
    api: Api, bob: WriteContext, anna: Contact
) -> None:
    await sql_runner(api.database)("DELETE FROM contact_name")

    await api.store.rewrite_names(bob.team_id, anna.id)
    await api.store.rewrite_names(bob.team_id, 880_001)

    assert await indexed(api.database, bob.team_id) == {anna.id: ["anna", "maria", "müller"]}
