"""The index of the words of names: every change of a name, and the migration that fills it."""

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
from tests.support.raw_sql import beside
from tests.support.services import services

pytestmark = pytest.mark.anyio

OLD_CONTACTS = 25


@pytest.fixture
def api(fresh_api: Api) -> Api:
    """The API on a database of its own, whose index is read whole."""
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


async def words(api: Api, contact: Contact) -> list[str]:
    """Returns the indexed words of a contact; the rest of the index must be right, too."""
    found = await indexed(api.database, contact.team_id)
    assert found == await expected(api.database, contact.team_id)
    return found.get(contact.id, [])


async def test_it_works(api: Api, bob: WriteContext, anna: Contact) -> None:
    """Tests a contact that is created, renamed and deleted."""
    assert await words(api, anna) == ["anna", "maria", "müller"]

    renamed = ContactInput(last="Smith", display_name="Annie")
    await api.service.contacts.update(bob, anna.uuid, renamed, overwrite=False)
    assert await words(api, anna) == ["anna", "annie", "maria", "smith"]

    nameless = ContactInput(first="", last="", display_name="")
    await api.service.contacts.update(bob, anna.uuid, nameless, overwrite=False)
    assert await words(api, anna) == []

    await api.service.contacts.update(bob, anna.uuid, ContactInput(first="Eve"), overwrite=False)
    await api.service.contacts.delete(bob, anna.uuid)
    assert await words(api, anna) == []


@pytest.mark.parametrize("deleted_before", [False, True])
async def test_an_erased_contact_has_no_words(
    api: Api, bob: WriteContext, anna: Contact, *, deleted_before: bool
) -> None:
    if deleted_before:
        await api.service.contacts.delete(bob, anna.uuid)
    path = f"/x/contact/{anna.uuid}/erase"
    assert (await api.request("DELETE", path)).status_code == 200

    assert await words(api, anna) == []


async def test_many_contacts_at_once(api: Api, bob: WriteContext) -> None:
    wanted = [ContactInput(first=f"Person {n}", last="Straße") for n in range(30)]
    wanted += [ContactInput((phone("15105553344"),)), ContactInput(first="Person 0")]

    made = await api.service.contacts.create_many(
        bob.team_id, [NewContact(bob, each) for each in wanted]
    )

    assert made[7] is not None
    assert await words(api, made[7]) == ["7", "person", "strasse"]
    assert len(await indexed(api.database, bob.team_id)) == 31 + len(await others(api, bob))


async def others(api: Api, context: WriteContext) -> list[Any]:
    """Returns the contacts with a name that the fixture has created."""
    statement = f"SELECT id FROM contact WHERE team_id = {context.team_id} AND first = 'Alice'"
    return await beside(api.database)(statement)


async def test_a_change_of_anything_else_writes_no_words(
    api: Api, bob: WriteContext, anna: Contact
) -> None:
    """The index is emptied behind the program's back: a write of words would be seen."""
    await beside(api.database)("DELETE FROM contact_name")

    await api.service.channels.add(bob, anna.uuid, phone("15105553344"))
    for wanted in (
        ContactInput((phone("15105553345"),), avatar="https://example.com/a.png"),
        ContactInput(first="Anna-Maria", last="MÜLLER"),
    ):
        await api.service.contacts.update(bob, anna.uuid, wanted, overwrite=False)
    await api.service.channels.add(bob, anna.uuid, phone("15105553346"))

    assert await indexed(api.database, bob.team_id) == {}


async def test_a_refused_create_leaves_no_words(api: Api, bob: WriteContext) -> None:
    await api.service.contacts.create(bob, ContactInput((phone("15105553344"),), first="Owner"))
    response = await api.request("POST", "/v2/contact", {"first": "Second", "phone": "15105553344"})

    assert response.status_code == 409
    assert await indexed(api.database, bob.team_id) == await expected(api.database, bob.team_id)


# ── the migration ────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/reachbook.db"
    return str(request.getfixturevalue("empty_postgres"))


async def plant_named(database: str, count: int = OLD_CONTACTS) -> None:
    """Make the store of the previous release, with contacts that have names."""
    await plant(database, [Planted(n, "telegram", f"u{n}", f"u{n}") for n in range(1, count + 1)])
    raw = beside(database)
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


async def test_contacts_of_the_previous_release_are_indexed(old: str) -> None:
    await plant_named(old)

    progress = await migrate(old)

    assert progress is not None
    assert progress.contacts == OLD_CONTACTS
    found = await indexed(old, 1)
    assert found == await expected(old, 1)
    assert found[7] == ["7", "person", "strasse"]
    assert 3 not in found
    assert await migrate(old) is None


async def test_a_new_store_has_nothing_to_index(old: str) -> None:
    assert await migrate(old) is None


async def test_a_migration_that_is_killed_continues(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each batch is lost once with its transaction; meanwhile the API writes."""
    monkeypatch.setattr(names, "BATCH", 4)
    await plant_named(old)
    store = await open_store(old)
    await store.migrate()
    await store.migrate_identities()
    [service] = services([store])
    bob = WriteContext((await store.teams())[0].team_id, "test", "test")  # type: ignore[arg-type]
    for number in range(1, OLD_CONTACTS + 1, 3):
        with pytest.raises(KilledError):
            await store.engine.run(lambda: killed_at_the_end(names.next_batch()))
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
    assert await indexed(old, 1) == await expected(old, 1)
    await store.close()


class KilledError(Exception):
    """The process ended in the middle of a transaction."""


def killed_at_the_end(script: Any) -> Any:
    """Runs the statements of a script, and fails in place of its end."""
    yield from script
    raise KilledError


async def test_several_at_once_take_turns(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "BATCH", 3)
    await plant_named(old)
    first = await open_store(old)
    await first.migrate()
    second = await open_store(old, migrating=True)

    done = await asyncio.gather(first.index_names(), second.index_names())

    assert sum(each is not None for each in done) == 1
    assert await indexed(old, 1) == await expected(old, 1)
    await first.close()
    await second.close()


async def test_words_that_an_older_release_left_behind_are_replaced(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes change names without their words, also of contacts that are indexed."""
    monkeypatch.setattr(names, "BATCH", 10)
    await plant_named(old)
    store = await open_store(old)
    await store.migrate()
    raw = beside(old)
    await raw("INSERT INTO contact_name (team_id, word, contact_id) VALUES (1, 'stale', 7)")

    await store.index_names()

    assert await indexed(old, 1) == await expected(old, 1)
    await store.close()


async def test_one_contact_is_written_anew(api: Api, bob: WriteContext, anna: Contact) -> None:
    await beside(api.database)("DELETE FROM contact_name")

    await api.store.rewrite_names(bob.team_id, anna.id)
    await api.store.rewrite_names(bob.team_id, 880_001)

    assert await indexed(api.database, bob.team_id) == {anna.id: ["anna", "maria", "müller"]}
