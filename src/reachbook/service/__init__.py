"""The use cases, a file per noun: read, rule, commit."""

from __future__ import annotations

from collections.abc import Callable

from reachbook.domain import timestamps
from reachbook.domain.channel import Reach
from reachbook.domain.errors import Reason, Refusal
from reachbook.service.channels import Channels
from reachbook.service.contact_writer import AlreadyAnswered, Asking, Changing, Clock
from reachbook.service.contacts import Contacts
from reachbook.service.history import History
from reachbook.service.resolve import Resolved, Resolving, made
from reachbook.service.team_keys import TeamKeys
from reachbook.storage import Directory, Keep, Kept, Store, Team
from reachbook.storage.queries import Sought

__all__ = ["AlreadyAnswered", "Asking", "Kept", "Resolved", "Service", "Sought", "TeamKeys", "made"]

RETRY_AFTER = 1
DAY = 24 * 60 * 60 * timestamps.SECOND


class Service:
    """What one can ask of the book, for one team at a time."""

    def __init__(self, store: Store, team_keys: TeamKeys, clock: Clock = timestamps.now) -> None:
        self._store = store
        self._clock = clock
        directory = Directory(store.engine)
        changing = Changing(store, clock, team_keys)
        self.channels = Channels(changing)
        self.contacts = Contacts(changing, directory)
        self.resolving = Resolving(changing, directory)
        self.history = History(changing, directory)

    async def ready(self) -> None:
        """Refuse when the store does not answer, or is older than this program."""
        await self._store.require_schema(may_be_newer=True)
        await self._store.require_identities(anew=True)

    async def require_identities(self) -> None:
        """Raise `store_unfit` if the identities of addresses were computed by older rules."""
        if self._store.has_current_identities:
            return
        try:
            await self._store.require_identities()
        except Refusal as no:
            no.retry_after = no.retry_after or RETRY_AFTER
            raise

    async def answers(self) -> None:
        """Refuse when the store does not answer."""
        await self._store.answers()

    async def team(self, asking: Asking) -> Team:
        """The team that asks."""
        team = await self._store.team(asking.team_id)
        if team is None:
            raise Refusal(Reason.NO_TEAM, f"There is no team {asking.team_id}.")
        return team

    def keep(self, key: str, request_hash: bytes, answer: Callable[[Reach], Kept]) -> Keep:
        """How the answer to a request is kept under its key, for a day."""
        now = self._clock()
        return Keep(key, request_hash, answer, now, now - DAY)

    async def keep_answer(self, asking: Asking, answer: Kept) -> None:
        """Keep an answer whose effects were committed one by one, each under a key of its own."""
        await self.channels.changing.keep_answer(asking, answer)

    async def answered(self, asking: Asking) -> None:
        """Raise the answer that the request's key was given before, if it was."""
        await self.channels.changing.answered(asking)

    async def forget_old_answers(self) -> None:
        """Let the answers go that are older than a day, a few at a time."""
        before = self._clock() - DAY
        for team in await self._store.teams():
            while await self._store.forget_old_answers(team.team_id, before):
                pass
