"""The use cases, a file per noun: read, rule, commit."""

from __future__ import annotations

from collections.abc import Callable

from reachbook.domain import timestamps
from reachbook.domain.channel import ChannelList
from reachbook.domain.errors import Reason, Refusal
from reachbook.service.channels import Channels
from reachbook.service.contact_writer import (
    AlreadyAnsweredError,
    Clock,
    ContactWriter,
    WriteContext,
)
from reachbook.service.contacts import Contacts
from reachbook.service.history import History
from reachbook.service.resolve import Resolved, Resolver, created_result
from reachbook.service.team_keys import TeamKeys
from reachbook.storage import IdempotencyRecord, Queries, Store, StoredResponse, Team
from reachbook.storage.queries import AddressQuery

__all__ = [
    "AddressQuery",
    "AlreadyAnsweredError",
    "Resolved",
    "Service",
    "StoredResponse",
    "TeamKeys",
    "WriteContext",
    "created_result",
]

RETRY_AFTER = 1
DAY = 24 * 60 * 60 * timestamps.SECOND


class Service:
    """The use cases, for one team at a time."""

    def __init__(self, store: Store, team_keys: TeamKeys, clock: Clock = timestamps.now) -> None:
        self._store = store
        self._clock = clock
        queries = Queries(store.engine)
        writer = ContactWriter(store, clock, team_keys)
        self.channels = Channels(writer)
        self.contacts = Contacts(writer, queries)
        self.resolving = Resolver(writer, queries)
        self.history = History(writer, queries)

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
        except Refusal as refusal:
            refusal.retry_after = refusal.retry_after or RETRY_AFTER
            raise

    async def ping(self) -> None:
        """Refuse when the store does not answer."""
        await self._store.ping()

    async def team(self, context: WriteContext) -> Team:
        """The team that asks."""
        team = await self._store.team(context.team_id)
        if team is None:
            raise Refusal(Reason.NO_TEAM, f"There is no team {context.team_id}.")
        return team

    def keep(
        self, key: str, request_hash: bytes, answer: Callable[[ChannelList], StoredResponse]
    ) -> IdempotencyRecord:
        """How the answer to a request is kept under its key, for a day."""
        now = self._clock()
        return IdempotencyRecord(key, request_hash, answer, now, now - DAY)

    async def store_response(self, context: WriteContext, answer: StoredResponse) -> None:
        """Keep an answer whose effects were committed one by one, each under a key of its own."""
        await self.channels.writer.store_response(context, answer)

    async def answered(self, context: WriteContext) -> None:
        """Raise the answer that the request's key was given before, if it was."""
        await self.channels.writer.answered(context)

    async def purge_expired_responses(self) -> None:
        """Let the answers go that are older than a day, a few at a time."""
        before = self._clock() - DAY
        for team in await self._store.teams():
            while await self._store.purge_expired_responses(team.team_id, before):
                pass
