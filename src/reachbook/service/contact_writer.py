"""How a contact is changed: read it, run the rule, commit.

A commit holds only if the contact is still as it was read. When it is not, the rule runs again on
what is there now: a few times at once, then while the contact is held for us. The first attempt
assumes that a new address has no suppression, so that it needs no read; the commit checks this. If
another contact owns a wanted address and the request says `move`, the owner is locked, too, and
releases the address in the same commit.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reachbook.domain import channel_rules, event
from reachbook.domain.address.parsing import Address
from reachbook.domain.channel import (
    ChannelList,
    ContactChannel,
    ContactT,
    address_taken,
    has_address,
    next_timestamp,
)
from reachbook.domain.channel_rules import OnConflict
from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.domain.event import Change
from reachbook.domain.suppression import KnownSuppressions, Location, erase, suppress
from reachbook.service.team_keys import TeamKeys
from reachbook.storage import (
    STALE,
    Commit,
    Conflict,
    IdempotencyRecord,
    LockSet,
    Outcome,
    Replayed,
    Saved,
    Store,
    StoredResponse,
    contended,
    may_deadlock,
)

OPTIMISTIC_TRIES = 4
LOCKED_TRIES = 100
JITTER_SECONDS = 0.01

Clock = Callable[[], int]
Rule = Callable[[ContactT | None, int], ContactT]
Attempt = Callable[[Any, int], Commit]
NONE_KNOWN: KnownSuppressions = {}


class WriteContext(Struct, frozen=True):
    """The context of a write: the verified team, the credential, and the options of the request.

    `if_match` holds the revisions that the contact may have; None means any. `keep` says under
    which key the answer is kept for a retry. `stays` is an address that even a `move` leaves with
    its owner.
    """

    team_id: TeamId
    actor: str
    request_id: str
    if_match: frozenset[int] | None = None
    on_conflict: OnConflict = OnConflict.REFUSE
    keep: IdempotencyRecord | None = None
    stays: Address | None = None

    def takes_over(self, channel: ContactChannel | None) -> bool:
        """Whether another contact's channel is to be taken from it."""
        if channel is None or self.on_conflict is OnConflict.REFUSE:
            return False
        return self.stays is None or not has_address(channel, self.stays)


class AlreadyAnsweredError(Exception):
    """The request was answered before, under the same key; here is that answer."""

    def __init__(self, answer: StoredResponse) -> None:
        super().__init__("already answered")
        self.answer = answer


