"""Many contacts in one transaction; rows that need further checks are left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import ChannelType
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.event import EventRecord
from reachbook.service import WriteContext
from reachbook.service.bulk import ContactUpdate, NewContact, claims, claims_of_many
from reachbook.storage import Queries
from reachbook.storage.queries import AddressOwner
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

PHONE = ChannelType("phone")
AMBIGUOUS = "4930123456"


def person(name: str, *digits: str, region: str | None = None, **fields: object) -> ContactInput:
    channels = tuple(ChannelInput(addresses.parse(PHONE, each, region)) for each in digits)
    return ContactInput(channels, first=name, **fields)  # type: ignore[arg-type]


async def create(api: Api, context: WriteContext, *wanted: ContactInput) -> list[Contact | None]:
    rows = [NewContact(context, each) for each in wanted]
    return await api.service.contacts.create_many(context.team_id, rows)


async def test_contacts_created_together_equal_contacts_created_alone(
    api: Api, bob: WriteContext
) -> None:
    wanted = [
        person("Alice", "15105553344", custom={"a": [1, "é"]}, tags=(3,), external_id="a-1"),
        person("Bob", "15105550000", "15105550001", assigned_user_id=7),
        person("Carol"),
    ]

    created = await create(api, bob, *wanted)

    for each, values in zip(created, wanted, strict=True):
        assert each is not None
        assert await api.service.contacts.get(bob, each.uuid) == each
        [event] = await events(api, bob, each)
        assert (event.rev, event.kind, event.actor) == (1, "contact_created", bob.actor)
        await api.service.contacts.delete(bob, each.uuid)
        alone = await api.service.contacts.create(bob, values)
        [other] = await events(api, bob, alone)
        assert comparable_values(event.after) == comparable_values(other.after)
        assert event.before is None


async def events(api: Api, context: WriteContext, contact: Contact) -> list[EventRecord]:
    history = api.service.history
    page = await history.of_contact(context.team_id, contact.uuid, before_rev=None, limit=10)
    return page.events


def comparable_values(text: str | None) -> Any:
    """Returns the values of an event without those that differ between two contacts."""
    values = json.loads(text or "")
    del values["uuid"]
    for channel in values["channels"]:
        for field in ("id", "created", "updated"):
            del channel[field]
    return values


async def test_many_contacts_are_created_in_one_transaction(api: Api, bob: WriteContext) -> None:
    before = api.app.state.state.metrics.registry.get_sample_value("reachbook_transactions_total")

    await create(api, bob, *(person(f"Person {n}", f"1510555{n:04d}") for n in range(100)))

    metrics = api.app.state.state.metrics.registry
    assert metrics.get_sample_value("reachbook_transactions_total") == before + 1
    assert metrics.get_sample_value("reachbook_commits_total") >= 100


async def test_a_row_with_a_taken_address_or_external_id_is_left_out(
    api: Api, bob: WriteContext
) -> None:
    await api.service.contacts.create(bob, person("Owner", "15105553344", external_id="taken"))

    created = await create(
        api,
        bob,
        person("Alice", "15105553344"),
        person("Bob", "15105550000"),
        person("Carol", external_id="taken"),
    )

    assert [each and each.first for each in created] == [None, "Bob", None]


async def test_addresses_of_another_team_do_not_conflict(
    api: Api, bob: WriteContext, charlie: WriteContext
) -> None:
    await api.service.contacts.create(charlie, person("Owner", "15105553344", external_id="a"))

    created = await create(api, bob, person("Alice", "15105553344", external_id="a"))

    assert created[0] is not None


async def test_a_row_that_is_refused_or_opts_out_is_left_out(api: Api, bob: WriteContext) -> None:
    ambiguous = person("Ambiguous", AMBIGUOUS, region="MX")
    assert ambiguous.channels[0].address.is_ambiguous
    created = await create(
        api,
        bob,
        ambiguous,
        person("Opted out", "15105550001", is_opted_out=True),
        person("Fine", "15105550002"),
    )

    assert [each and each.first for each in created] == [None, None, "Fine"]


async def test_a_row_with_a_suppressed_address_is_left_out(api: Api, bob: WriteContext) -> None:
    owner = await api.service.contacts.create(
        bob, person("Owner", "15105553344", is_opted_out=True)
    )
    await api.service.contacts.delete(bob, owner.uuid)

    assert await create(api, bob, person("New", "15105553344"), person("Other")) == [None, None]
    alone = await api.service.contacts.create(bob, person("New", "15105553344"))
    assert alone.channels[0].consent.value == "opted_out"


async def test_a_concurrent_owner_rolls_back_the_transaction(
    api: Api, bob: WriteContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.service.contacts.create(bob, person("Owner", "15105553344"))

    async def no_owners(
        _self: Queries, _team_id: int, address_queries: list[AddressQuery]
    ) -> list[list[AddressOwner]]:
        return [[] for _ in address_queries]

    monkeypatch.setattr(Queries, "owners", no_owners)
    created = await create(api, bob, person("Bob", "15105550000"), person("A", "15105553344"))
    monkeypatch.undo()

    assert created == [None, None]
    assert (await create(api, bob, person("Bob", "15105550000")))[0] is not None


async def update(
    api: Api, context: WriteContext, *wanted: tuple[str, ContactInput]
) -> list[Contact | None]:
    rows = [ContactUpdate(context, uuid, each, overwrite=False) for uuid, each in wanted]
    return await api.service.contacts.update_many(context.team_id, rows)


async def contact(api: Api, context: WriteContext, *positional: Any, **fields: Any) -> Contact:
    return await api.service.contacts.create(context, person(*positional, **fields))


async def test_updates_made_together_equal_updates_made_alone(api: Api, bob: WriteContext) -> None:
    changes = [
        ContactInput(last="Smith", custom={"b": 2}),
        person("Anna", "15105553344", "15105550009", external_id="a-1"),
        person("Alice", "15105553344", external_id="a-1"),  # changes nothing
    ]
    for wanted in changes:
        together = await alice(api, bob)
        [changed] = await update(api, bob, (together.uuid, wanted))

        assert changed == await api.service.contacts.get(bob, together.uuid)
        seen = [(event.rev, event.kind) for event in await events(api, bob, together)]
        await api.service.contacts.delete(bob, together.uuid)
        alone = await alice(api, bob)
        updated = await api.service.contacts.update(bob, alone.uuid, wanted, overwrite=False)
        assert seen == [(event.rev, event.kind) for event in await events(api, bob, alone)]
        assert changed is not None
        assert (changed.first, changed.last, changed.custom) == (
            updated.first,
            updated.last,
            updated.custom,
        )
        await api.service.contacts.delete(bob, alone.uuid)


async def alice(api: Api, context: WriteContext) -> Contact:
    return await contact(api, context, "Alice", "15105553344", custom={"a": 1}, external_id="a-1")


async def test_updates_share_a_transaction(api: Api, bob: WriteContext) -> None:
    created = await create(api, bob, *(person(f"Person {n}", f"1510555{n:04d}") for n in range(50)))
    metrics = api.app.state.state.metrics.registry
    before = metrics.get_sample_value("reachbook_commits_total")

    changed = await update(
        api, bob, *((each.uuid, ContactInput(last="Smith")) for each in reversed(created) if each)
    )

    assert [each and (each.first, each.last, each.rev) for each in changed] == [
        (f"Person {n}", "Smith", 2) for n in reversed(range(50))
    ]
    assert metrics.get_sample_value("reachbook_commits_total") == before + 50


@pytest.mark.parametrize(
    "wanted",
    [
        person("Alice", "15105550001"),
        person("Alice", external_id="taken"),
        person("Alice", external_id="free"),
        ContactInput(external_id=None),
        ContactInput(is_opted_out=True),
        person("Alice", AMBIGUOUS, region="MX"),
    ],
    ids=[
        "address",
        "external id",
        "frees external id",
        "clears external id",
        "opts out",
        "ambiguous",
    ],
)
async def test_an_update_that_needs_further_checks_is_left_out(
    api: Api, bob: WriteContext, wanted: ContactInput
) -> None:
    await contact(api, bob, "Owner", "15105550001", external_id="taken")
    alice = await contact(api, bob, "Alice", "15105553344", external_id="a-1")
    other = await contact(api, bob, "Other")

    changed = await update(api, bob, (alice.uuid, wanted), (other.uuid, person("Changed")))

    assert [each and each.first for each in changed] == [None, "Changed"]
    assert await api.service.contacts.get(bob, alice.uuid) == alice


async def test_an_update_of_a_contact_of_another_team_is_left_out(
    api: Api, bob: WriteContext, charlie: WriteContext
) -> None:
    alice = await contact(api, bob, "Alice")

    assert await update(api, charlie, (alice.uuid, person("Mallory"))) == [None]
    assert await api.service.contacts.get(bob, alice.uuid) == alice


async def test_a_concurrent_change_rolls_back_the_transaction(
    api: Api, bob: WriteContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, other = await contact(api, bob, "Alice"), await contact(api, bob, "Other")
    read = Queries.contacts_by_uuid

    async def read_then_write(self: Queries, *arguments: Any) -> dict[str, Contact]:
        found = await read(self, *arguments)
        await api.service.contacts.update(bob, alice.uuid, person("First"), overwrite=False)
        return found

    monkeypatch.setattr(Queries, "contacts_by_uuid", read_then_write)
    rows = [(each.uuid, ContactInput(last="Late")) for each in (alice, other)]
    assert await update(api, bob, *rows) == [None, None]
    monkeypatch.undo()

    assert (await api.service.contacts.get(bob, alice.uuid)).first == "First"
    assert await api.service.contacts.get(bob, other.uuid) == other


def test_an_address_claims_each_of_its_readings() -> None:
    ambiguous = person("A", AMBIGUOUS, region="MX")
    assert len(set(claims(ambiguous))) == 2
    assert set(claims(person("B", "15105553344", external_id="x"))) == {
        ("phone", "15105553344"),
        ("external_id", "x"),
    }


def test_duplicate_claims_within_a_row_are_ignored() -> None:
    twice = person("A", "15105553344", "15105553344")
    assert claims_of_many([twice, person("B", "15105550000")]) == set()
    assert claims_of_many([twice, person("B", "15105553344")]) == {("phone", "15105553344")}
