"""What happened, what was, and how it is forgotten."""

from __future__ import annotations

from msgspec import Struct

from reachbook import contact as contacts
from reachbook import history
from reachbook.contact import Contact
from reachbook.credential import TeamId
from reachbook.errors import Reason, Refusal
from reachbook.event import Happened
from reachbook.reach import Reach, found
from reachbook.service.changing import Asking, Changing, Clock, settled
from reachbook.storage import STALE, Directory, Store
from reachbook.storage.directory import FAR_FUTURE

MOST_EVENTS = 100_000


class Page(Struct, frozen=True):
    """Some events, what to ask for next (None: nothing), and what the actors are called."""

    events: list[Happened]
    next: int | None
    labels: dict[str, str]


class History:
    """The past of contacts."""

    def __init__(self, store: Store, directory: Directory, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock

    async def of_contact(
        self, team_id: TeamId, uuid: str, *, before_rev: int | None, limit: int
    ) -> Page:
        """A contact's events before a revision, newest first."""
        contact = await self._ever(team_id, uuid)
        newest = FAR_FUTURE if before_rev is None else before_rev
        events = await self._directory.history(team_id, contact.id, before_rev=newest, limit=limit)
        further = events[-1].rev if len(events) == limit and events[-1].rev > 1 else None
        return Page(events, further, await self._directory.labels(team_id))

    async def feed(self, team_id: TeamId, after: int, limit: int) -> Page:
        """A team's events after a number, in order."""
        events = await self._directory.feed(team_id, after, limit)
        last = events[-1].seq if events else after
        return Page(events, last, await self._directory.labels(team_id))

    async def reach_as_of(self, team_id: TeamId, uuid: str, at: int) -> Reach:
        """How a contact could be reached at a moment, events at that very moment included.

        What the contact itself has lived through is no future, whatever our clock says.
        """
        seen = await self._store.read_ever(team_id, uuid)
        if at > max(self._clock(), seen.updated if seen else 0):
            raise Refusal(
                Reason.BAD_VALUE,
                "as_of lies in the future; give a moment that has passed.",
                fields={"as_of": "in the future"},
            )
        contact = _not_erased(seen)
        past = history.replay(_rows(await self._all(team_id, contact)), at=at)
        return Reach(team_id, contact.id, uuid, past.rev, past.at, past.channels)

    async def export(self, team_id: TeamId, uuid: str) -> tuple[Contact, Page]:
        """All that is held about one contact: as it stands, and its whole history."""
        contact = await self._ever(team_id, uuid)
        events = await self._all(team_id, contact)
        return contact, Page(events, None, await self._directory.labels(team_id))

    async def erase(self, asking: Asking, uuid: str) -> None:
        """Remove the person from contacts, channels, events and kept answers."""
        changing = Changing(self._store, self._clock)
        for _ in range(100):
            contact = await self._ever(asking.team_id, uuid)
            outcome = await changing.once(asking, contact, contacts.erase(contact, self._clock()))
            if outcome is not STALE:
                break
        settled(asking, outcome)

    async def _ever(self, team_id: TeamId, uuid: str) -> Contact:
        return _not_erased(await self._store.read_ever(team_id, uuid))

    async def _all(self, team_id: TeamId, contact: Contact) -> list[Happened]:
        """Every event of a contact, oldest first."""
        newest_first = await self._directory.history(
            team_id, contact.id, before_rev=FAR_FUTURE, limit=MOST_EVENTS
        )
        return newest_first[::-1]


def _not_erased(seen: Contact | None) -> Contact:
    contact = found(seen)
    if contact.erased is not None:
        raise contacts.erased(contact.uuid)
    return contact


def _rows(events: list[Happened]) -> list[history.Row]:
    return [(one.rev, one.at, one.before, one.after) for one in events]
