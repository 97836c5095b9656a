"""History, event feed, state at a past time, export and erasure."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import Struct

from reachbook.domain import contact as contacts
from reachbook.domain import replay
from reachbook.domain.channel import ChannelList, require_contact
from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.event import EventRecord
from reachbook.domain.suppression import Location, locations_of
from reachbook.service.contact_writer import ContactWriter, WriteContext, unwrap
from reachbook.storage import STALE, Outcome, Queries
from reachbook.storage.queries import FAR_FUTURE
from reachbook.storage.retry import Attempts

PAGE_EVENTS = 1_000
"""How many events are read at a time if the whole history is needed."""


class EventPage(Struct, frozen=True):
    """Events, the position of the next page (None: there is none), and the labels of actors."""

    events: list[EventRecord]
    next: int | None
    labels: dict[str, str]


class Export(Struct, frozen=True):
    """A contact, and its events up to its revision, oldest first, in pages.

    Iterating `pages` reads one page at a time. If the contact is erased meanwhile, the events that
    follow have null values.
    """

    contact: Contact
    labels: dict[str, str]
    pages: AsyncGenerator[list[EventRecord], None]


class History:
    """The past of contacts."""

    def __init__(self, writer: ContactWriter, queries: Queries) -> None:
        self._writer = writer
        self._store = writer.store
        self._queries = queries
        self._clock = writer.clock

    async def of_contact(
        self, team_id: TeamId, uuid: str, *, before_rev: int | None, limit: int
    ) -> EventPage:
        """Returns a contact's events before a revision, newest first.

        A page with fewer events than `limit` is the last only if its `next` is None.
        """
        contact = await self._require_contact(team_id, uuid)
        return await self._page(team_id, contact, before_rev, limit)

    async def with_contact(
        self, team_id: TeamId, uuid: str, *, before_rev: int | None, limit: int
    ) -> tuple[Contact, EventPage]:
        """Returns a contact, which may be deleted or erased, and its events before a revision.

        Takes three statements. Raises `no_contact` if the team never had the contact.
        """
        contact = require_contact(await self._store.read_ever(team_id, uuid))
        return contact, await self._page(team_id, contact, before_rev, limit)

    async def _page(
        self, team_id: TeamId, contact: Contact, before_rev: int | None, limit: int
    ) -> EventPage:
        newest = FAR_FUTURE if before_rev is None else before_rev
        events = await self._queries.history(team_id, contact.id, before_rev=newest, limit=limit)
        further = events[-1].rev if events and events[-1].rev > 1 else None
        return EventPage(events, further, await self._queries.labels(team_id))

    async def feed(self, team_id: TeamId, after: int, limit: int) -> EventPage:
        """Returns a team's events after a number, in order.

        Raises `feed_restarted` if the feed never reached that number in this incarnation.
        """
        events = await self._queries.feed(team_id, after, limit)
        if not events and after > await self._queries.newest_seq(team_id):
            raise feed_restarted("after", "beyond the newest event")
        last = events[-1].seq if events else after
        return EventPage(events, last, await self._queries.labels(team_id))

    async def channels_as_of(self, team_id: TeamId, uuid: str, at: int) -> ChannelList:
        """Returns the channels of a contact at a past time, after the events at exactly this time.

        A time up to the contact's own `updated` is accepted even if this host's clock is behind it.
        """
        seen = await self._store.read_ever(team_id, uuid)
        if at > max(self._clock(), seen.updated if seen else 0):
            raise Refusal(
                Reason.BAD_VALUE,
                "as_of must not be in the future.",
                fields={"as_of": "in the future"},
            )
        contact = _not_erased(seen)
        past = await self._replay(team_id, contact, at)
        return ChannelList(team_id, contact.id, uuid, past.rev, past.at, past.channels)

    async def export(self, team_id: TeamId, uuid: str) -> Export:
        """Returns all data about a contact: its fields, its channels and its whole history."""
        contact = await self._require_contact(team_id, uuid)
        labels = await self._queries.labels(team_id)
        return Export(contact, labels, self._pages(team_id, contact))

    async def erase(self, context: WriteContext, uuid: str) -> None:
        """Remove personal data from the contact, its channels, events and stored responses."""
        outcome: Outcome = STALE
        async for _ in Attempts():
            contact = await self._require_contact(context.team_id, uuid)
            # Read again in each attempt: the change that made the last attempt stale may have added
            # an address.
            past = await self._past_locations(context.team_id, contact)
            erased = contacts.erase(contact, self._clock())
            outcome = await self._writer.erase(context, contact, erased, past)
            if outcome is not STALE:
                break
        unwrap(context, outcome)

    async def _past_locations(self, team_id: TeamId, contact: Contact) -> set[Location]:
        """Returns the addresses that the contact once had and that no other contact has now.

        A suppression of an address that another contact has belongs to that contact.
        """
        past: set[Location] = set()
        async with aclosing(self._pages(team_id, contact)) as pages:
            async for page in pages:
                for event in page:
                    past |= locations_of(event.before) | locations_of(event.after)
        # One after the other: an erasure is rare, and must not use all connections.
        owners = {each: await self._store.owner(team_id, each) for each in past}
        return {
            each for each, owner in owners.items() if not owner or owner.owner_uuid == contact.uuid
        }

    async def _require_contact(self, team_id: TeamId, uuid: str) -> Contact:
        return _not_erased(await self._store.read_ever(team_id, uuid))

    async def _replay(self, team_id: TeamId, contact: Contact, at: int) -> replay.PastState:
        """Returns a contact as of a time; raises `erased` if it is erased meanwhile."""
        past = replay.Replay()
        async with aclosing(self._pages(team_id, contact)) as pages:
            async for page in pages:
                wanted = [event for event in page if event.at <= at]
                for event in wanted:
                    past.add((event.rev, event.at, event.before, event.after))
                if past.erased:
                    raise contacts.erased_error(contact.uuid)
                if len(wanted) < len(page):
                    break
        return past.past()

    async def _pages(
        self, team_id: TeamId, contact: Contact
    ) -> AsyncGenerator[list[EventRecord], None]:
        """Yields a contact's events up to the revision that was seen, oldest first.

        The event loop runs between two pages, and one page at a time is in memory.
        """
        last = 0
        while last < contact.rev:
            # By revision and not by offset, because events may be added meanwhile.
            events = await self._queries.events_after(
                team_id, contact.id, after_rev=last, limit=PAGE_EVENTS
            )
            page = [event for event in events if event.rev <= contact.rev]
            if not page:
                return
            yield page
            last = page[-1].rev


def feed_restarted(parameter: str, problem: str) -> Refusal:
    """Returns the refusal of a feed position that is not of this incarnation of the store."""
    return Refusal(
        Reason.FEED_RESTARTED,
        f"{parameter} is {problem}: the store was restored to an earlier state. Discard what you "
        "built from the feed, and begin again with after=0 and without incarnation.",
        fields={parameter: problem},
    )


def _not_erased(seen: Contact | None) -> Contact:
    contact = require_contact(seen)
    if contact.erased is not None:
        raise contacts.erased_error(contact.uuid)
    return contact
