"""Counts of a team's contacts and channels, a page of contacts at a time."""

from __future__ import annotations

from msgspec import Struct

from reachbook.domain.credential import TeamId
from reachbook.storage.engine import Engine

MAX_COUNTED_AT_ONCE = 10_000
"""The contacts of a page: few enough that a count can be given up soon."""

FIRST = 0  # before the id of any contact


class ContactGroup(Struct, frozen=True):
    """A number of contacts that were added on one day and removed on one day.

    The days are counted from the `beginning` of `count_page`; None is an earlier day, and in
    `removed` also a contact that exists. `last` is the highest id of the group.
    """

    added: int | None
    removed: int | None
    is_live: bool
    contacts: int
    last: int


class TypeCount(Struct, frozen=True):
    """The channels of a type, those held, those opted out, and those that are both."""

    channel_type: str
    channels: int
    held: int
    opted_out: int
    both: int

    def __add__(self, other: TypeCount) -> TypeCount:
        return TypeCount(
            self.channel_type,
            self.channels + other.channels,
            self.held + other.held,
            self.opted_out + other.opted_out,
            self.both + other.both,
        )


class CountedPage(Struct, frozen=True):
    """The counts of a page of contacts.

    `owners` are pairs: a number of channels, and how many contacts have it. `following` is the id
    after which the next page begins, or None if this page is the last one.
    """

    groups: list[ContactGroup]
    owners: list[tuple[int, int]]
    types: list[TypeCount]
    following: int | None


async def count_page(
    engine: Engine, team_id: TeamId, after: int, beginning: int, day: int
) -> CountedPage:
    """Returns the counts of the contacts that follow an id.

    `beginning` is the time of the first day, and `day` the length of a day, in microseconds.
    """
    rows = await engine.count("count_contacts", team_id, after, MAX_COUNTED_AT_ONCE, beginning, day)
    groups = [
        ContactGroup(added, removed, bool(is_live), contacts, last)
        for added, removed, is_live, contacts, last in rows
    ]
    if not groups:
        return CountedPage([], [], [], None)
    last = max(group.last for group in groups)
    owners = await engine.count("count_contacts_by_channels", team_id, after, last)
    types = await engine.count("count_channels_by_type", team_id, after, last)
    is_full = sum(group.contacts for group in groups) >= MAX_COUNTED_AT_ONCE
    return CountedPage(
        groups,
        [(channels, contacts) for channels, contacts in owners],
        [TypeCount(*row) for row in types],
        last if is_full else None,
    )
