"""Search a team's contacts by the beginnings of the words of their names."""

from __future__ import annotations

from msgspec import Struct

from reachbook.domain import names
from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.storage import Queries

PAGE = 50


class NamePage(Struct, frozen=True):
    """A page of found contacts, in the order of their words.

    `cursor` is that of the next page, or None if this page is the last one. `is_cut` is true if the
    page ends early because too many entries had to be read; it may then be empty although contacts
    follow.
    """

    contacts: list[Contact]
    cursor: str | None = None
    is_cut: bool = False


class NameSearch:
    """Finds contacts by their names."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def page(self, team_id: TeamId, text: str, cursor: str | None = None) -> NamePage:
        """Returns at most `PAGE` contacts.

        For each word of the text, a contact has a word that begins with it. The page is empty if
        the text has no words. Raises `bad_cursor` if the cursor is not that of an earlier page for
        the same text.
        """
        after = None if cursor is None else names.parse_position(cursor)
        found = await self._queries.contacts_named(team_id, names.prefixes(text), after, PAGE)
        following = found.following.as_text() if found.following else None
        return NamePage(found.contacts, following, found.is_cut)
