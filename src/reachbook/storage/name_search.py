"""The search for contacts by the beginnings of the words of their names."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.domain.names import MAX_PREFIXES, NamePosition, bad_position
from reachbook.storage.engine import Engine

MAX_CANDIDATES = 10_000
"""The maximum of index entries of the rarest prefix that are read for a page."""

# No word has this code point, which will never be assigned: it is after all words with a prefix.
AFTER_ALL = "\U0010ffff"
LOWEST_ID, HIGHEST_ID = -(2**63), 2**63 - 1

Range = tuple[str, str]


class FoundNames(Struct, frozen=True):
    """A page of entries, each of another contact, in the order of word and contact id.

    `following` is the position after which the next page begins, or None if there is none.
    `is_cut` is true if the page ends early because `MAX_CANDIDATES` entries were read.
    """

    entries: list[NamePosition]
    following: NamePosition | None = None
    is_cut: bool = False


class NamedContacts(Struct, frozen=True):
    """A page of contacts that a search found; `following` and `is_cut` are as in `FoundNames`.

    The page may have fewer contacts than the limit although another page follows.
    """

    contacts: list[Contact]
    following: NamePosition | None = None
    is_cut: bool = False


class _Search(Struct, frozen=True):
    """A search whose driving prefix, the rarest one, is known."""

    engine: Engine
    team_id: TeamId
    driving: str
    further: list[Range]


async def find(
    engine: Engine,
    team_id: TeamId,
    prefixes: Sequence[str],
    after: NamePosition | None,
    limit: int,
) -> FoundNames:
    """Returns the entries of contacts that have for each prefix a word that begins with it.

    No prefix may begin another one. Raises `bad_cursor` if `after` is of another search.
    """
    if not prefixes:
        return FoundNames([])
    driving = await _driving_prefix(engine, team_id, prefixes, after)
    further = [_range(prefix) for prefix in prefixes if prefix != driving]
    # The statement has three further ranges; those that are not needed hold every word.
    further += [("", AFTER_ALL)] * (MAX_PREFIXES - 1 - len(further))
    search = _Search(engine, team_id, driving, further)
    return await _page(search, after or NamePosition(driving, LOWEST_ID), limit)


async def _driving_prefix(
    engine: Engine, team_id: TeamId, prefixes: Sequence[str], after: NamePosition | None
) -> str:
    """Returns the prefix whose entries are read: the rarest, or that of the previous page."""
    if after is not None:
        # No prefix begins another, so at most one begins the word. Counting again could choose
        # another prefix, in whose order the position means nothing.
        driving = next((each for each in prefixes if after.word.startswith(each)), None)
        if driving is None:
            raise bad_position()
        return driving
    if len(prefixes) == 1:
        return prefixes[0]
    counts = {}
    for prefix in prefixes:
        [[counts[prefix]]] = await engine.scan(
            "count_names", team_id, *_range(prefix), MAX_CANDIDATES
        )
    # Of prefixes that are too frequent to be counted, the longest is likely to be the rarest.
    return min(prefixes, key=lambda prefix: (counts[prefix], -len(prefix)))


async def _page(search: _Search, start: NamePosition, limit: int) -> FoundNames:
    low, high = _range(search.driving)
    begin = (search.team_id, start.word, start.contact_id)
    edges = await search.engine.scan("name_at", *begin, high, MAX_CANDIDATES - 1)
    edge = NamePosition(*edges[0]) if edges else NamePosition(high, HIGHEST_ID)
    ranges = [bound for each in search.further for bound in each]
    rows = await search.engine.scan(
        "find_names", *begin, edge.word, edge.contact_id, low, *ranges, limit + 1
    )
    entries = [NamePosition(*row) for row in rows]
    if len(entries) > limit:
        return FoundNames(entries[:limit], entries[limit - 1])
    return FoundNames(entries, edge, is_cut=True) if edges else FoundNames(entries)


def _range(prefix: str) -> Range:
    """Returns the range of the words that begin with a prefix."""
    return prefix, prefix + AFTER_ALL
