"""The use cases: each reads, applies a rule and commits."""

from __future__ import annotations

from typing import Final

from reachbook.domain import timestamps
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.user import User
from reachbook.service.channels import Channels
from reachbook.service.contact_writer import (
    AlreadyAnsweredError,
    Clock,
    ContactWriter,
    WriteContext,
)
from reachbook.service.contacts import Contacts
from reachbook.service.history import History
from reachbook.service.name_search import NameSearch
from reachbook.service.resolve import Resolved, Resolver
from reachbook.service.search import Search
from reachbook.service.statistics import Statistics
from reachbook.service.team_keys import TeamKeys
from reachbook.service.users import Users
from reachbook.storage import IdempotencyKey, Queries, Store, StoredResponse, Team
from reachbook.storage.users import UserStore

__all__ = [
    "AlreadyAnsweredError",
    "IdempotencyKey",
    "Resolved",
    "Service",
    "StoredResponse",
    "Team",
    "TeamKeys",
    "WriteContext",
]

RETRY_AFTER = 1
DAY = 24 * 60 * 60 * timestamps.SECOND


class Service:
    """The use cases, for one team at a time."""

    def __init__(self, store: Store, team_keys: TeamKeys, clock: Clock = timestamps.now) -> None:
        self._store = store
        self._clock = clock
        queries = Queries(store.engine)
        writer = self._writer = ContactWriter(store, clock, team_keys)
        self.channels: Final = Channels(writer)
        self.contacts: Final = Contacts(writer, queries)
        self.resolving: Final = Resolver(writer, queries)
        self.history: Final = History(writer, queries)
        self.users: Final = Users(UserStore(store.engine), clock)
        self.names: Final = NameSearch(queries)
        self.search: Final = Search(queries, self.resolving, self.names)
        self.statistics: Final = Statistics(store, clock)

    async def ready(self) -> None:
        """Raises a refusal if the store does not respond, or is older than this program."""
        await self._store.require_schema(may_be_newer=True)
        await self._store.require_identities(anew=True)

    async def require_identities(self) -> None:
        """Raises `store_unfit` if the identities of addresses were computed by older rules."""
        if self._store.has_current_identities:
            return
        try:
            await self._store.require_identities()
        except Refusal as refusal:
            refusal.retry_after = refusal.retry_after or RETRY_AFTER
            raise

    async def ping(self) -> None:
        """Raises `store_unavailable` if the store does not respond."""
        await self._store.ping()

    async def team(self, context: WriteContext) -> tuple[Team, list[User]]:
        """Returns the team of a credential, and its users who can sign in."""
        team = await self._store.team(context.team_id)
        if team is None:
            raise Refusal(Reason.NO_TEAM, f"There is no team {context.team_id}.")
        users = await self.users.all(context.team_id)
        return team, [user for user in users if user.disabled is None]

    def idempotency_key(self, key: str, request_hash: bytes) -> IdempotencyKey:
        """Returns the key of a request, under which its response is stored for a day."""
        now = self._clock()
        return IdempotencyKey(key, request_hash, now, now - DAY)

    async def stored_response(self, context: WriteContext) -> StoredResponse | None:
        """Returns the response that is stored under the key of the request, if any.

        Raises `key_reused` if it was stored for another request.
        """
        return await self._writer.stored_response(context)

    async def store_response(
        self, context: WriteContext, response: StoredResponse
    ) -> StoredResponse | None:
        """Store a response that was not stored in the commit of its effect.

        Returns the response that a concurrent request with the same key has stored, if any.
        """
        return await self._writer.store_response(context, response)

    async def purge_expired(self) -> None:
        """Delete responses that are older than a day, and ended sessions and sign-in links."""
        before = self._clock() - DAY
        for team in await self._store.teams():
            await self.users.purge(team.team_id)
            while await self._store.purge_expired_responses(team.team_id, before):
                pass
