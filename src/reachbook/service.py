"""The use cases: read, rule, commit.

A commit holds only if the contact is still as it was read. When it is not, the rule runs again on
what is there now: a few times at once, then once more while the contact is held for us.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

from msgspec import Struct

from reachbook import contact as contacts
from reachbook import contact_channel, event, moment
from reachbook.contact import Contact, WantedContact
from reachbook.contact_channel import ContactChannel, Named, Reach, Wanted
from reachbook.credential import TeamId
from reachbook.errors import Reason, Refusal
from reachbook.storage import STALE, Commit, Saved, Stale, Store, Taken, Team

OPTIMISTIC_TRIES = 4
JITTER_SECONDS = 0.01

Clock = Callable[[], int]
Page = TypeVar("Page", bound=Reach)


class Asking(Struct, frozen=True):
    """On whose behalf a use case runs: the verified team, the credential, the request."""

    team_id: TeamId
    actor: str
    request_id: str


class Service:
    """What one can ask of the book, for one team at a time."""

    def __init__(self, store: Store, clock: Clock = moment.now) -> None:
        self._store = store
        self._clock = clock

    # ── channels ─────────────────────────────────────────────────────────────────────────────

    async def channels(self, asking: Asking, uuid: str) -> Reach:
        """How a contact can be reached."""
        return contact_channel.found(await self._store.read(Reach, asking.team_id, uuid))

    async def channel(
        self, asking: Asking, uuid: str, named: Named
    ) -> tuple[Reach, ContactChannel]:
        """The primary channel of a type, or the one that is named."""
        reach = await self.channels(asking, uuid)
        return reach, contact_channel.pick(reach, named)

    async def add_channel(self, asking: Asking, uuid: str, wanted: Wanted) -> Reach:
        """Add an address to a contact, or update what differs of one it has."""
        return await self._change(
            asking, Reach, uuid, lambda seen, now: contact_channel.add(seen, wanted, now)
        )

    async def replace_channel(
        self, asking: Asking, uuid: str, wanted: Wanted, named: Named
    ) -> Reach:
        """Give a channel of a contact another address."""
        return await self._change(
            asking, Reach, uuid, lambda seen, now: contact_channel.replace(seen, wanted, named, now)
        )

    async def remove_channel(self, asking: Asking, uuid: str, named: Named) -> Reach:
        """Take a channel from a contact, for good."""
        return await self._change(
            asking, Reach, uuid, lambda seen, now: contact_channel.remove(seen, named, now)
        )

    # ── contacts ─────────────────────────────────────────────────────────────────────────────

    async def contact(self, asking: Asking, uuid: str) -> Contact:
        """A contact and all that is known of it."""
        return contact_channel.found(await self._store.read(Contact, asking.team_id, uuid))

    async def create_contact(
        self, asking: Asking, wanted: WantedContact, uuid: str | None = None
    ) -> Contact:
        """A new contact, with a new UUID unless one is given."""
        new = contacts.create(asking.team_id, uuid or str(uuid4()), wanted, self._clock())
        saved: Contact = _settled(await self._store.commit(_commit(asking, None, new)))
        return saved

    async def delete_contact(self, asking: Asking, uuid: str) -> None:
        """Hide a contact and free its addresses."""
        await self._change(asking, Contact, uuid, contacts.delete)

    # ── the book itself ──────────────────────────────────────────────────────────────────────

    async def ready(self) -> None:
        """Refuse when the store does not answer, or not with the schema this program knows."""
        await self._store.require_schema()

    # ── teams ────────────────────────────────────────────────────────────────────────────────

    async def team(self, asking: Asking) -> Team:
        """The team that asks."""
        team = await self._store.team(asking.team_id)
        if team is None:
            raise Refusal(Reason.NO_TEAM, f"There is no team {asking.team_id}.")
        return team

    # ── how a change is made ─────────────────────────────────────────────────────────────────

    async def _change(
        self, asking: Asking, page: type[Page], uuid: str, rule: Callable[[Page | None, int], Page]
    ) -> Page:
        def attempt(seen: Page | None) -> Commit:
            return _commit(asking, seen, rule(seen, self._clock()))

        for _ in range(OPTIMISTIC_TRIES):
            commit = attempt(await self._store.read(page, asking.team_id, uuid))
            outcome = await self._store.commit(commit)
            if outcome is not STALE:
                break
            await asyncio.sleep(random.uniform(0, JITTER_SECONDS))
        else:
            outcome = await self._store.commit_held(page, asking.team_id, uuid, attempt)
        saved: Page = _settled(outcome)
        return saved


def _commit(asking: Asking, before: Reach | None, after: Reach) -> Commit:
    return Commit(event.change(before, after), asking.actor, asking.request_id)


def _settled(outcome: Saved | Stale | Taken) -> Any:
    """The page that was saved, or the refusal that names who is in the way."""
    match outcome:
        case Saved(after):
            return after
        case Taken(owner, "address", channel) if channel:
            raise contact_channel.address_taken(owner, channel)
        case Taken(owner, what):
            reason = Reason.UUID_TAKEN if what == "uuid" else Reason.EXTERNAL_ID_TAKEN
            raise Refusal(
                reason,
                f"Contact {owner} already has this {what}; a team gives each only once.",
                fields={what: "already in use"},
                facts={"conflicting_contact_id": owner},
            )
    raise Refusal(
        Reason.STORE_UNAVAILABLE,
        "Too many others are changing this contact; try again.",
        retry_after=1,
    )
