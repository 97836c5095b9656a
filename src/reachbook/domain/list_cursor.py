"""Cursors of a list by time of change: where a page begins and where it may end.

A client passes the last row's `updated` back as `date`. Many date types cut a time to milliseconds
or to seconds, so a date means every microsecond that its digits leave open: its group. A page
never ends inside a group of the precision that was sent.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct

from reachbook.domain import timestamps
from reachbook.domain.errors import Reason, Refusal

MAX_GROUP = 5000
"""The maximum of contacts beyond `limit` in a page, so that it does not end inside a group."""

END_OF_TIME = 9_000_000_000_000_000_000
"""Later than every time; a group can be added to it in 64 bits."""


class Precision(IntEnum):
    """The length of a date's group in microseconds."""

    MICROSECOND = 1
    MILLISECOND = 1_000
    SECOND = 1_000_000


class ListCursor(Struct, frozen=True):
    """A date as it was sent: a time in microseconds, and the precision of its digits."""

    time: int
    precision: Precision

    def group(self) -> int:
        """Returns the first microsecond of the group."""
        return first_of_group(self.time, self.precision)


class ListQuery(Struct, frozen=True):
    """A request for one page of a list; `page` counts the pages of `limit` contacts to skip."""

    limit: int
    cursor: ListCursor | None = None
    ascending: bool = False
    page: int = 0


class PageStart(Struct, frozen=True):
    """Where a page begins.

    If ascending, the page begins at `start`, it is empty unless a contact is at or after `beyond`,
    and the group of the date is from `group` up to `beyond`. If descending, the page begins before
    `start`, it is empty unless a contact is before `beyond`, and the group is from `beyond` up to
    `group`. A date with microseconds has an empty group, because it must work for any number of
    contacts in the microsecond.
    """

    start: int
    beyond: int
    group: int


def page_start(cursor: ListCursor | None, *, ascending: bool) -> PageStart:
    """Returns where the page after a cursor begins, or the first page."""
    if cursor is None:
        edge = 0 if ascending else END_OF_TIME
        return PageStart(edge, edge, edge)
    near, far = cursor.group(), cursor.group() + cursor.precision
    if not ascending:
        near, far = far, near
    if cursor.precision is Precision.MICROSECOND:
        return PageStart(far, far, far)
    # A client that cuts to seconds may have seen a part of the second on a first page, which
    # ends at a millisecond. So a date without a fraction begins with its second again.
    return PageStart(near if cursor.precision is Precision.SECOND else far, far, near)


def first_of_group(time: int, precision: Precision) -> int:
    """Returns the first microsecond of the group that a time is in."""
    return time // precision * precision


def shortest_precision(time: int, precision: Precision) -> Precision:
    """Returns the precision of a time in the output of a date type that omits zeros.

    `precision` is the precision that the client has used so far.
    """
    if time % Precision.SECOND == 0:
        return Precision.SECOND
    if time % Precision.MILLISECOND == 0:
        return max(precision, Precision.MILLISECOND)
    return precision


def date_too_coarse(time: int, precision: Precision) -> Refusal:
    """Returns the refusal of a date whose page would have to hold too large a group."""
    name = precision.name.lower()
    return Refusal(
        Reason.DATE_TOO_COARSE,
        f"date: over {MAX_GROUP:,} contacts were last changed in the {name} of "
        f"{timestamps.format_micros(first_of_group(time, precision))}, so a date that is cut to "
        f"a {name} cannot name a position among them. Pass the last row's updated back unchanged, "
        "with all six digits of its fraction.",
        fields={"date": f"cut to a {name} that too many contacts share"},
    )
