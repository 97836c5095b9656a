"""Contacts with names, and the words that are indexed for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from reachbook.domain import names
from reachbook.domain.contact import Contact, ContactInput
from reachbook.service import WriteContext
from tests.support.personas import Api
from tests.support.raw_sql import sql_runner


async def indexed(database: str, team_id: int) -> dict[int, list[str]]:
    """Return the indexed words of a team's contacts by id, sorted."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    statement = f"SELECT contact_id, word FROM contact_name WHERE team_id = {team_id}"
    for number, word in await sql_runner(database)(statement):
        found[number].append(word)
    return {number: sorted(words) for number, words in found.items()}


async def expected(database: str, team_id: int) -> dict[int, list[str]]:
    """Return the expected words for the names of a team's contacts."""
    statement = (
        "SELECT id, first, last, display_name FROM contact"
        f" WHERE team_id = {team_id} AND deleted IS NULL"
    )
    read = {number: names.words(*texts) for number, *texts in await sql_runner(database)(statement)}
    return {number: sorted(words) for number, words in read.items() if words}


async def named(api: Api, context: WriteContext, *full_names: str) -> Sequence[Contact]:
    """Create contacts whose first and last names are separated by a comma."""
    made = []
    for full_name in full_names:
        first, _, last = full_name.partition(",")
        made.append(
            await api.service.contacts.create(context, ContactInput(first=first, last=last))
        )
    return made