class ContactWriter:
    """Changes contacts, one commit each."""

    def __init__(self, store: Store, clock: Clock, team_keys: TeamKeys) -> None:
        self.store = store
        self.clock = clock
        self.team_keys = team_keys

    async def change(
        self, context: WriteContext, page: type[ContactT], uuid: str, rule: Rule[ContactT]
    ) -> ContactT:
        """Apply a rule to a contact and commit the result. Returns the saved contact."""

        def attempt(seen: ContactT | None, now: int) -> Commit:
            return _commit(context, seen, _apply_rule(context, seen, lambda: rule(seen, now)))

        outcome: Outcome | None = None
        key = await self.team_keys.of(context.team_id)
        known = NONE_KNOWN
        for _ in range(OPTIMISTIC_TRIES):
            seen = await self.store.read(page, context.team_id, uuid)
            commit = _suppressed(attempt(seen, self.clock()), key, known)
            if _needs_locks(context, commit):
                break
            outcome = await self.store.commit(commit)
            if outcome is not STALE:
                break
            known = await self.store.suppressions(context.team_id, commit.suppression.digests)
            await asyncio.sleep(random.uniform(0, JITTER_SECONDS))
        hold = LockSet(context.team_id, page, uuid, digests=commit.suppression.digests)
        saved: ContactT = unwrap(context, await self._retry_locked(context, hold, attempt, outcome))
        return saved

    async def create(
        self, context: WriteContext, uuid: str, new: Callable[[int], Contact]
    ) -> Outcome:
        """Commit a contact that is not there yet; `new` makes it for a moment."""

        def attempt(_seen: object, now: int) -> Commit:
            return _commit(context, None, new(now))

        key = await self.team_keys.of(context.team_id)
        commit = _suppressed(attempt(None, self.clock()), key, NONE_KNOWN)
        hold = LockSet(context.team_id, Contact, uuid, digests=commit.suppression.digests)
        outcome = None if _needs_locks(context, commit) else await self.store.commit(commit)
        return await self._retry_locked(context, hold, attempt, outcome)

    async def erase(
        self, context: WriteContext, seen: ContactT, after: ContactT, past: set[Location]
    ) -> Outcome:
        """Commit an erasure; `past` are the addresses that the contact once had."""
        judged = _apply_rule(context, seen, lambda: after)
        key = await self.team_keys.of(context.team_id)
        commit = _suppressed(_commit(context, seen, judged), key, NONE_KNOWN)
        writes = erase(commit.suppression, key, past)
        return await self.store.commit(replace(commit, suppression=writes))

    async def answered(self, context: WriteContext) -> None:
        """Raise the answer that the request's key was given before, if it was."""
        keep = context.keep
        if keep is None:
            return
        kept = await self.store.stored_response(context.team_id, keep.key, keep.expired_before)
        if kept is not None:
            unwrap(context, kept)

    async def store_response(self, context: WriteContext, answer: StoredResponse) -> None:
        """Keep an answer that has no effect of its own; one that is there already is raised."""
        if context.keep is None:
            return
        there = await self.store.store_response(context.team_id, context.keep, answer)
        if there is not None:
            unwrap(context, there)

    async def _retry_locked(
        self, context: WriteContext, hold: LockSet, attempt: Attempt, outcome: Outcome | None
    ) -> Outcome:
        """Decide again while the contact is held, until no race and no owner is in the way.

        `outcome` is that of the commit without locks; None if there was none.

        An owner that `move` takes from is locked as well, and releases its addresses that are
        wanted in the same commit. Whoever has taken the address meanwhile is held, too. All of it
        happens at one moment, so that an address has one owner as of any.
        """
        key = await self.team_keys.of(context.team_id)
        digests = hold.digests

        def making_way(
            seen: ChannelList | None, owners: list[ChannelList], known: KnownSuppressions
        ) -> Commit:
            nonlocal digests
            now = max(next_timestamp(contact, self.clock()) for contact in (seen, *owners))
            commit = _with_released_addresses(context, attempt(seen, now), owners, now)
            commit = _suppressed(commit, key, known)
            digests = commit.suppression.digests
            return commit

        for _ in range(LOCKED_TRIES):
            hold = replace(hold, digests=digests)
            if isinstance(outcome, Conflict) and context.takes_over(outcome.channel):
                hold = replace(hold, owners=hold.owners | {outcome.owner_uuid})
            elif outcome is STALE:
                await asyncio.sleep(random.uniform(0, JITTER_SECONDS))
            elif outcome is not None:
                return outcome
            outcome = await self.store.commit_locked(hold, making_way)
        return STALE


def unwrap(context: WriteContext, outcome: Outcome) -> Any:
    """The page that was saved, the answer that was given before, or the refusal."""
    match outcome:
        case Saved(after):
            return after
        case Replayed(request_hash, answer):
            if context.keep is None or context.keep.request_hash != request_hash:
                raise _key_reused()
            raise AlreadyAnsweredError(answer)
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


def _commit(context: WriteContext, before: ChannelList | None, after: ChannelList) -> Commit:
    return Commit((event.change(before, after),), context.actor, context.request_id, context.keep)


def _suppressed(commit: Commit, key: bytes, known: KnownSuppressions) -> Commit:
    """Returns the commit with the suppressions of the addresses that the contact gains."""
    if commit.is_empty():
        return commit
    changes, writes = suppress(commit.changes, key, known)
    return replace(commit, changes=changes, suppression=writes)


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
    ways = [(owner, channel_rules.release_addresses(owner, wanted, now)) for owner in owners]
    given_up = [
        Change(event.Kind.CHANNEL_MOVED_AWAY, owner, after)
        for owner, after in ways
        if after is not owner
    ]
    first = commit.change
    if given_up and first.before is not None:
        first = replace(first, kind=event.Kind.CHANNEL_MOVED_HERE)
    return replace(commit, changes=(first, *given_up))


def _apply_rule(
    context: WriteContext, seen: ChannelList | None, rule: Callable[[], ContactT]
) -> ContactT:
    """Returns the result of the rule; raises if `If-Match` does not allow the revision."""
    moved = seen is not None and context.if_match is not None and seen.rev not in context.if_match
    try:
        after = rule()
    except Refusal as refusal:
        if moved and refusal.reason.kind is Kind.CONFLICT:
            raise _revision_changed() from None
        raise
    if moved:
        raise _revision_changed()
    return after


def _revision_changed() -> Refusal:
    return Refusal(
        Reason.STALE_REVISION,
        "The contact has changed since the ETag in If-Match was given; read it again first.",
    )


def _key_reused() -> Refusal:
    return Refusal(
        Reason.KEY_REUSED,
        "This Idempotency-Key was used for another request within the last 24 hours; "
        "a new request needs a new key.",
    )
