"""Pages of a team's contacts by the time of their last change (contract section 6)."""

from __future__ import annotations

from msgspec.structs import replace

from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.domain.list_cursor import (
    MAX_GROUP,
    ListCursor,
    ListQuery,
    Precision,
    date_too_coarse,
    first_of_group,
    page_start,
    shortest_precision,
)
from reachbook.storage import Queries

# A first page may end within a second if this many contacts lie beyond that second. A date that is
# cut to that second has an empty page if nothing lies beyond it. One contact would be enough if
# there were no writes, but it may change or be deleted before the second page is read.
CONTACTS_BEYOND = 3

MAX_EXTENSIONS = 3


class ContactList:
    """Reads pages so that a client that cuts times to milliseconds or seconds loses no contact."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def page(self, team_id: TeamId, query: ListQuery) -> list[Contact]:
        """Returns a page, which is empty after the last contact.

        Raises `Refusal` if the page would have to hold over `MAX_GROUP` contacts that share the
        group of the cursor, or the last group of the page.
        """
        if query.page:
            return await self._queries.skipped_page(team_id, query)
        if query.cursor is None:
            return await self._first(team_id, query)
        found = await self._queries.page(team_id, query, query.cursor.precision)
        if not found:
            await self._require_small_group(team_id, query.cursor)
        elif query.ascending:
            found = await self._extended(team_id, query, query.cursor, found)
        if _is_large(found, query.cursor.precision):
            raise date_too_coarse(found[-1].updated, query.cursor.precision)
        return found

    async def _first(self, team_id: TeamId, query: ListQuery) -> list[Contact]:
        """Returns a first page. It has no date that can be too coarse, so groups become finer."""
        found = await self._queries.page(team_id, query, Precision.MILLISECOND)
        if _is_large(found, Precision.MILLISECOND):
            return await self._queries.page(team_id, query, Precision.MICROSECOND)
        if len(found) < query.limit or await self._goes_on(team_id, query, found[-1]):
            return found
        whole = await self._queries.page(team_id, query, Precision.SECOND)
        # A later date that is cut to a large second is refused, so no contact is skipped silently.
        return found if _is_large(whole, Precision.SECOND) else whole

    async def _goes_on(self, team_id: TeamId, query: ListQuery, last: Contact) -> bool:
        """Returns whether enough contacts lie beyond the second of a page's last contact."""
        second = ListCursor(last.updated, Precision.SECOND)
        beyond = page_start(second, ascending=query.ascending).beyond
        found = await self._queries.nth_updated(
            team_id, beyond, CONTACTS_BEYOND - 1, ascending=query.ascending
        )
        return found is not None

    async def _extended(
        self, team_id: TeamId, query: ListQuery, cursor: ListCursor, found: list[Contact]
    ) -> list[Contact]:
        """Extends an ascending page whose last time would be sent back with fewer digits.

        Many date types omit zeros, so the time of a whole millisecond or second would come back as
        a date that means all of it, although more contacts of it follow.
        """
        for _ in range(MAX_EXTENSIONS):
            if len(found) < query.limit or _is_large(found, cursor.precision):
                break
            last = first_of_group(found[-1].updated, cursor.precision)
            end = last + shortest_precision(last, cursor.precision)
            following = await self._following(team_id, last + cursor.precision, end)
            if following is None:
                break
            longer = replace(query, limit=len(found) + 1)
            found = await self._queries.page(team_id, longer, cursor.precision)
        return found

    async def _following(self, team_id: TeamId, start: int, end: int) -> int | None:
        if start == end:
            return None
        time = await self._queries.nth_updated(team_id, start, 0, ascending=True)
        return time if time is not None and time < end else None

    async def _require_small_group(self, team_id: TeamId, cursor: ListCursor) -> None:
        """Raises `Refusal` if a page is empty because its cursor's group is too large."""
        if cursor.precision is Precision.MICROSECOND:
            return
        time = await self._queries.nth_updated(team_id, cursor.group(), MAX_GROUP, ascending=True)
        if time is not None and time < cursor.group() + cursor.precision:
            raise date_too_coarse(cursor.time, cursor.precision)


def _is_large(found: list[Contact], precision: Precision) -> bool:
    """Returns whether over `MAX_GROUP` contacts share the last group of a page."""
    if precision is Precision.MICROSECOND or len(found) <= MAX_GROUP:
        return False
    last = first_of_group(found[-1].updated, precision)
    return first_of_group(found[-MAX_GROUP - 1].updated, precision) == last
