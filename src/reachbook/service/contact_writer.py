"""How a contact is changed: read it, run the rule, commit.

A commit holds only if the contact is still as it was read. If it is not, the rule runs again on the
contact as it is now: a few times without locks, then while the contact is locked. The first attempt
assumes that a new address has no suppression, so that it needs no read; the commit checks this. If
another contact owns a wanted address and the request says `move`, the owner is locked, too, and
releases the address in the same commit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reachbook.domain import channel_rules, event, event_kind
from reachbook.domain.address.parsing import Address
from reachbook.domain.channel import (
    ChannelList,
    ContactChannel,
    ContactT,
    address_taken,
    has_address,
    next_timestamp,
)
from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.domain.event import Change
from reachbook.domain.on_conflict import OnConflict
from reachbook.domain.suppression import KnownSuppressions, Location, erase, suppress
from reachbook.service.team_keys import TeamKeys
from reachbook.storage import (
    STALE,
    Commit,
    Conflict,
    IdempotencyKey,
    IdempotencyRecord,
    LockSet,
    Outcome,
    Replayed,
    Saved,
    Store,
    StoredResponse,
    contended,
    ids_wanted,
    may_deadlock,
)
from reachbook.storage.retry import Attempts

# Without locks most writes take one round trip. Under contention an attempt without locks is likely
# to be stale, and an attempt that locks the contact is not.
OPTIMISTIC_ATTEMPTS = 4

Clock = Callable[[], int]
Rule = Callable[[ContactT | None, int], ContactT]
Respond = Callable[[Any], StoredResponse]
NONE_KNOWN: KnownSuppressions = {}


def no_response(_result: object) -> StoredResponse:
    """Raises: a context without `respond` must have no key."""
    raise AssertionError


class WriteContext(Struct, frozen=True):
    """The context of a write: the verified team, the credential, and the options of the request.

    `if_match` holds the revisions that the contact may have; None means any. `key` is the
    Idempotency-Key, and `respond` returns the response to store under it from the result of the use
    case. `unmovable` is an address that is not moved, even if `on_conflict` is `move`.
    """

    team_id: TeamId
    actor: str
    request_id: str
    if_match: frozenset[int] | None = None
    on_conflict: OnConflict = OnConflict.REFUSE
    key: IdempotencyKey | None = None
    respond: Respond = no_response
    unmovable: Address | None = None

    def takes_over(self, channel: ContactChannel | None) -> bool:
        """Returns whether a channel of another contact must be removed from that contact."""
        if channel is None or self.on_conflict is OnConflict.REFUSE:
            return False
        return self.unmovable is None or not has_address(channel, self.unmovable)


class AlreadyAnsweredError(Exception):
    """A response to the request is stored under its key; `response` is that response."""

    def __init__(self, response: StoredResponse) -> None:
        super().__init__("already answered")
        self.response = response


class ContactWriter:
    """Changes contacts, each in a commit of its own."""

    def __init__(self, store: Store, clock: Clock, team_keys: TeamKeys) -> None:
        self.store = store
        self.clock = clock
        self.team_keys = team_keys

    async def change(
        self, context: WriteContext, shape: type[ContactT], uuid: str, rule: Rule[ContactT]
    ) -> ContactT:
        """Apply a rule to a contact and commit the result. Returns the saved contact."""
        hold = LockSet(context.team_id, shape, uuid)
        saved: ContactT = unwrap(context, await self._write(context, hold, rule))
        return saved

    async def create(
        self, context: WriteContext, uuid: str, new: Callable[[int], Contact]
    ) -> Outcome:
        """Commit a contact that does not exist yet; `new` returns it as of a time."""

        def rule(_seen: ContactT | None, now: int) -> Contact:
            return new(now)

        return await self._write(context, LockSet(context.team_id, None, uuid), rule)

    async def erase(
        self, context: WriteContext, seen: ContactT, after: ContactT, past: set[Location]
    ) -> Outcome:
        """Commit an erasure; `past` are the addresses that the contact once had."""
        allowed = _apply_rule(context, seen, lambda: after)
        key = await self.team_keys.of(context.team_id)
        commit = _suppressed(_commit(context, seen, allowed), key, NONE_KNOWN)
        writes = erase(commit.suppression, key, past)
        commit = replace(commit, suppression=writes)
        return await self.store.commit(commit, partial(with_response, context))

    async def stored_response(self, context: WriteContext) -> StoredResponse | None:
        """Returns the response that is stored under the key of the request, if any.

        Raises `key_reused` if it was stored for another request.
        """
        if context.key is None:
            return None
        stored = await self.store.stored_response(context.team_id, context.key)
        return None if stored is None else _of_same_request(context, stored)

    async def store_response(
        self, context: WriteContext, response: StoredResponse
    ) -> StoredResponse | None:
        """Store a response without a commit; returns the one that is stored already, if any."""
        if context.key is None:
            return None
        record = IdempotencyRecord(context.key, response)
        stored = await self.store.store_response(context.team_id, record)
        return None if stored is None else _of_same_request(context, stored)

    async def _write(self, context: WriteContext, hold: LockSet, rule: Rule[Any]) -> Outcome:
        """Decide and commit; tries again after a conflict with other writes."""
        decision = Decision(self, context, hold, rule, await self.team_keys.of(context.team_id))
        async for attempt in Attempts():
            outcome = await decision.commit()
            if isinstance(outcome, Conflict) and context.takes_over(outcome.channel):
                decision.lock(outcome.owner_uuid)
            elif outcome is not STALE:
                return outcome
            elif attempt + 1 >= OPTIMISTIC_ATTEMPTS:
                decision.lock()
        return STALE


class Decision(Struct):
    """The attempts to commit one request; `hold` and `known` are those of the last attempt.

    `hold` are the contacts to lock; its `shape` is None if the contact does not exist yet.
    """

    writer: ContactWriter
    context: WriteContext
    hold: LockSet
    rule: Rule[Any]
    suppression_key: bytes
    known: KnownSuppressions = NONE_KNOWN
    is_locked: bool = False

    def lock(self, *owners: str) -> None:
        """Make the following attempts lock the contact, and the owners of wanted addresses."""
        self.is_locked = True
        self.hold = replace(self.hold, owners=self.hold.owners.union(owners))

    async def commit(self) -> Outcome:
        """Decide and commit, without locks as long as that is likely to succeed."""
        if not self.is_locked:
            outcome = await self._commit_unlocked()
            if outcome is not None:
                return outcome
        return await self._commit_locked()

    async def _commit_unlocked(self) -> Outcome | None:
        """Decide and commit; return None if that could deadlock."""
        store, hold, team_id = self.writer.store, self.hold, self.context.team_id
        seen = None
        if hold.shape is not None:
            seen = await store.read(hold.shape, team_id, hold.uuid)
        commit = self._decide(seen, [], self.known, self.writer.clock())
        if _needs_locks(self.context, commit):
            self.is_locked = True
            return None
        outcome = await store.commit(commit, partial(with_response, self.context))
        # The contact has changed, or an address that it gains has a suppression.
        if outcome is STALE:
            self.known = await store.suppressions(team_id, self.hold.digests)
        return outcome

    async def _commit_locked(self) -> Outcome:
        """Decide and commit while the contacts are locked."""

        def attempt(
            seen: ChannelList | None, owners: list[ChannelList], known: KnownSuppressions
        ) -> Commit:
            # All contacts get one time, later than the time of each: otherwise `as_of` could show
            # an address with two owners, or with none.
            contacts = (seen, *owners)
            now = max(next_timestamp(contact, self.writer.clock()) for contact in contacts)
            return self._decide(seen, owners, known, now)

        return await self.writer.store.commit_locked(
            self.hold, attempt, partial(with_response, self.context)
        )

    def _decide(
        self,
        seen: ChannelList | None,
        owners: list[ChannelList],
        known: KnownSuppressions,
        now: int,
    ) -> Commit:
        """Returns the commit of the rule for the contacts as they were read."""
        context = self.context
        after = _apply_rule(context, seen, partial(self.rule, seen, now))
        commit = _with_released_addresses(context, _commit(context, seen, after), owners, now)
        commit = _suppressed(commit, self.suppression_key, known)
        self.hold = replace(
            self.hold, digests=commit.suppression.digests, new_channels=ids_wanted(commit)
        )
        return commit


def unwrap(context: WriteContext, outcome: Outcome) -> Any:
    """Returns the saved contact.

    Raises `AlreadyAnsweredError` if the response is stored already, or a refusal.
    """
    match outcome:
        case Saved(after):
            return after
        case Replayed():
            raise AlreadyAnsweredError(_of_same_request(context, outcome))
        case Conflict(owner, "address", channel) if channel:
            raise address_taken(owner, channel)
        case Conflict(owner, field):
            reason = Reason.UUID_TAKEN if field == "uuid" else Reason.EXTERNAL_ID_TAKEN
            raise Refusal(
                reason,
                f"Contact {owner} already has this {field}; a team gives each only once.",
                fields={field: "already in use"},
                facts={"conflicting_contact_id": owner},
            )
    raise contended()


def new_contact(context: WriteContext, contact: Contact, suppression_key: bytes) -> Commit:
    """Returns the commit that creates a contact, if its addresses have no suppressions."""
    return _suppressed(_commit(context, None, contact), suppression_key, NONE_KNOWN)


def changed_contact(
    context: WriteContext, before: Contact, after: Contact, suppression_key: bytes
) -> Commit:
    """Returns the commit that changes a contact, if addresses it gains have no suppressions."""
    return _suppressed(_commit(context, before, after), suppression_key, NONE_KNOWN)


def _commit(context: WriteContext, before: ChannelList | None, after: ChannelList) -> Commit:
    return Commit(event.change(before, after), context.actor, context.request_id)


def with_response(context: WriteContext, commit: Commit) -> Commit:
    """Returns the commit with the response to store, if the request has a key."""
    if context.key is None:
        return commit
    response = context.respond(commit.change.after)
    return replace(commit, idempotency=IdempotencyRecord(context.key, response))


def _of_same_request(context: WriteContext, stored: Replayed) -> StoredResponse:
    """Returns a stored response; raise `key_reused` if it was stored for another request."""
    if context.key is None or context.key.request_hash != stored.request_hash:
        raise _key_reused()
    return stored.response


def _suppressed(commit: Commit, key: bytes, known: KnownSuppressions) -> Commit:
    """Returns the commit with the suppressions of the addresses that the contact gains."""
    if commit.is_empty():
        return commit
    (change, *others), writes = suppress(commit.changes, key, known)
    return replace(commit, change=change, others=tuple(others), suppression=writes)


def _needs_locks(context: WriteContext, commit: Commit) -> bool:
    """Returns whether the contacts must be locked before the first attempt.

    Moves of the same several addresses often run at the same time. Without locks each of them would
    hold an address that the other waits for.
    """
    return context.on_conflict is OnConflict.MOVE and may_deadlock(commit)


def _with_released_addresses(
    context: WriteContext, commit: Commit, owners: list[ChannelList], now: int
) -> Commit:
    """Returns the commit with the changes of the owners that release the wanted addresses."""
    wanted = [channel for channel in commit.change.after.channels if context.takes_over(channel)]
    pairs = [(owner, channel_rules.release_addresses(owner, wanted, now)) for owner in owners]
    released = [
        Change(event_kind.Kind.CHANNEL_MOVED_AWAY, owner, after)
        for owner, after in pairs
        if after is not owner
    ]
    first = commit.change
    # The event of a new contact keeps the kind `contact_created`.
    if released and first.before is not None:
        first = replace(first, kind=event_kind.Kind.CHANNEL_MOVED_HERE)
    return replace(commit, change=first, others=tuple(released))


def _apply_rule(
    context: WriteContext, seen: ChannelList | None, rule: Callable[[], ContactT]
) -> ContactT:
    """Returns the result of the rule; raises if `If-Match` does not allow the revision."""
    is_stale = (
        seen is not None and context.if_match is not None and seen.rev not in context.if_match
    )
    # The rule runs before If-Match is checked, because 400 and 404 take precedence over 412
    # (contract, section 8). A conflict does not: it may be due to the change that the caller has
    # not seen.
    try:
        after = rule()
    except Refusal as refusal:
        if is_stale and refusal.reason.kind is Kind.CONFLICT:
            raise _revision_changed() from None
        raise
    if is_stale:
        raise _revision_changed()
    return after


def _revision_changed() -> Refusal:
    return Refusal(
        Reason.STALE_REVISION,
        "The contact has changed since the revision in If-Match; read it again first.",
    )


def _key_reused() -> Refusal:
    return Refusal(
        Reason.KEY_REUSED,
        "This Idempotency-Key was used for another request within the last 24 hours; "
        "a new request needs a new key.",
    )
