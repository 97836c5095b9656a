"""The search by prefixes: its order, its pages, and the bound on the entries read for a page."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from reachbook.domain import names
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.names import NamePosition
from reachbook.service import WriteContext
from reachbook.service.bulk import NewContact
from reachbook.storage import Queries, name_search
from reachbook.storage.name_search import NamedContacts
from tests.support.names import named
from tests.support.personas import Api

pytestmark = pytest.mark.anyio

SYLLABLES = ["an", "na", "ma", "ri", "smi", "th", "é", "王", "ß"]
CONTACTS = 120
TEXTS = ["a", "an", "an sm", "an smi na", "ma na ri an", "e", "é", "王", "th th", "q", "an q", "ss"]


@pytest.fixture
def api(fresh_api: Api) -> Api:
    """The API on a database of its own, because the tests count its contacts."""
    return fresh_api


@pytest.fixture
def bob(api: Api) -> WriteContext:
    """The context of a write by Bob."""
    return WriteContext(api.bob.secret.team_id, api.bob.key.id, "request-1")


async def create_contacts(api: Api, context: WriteContext, seed: int = 5) -> list[Contact]:
    """Create contacts with names of a few syllables, so that many share a prefix."""
    choose = random.Random(seed)

    def word() -> str:
        return "".join(choose.choices(SYLLABLES, k=choose.randint(1, 3)))

    wanted = [
        ContactInput(first=word(), last=f"{word()} {word()}", display_name=word())
        for _ in range(CONTACTS)
    ]
    rows = [NewContact(context, each) for each in wanted]
    made = [*await api.service.contacts.create_many(context.team_id, rows[:100])]
    made += await api.service.contacts.create_many(context.team_id, rows[100:])
    return [each for each in made if each]


async def search(
    api: Api, team_id: TeamId, text: str, after: NamePosition | None = None, limit: int = 50
) -> NamedContacts:
    queries = Queries(api.store.engine)
    return await queries.contacts_named(team_id, names.prefixes(text), after, limit)


async def all_pages(api: Api, team_id: TeamId, text: str, limit: int) -> list[NamedContacts]:
    """Return every page of a search."""
    found = [await search(api, team_id, text, None, limit)]
    while found[-1].following is not None:
        found.append(await search(api, team_id, text, found[-1].following, limit))
    return found


def expected_ids(contacts: Sequence[Contact], text: str) -> set[int]:
    """Return the ids of the contacts that a search must find."""
    prefixes = names.prefixes(text)
    return {
        each.id
        for each in contacts
        if prefixes
        and all(any(word.startswith(prefix) for word in words_of(each)) for prefix in prefixes)
    }


def words_of(contact: Contact) -> tuple[str, ...]:
    return names.words(contact.first, contact.last, contact.display_name)


async def test_contacts_are_found_in_the_order_of_the_rarest_prefix(
    api: Api, bob: WriteContext
) -> None:
    """The order is that of the word that starts with the rarest prefix."""
    made = await named(
        api, bob, "Anna,Smith", "Ann,Smythe", "Annette,Berg", "Bob,Smith", "Anja Anna,Smit"
    )

    found = await search(api, bob.team_id, "An sm")

    assert [each.last for each in found.contacts] == ["Smit", "Smith", "Smythe"] or [
        each.first for each in found.contacts
    ] == ["Anja Anna", "Ann", "Anna"]
    assert found.contacts[0] in made
    assert (found.following, found.is_cut) == (None, False)


@pytest.mark.parametrize("limit", [1, 7, 200])
async def test_each_contact_is_on_one_page(api: Api, bob: WriteContext, limit: int) -> None:
    made = await create_contacts(api, bob)
    for text in TEXTS:
        found = await all_pages(api, bob.team_id, text, limit)

        contacts = [each for page in found for each in page.contacts]
        assert len({each.id for each in contacts}) == len(contacts)
        assert {each.id for each in contacts} == expected_ids(made, text), text
        assert all(len(page.contacts) == limit for page in found[:-1])
        assert not any(page.is_cut for page in found)
        assert is_in_order(contacts, text)


def is_in_order(contacts: list[Contact], text: str) -> bool:
    """Return whether the order is that of the lowest word with one of the prefixes."""
    keys = [
        [
            (min(word for word in words_of(each) if word.startswith(prefix)), each.id)
            for each in contacts
        ]
        for prefix in names.prefixes(text)
    ]
    return not contacts or any(each == sorted(each) for each in keys)


@pytest.mark.parametrize("most", [1, 5, 30])
async def test_a_page_reads_a_bounded_number_of_entries(
    api: Api, bob: WriteContext, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Such a page has `is_cut`, may be empty, and the next page continues without loss."""
    monkeypatch.setattr(name_search, "MAX_CANDIDATES", most)
    made = await create_contacts(api, bob)
    for text in TEXTS:
        found = await all_pages(api, bob.team_id, text, 4)

        contacts = [each.id for page in found for each in page.contacts]
        assert sorted(contacts) == sorted(expected_ids(made, text)), text
        assert all(page.is_cut or len(page.contacts) == 4 for page in found[:-1])
        assert not found[-1].is_cut
    # The rarer of the two prefixes has more entries than are read for a page.
    assert any(page.is_cut for page in await all_pages(api, bob.team_id, "an zn", 4)) is False
    assert any(page.is_cut for page in await all_pages(api, bob.team_id, "an ma", 1_000))


async def test_only_entries_of_the_rarest_prefix_are_read(
    api: Api, bob: WriteContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    await named(api, bob, *(f"Anna {n},Smith" for n in range(9)), "Anna,Zed")
    read: list[Any] = []
    scan = api.store.engine.scan

    async def recorded(statement: str, *values: object) -> Any:
        rows = await scan(statement, *values)
        if statement == "find_names":
            read.append((values[5], len(rows)))
        return rows

    monkeypatch.setattr(api.store.engine, "scan", recorded)

    found = await search(api, bob.team_id, "an z")

    assert [each.last for each in found.contacts] == ["Zed"]
    assert read == [("z", 1)]


async def test_changes_between_pages_do_not_lose_other_contacts(
    api: Api, bob: WriteContext
) -> None:
    made = list(await named(api, bob, *(f"Anna,B{n}" for n in range(10))))
    first = await search(api, bob.team_id, "an b", None, 4)
    seen = [each.id for each in first.contacts]
    await api.service.contacts.delete(bob, first.contacts[3].uuid)
    await api.service.contacts.delete(bob, made[5].uuid)
    await named(api, bob, "Aaron,Berg", "Anna,Z")

    rest = await search(api, bob.team_id, "an b", first.following, 50)

    assert seen + [each.id for each in rest.contacts] == [
        each.id for n, each in enumerate(made) if n != 5
    ]


async def test_another_team_is_not_searched(api: Api, bob: WriteContext) -> None:
    charlie = WriteContext(api.charlie.secret.team_id, api.charlie.key.id, "request-2")
    await named(api, charlie, "Xanthippe,Smith")

    assert (await search(api, bob.team_id, "xan")).contacts == []
    assert len((await search(api, charlie.team_id, "xan")).contacts) == 1


async def test_a_text_without_words_finds_no_contact(api: Api, bob: WriteContext) -> None:
    await named(api, bob, "Anna,Smith")

    assert await search(api, bob.team_id, " - ") == NamedContacts([])


async def test_a_position_of_another_search_is_refused(api: Api, bob: WriteContext) -> None:
    with pytest.raises(Refusal) as refused:
        await search(api, bob.team_id, "an sm", NamePosition("berg", 1))

    assert refused.value.reason is Reason.BAD_CURSOR
