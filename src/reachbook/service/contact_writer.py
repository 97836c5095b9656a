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
from reachbook.domain.channel import ContactChannel, Page, Reach, address_taken, has_address, moment
from reachbook.domain.channel_rules import OnConflict
from reachbook.domain.contact import Contact
from reachbook.domain.credential import TeamId
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.domain.event import Change
from reachbook.domain.suppression import Known, Location, erase, suppress
from reachbook.service.team_keys import TeamKeys
from reachbook.storage import (
    STALE,
    Commit,
    Hold,
    Keep,
    Kept,
    Outcome,
    Replayed,
    Saved,
    Store,
    Taken,
    contended,
    may_deadlock,
)

OPTIMISTIC_TRIES = 4
HELD_TRIES = 100
JITTER_SECONDS = 0.01

Clock = Callable[[], int]
Rule = Callable[[Page | None, int], Page]
Attempt = Callable[[Any, int], Commit]
NONE_KNOWN: Known = {}


class Asking(Struct, frozen=True):
    """On whose behalf a use case runs: the verified team, the credential, and what they asked.

    `if_match` holds the revisions that the contact may have; None means any. `keep` says under
    which key the answer is kept for a retry. `stays` is an address that even a `move` leaves with
    its owner.
    """

    team_id: TeamId
    actor: str
    request_id: str
    if_match: frozenset[int] | None = None
    on_conflict: OnConflict = OnConflict.REFUSE
    keep: Keep | None = None
    stays: Address | None = None

    def takes(self, channel: ContactChannel | None) -> bool:
        """Whether another contact's channel is to be taken from it."""
        if channel is None or self.on_conflict is OnConflict.REFUSE:
            return False
        return self.stays is None or not has_address(channel, self.stays)


class AlreadyAnswered(Exception):  # noqa: N818 - it is an answer, not an error
    """The request was answered before, under the same key; here is that answer."""

    def __init__(self, answer: Kept) -> None:
        super().__init__("already answered")
        self.answer = answer


class Changing:
    """Changes contacts, one commit each."""

    def __init__(self, store: Store, clock: Clock, team_keys: TeamKeys) -> None:
        self.store = store
        self.clock = clock
        self.team_keys = team_keys

    async def change(self, asking: Asking, page: type[Page], uuid: str, rule: Rule[Page]) -> Page:
        """Take a contact to its next revision by a rule; what was saved."""

        def attempt(seen: Page | None, now: int) -> Commit:
            return _commit(asking, seen, _judged(asking, seen, lambda: rule(seen, now)))

        outcome: Outcome | None = None
        key = await self.team_keys.of(asking.team_id)
        known = NONE_KNOWN
        for _ in range(OPTIMISTIC_TRIES):
            seen = await self.store.read(page, asking.team_id, uuid)
            commit = _suppressed(attempt(seen, self.clock()), key, known)
            if _needs_locks(asking, commit):
                break
            outcome = await self.store.commit(commit)
            if outcome is not STALE:
                break
            known = await self.store.suppressions(asking.team_id, commit.suppression.digests)
            await asyncio.sleep(random.uniform(0, JITTER_SECONDS))
        hold = Hold(asking.team_id, page, uuid, digests=commit.suppression.digests)
        saved: Page = settled(asking, await self._insist(asking, hold, attempt, outcome))
        return saved

    async def create(self, asking: Asking, uuid: str, new: Callable[[int], Contact]) -> Outcome:
        """Commit a contact that is not there yet; `new` makes it for a moment."""

        def attempt(_seen: object, now: int) -> Commit:
            return _commit(asking, None, new(now))

        key = await self.team_keys.of(asking.team_id)
        commit = _suppressed(attempt(None, self.clock()), key, NONE_KNOWN)
        hold = Hold(asking.team_id, Contact, uuid, digests=commit.suppression.digests)
        outcome = None if _needs_locks(asking, commit) else await self.store.commit(commit)
        return await self._insist(asking, hold, attempt, outcome)

    async def erase(self, asking: Asking, seen: Page, after: Page, past: set[Location]) -> Outcome:
        """Commit an erasure; `past` are the addresses that the contact once had."""
        judged = _judged(asking, seen, lambda: after)
        key = await self.team_keys.of(asking.team_id)
        commit = _suppressed(_commit(asking, seen, judged), key, NONE_KNOWN)
        writes = erase(commit.suppression, key, past)
        return await self.store.commit(replace(commit, suppression=writes))

    async def answered(self, asking: Asking) -> None:
        """Raise the answer that the request's key was given before, if it was."""
        keep = asking.keep
        if keep is None:
            return
        kept = await self.store.kept_answer(asking.team_id, keep.key, keep.expired_before)
        if kept is not None:
            settled(asking, kept)

    async def keep_answer(self, asking: Asking, answer: Kept) -> None:
        """Keep an answer that has no effect of its own; one that is there already is raised."""
        if asking.keep is None:
            return
        there = await self.store.keep_answer(asking.team_id, asking.keep, answer)
        if there is not None:
            settled(asking, there)

    async def _insist(
        self, asking: Asking, hold: Hold, attempt: Attempt, outcome: Outcome | None
    ) -> Outcome:
        """Decide again while the contact is held, until no race and no owner is in the way.

        `outcome` is that of the commit without locks; None if there was none.

        An owner that `move` takes from is held as well, and gives up what it has of what is
        wanted in the same commit. Whoever has taken the address meanwhile is held, too. All of it
        happens at one moment, so that an address has one owner as of any.
        """
        key = await self.team_keys.of(asking.team_id)
        digests = hold.digests

        def making_way(seen: Reach | None, owners: list[Reach], known: Known) -> Commit:
            nonlocal digests
            now = max(moment(one, self.clock()) for one in (seen, *owners))
            commit = _with_way_made(asking, attempt(seen, now), owners, now)
            commit = _suppressed(commit, key, known)
            digests = commit.suppression.digests
            return commit

        for _ in range(HELD_TRIES):
            hold = replace(hold, digests=digests)
            if isinstance(outcome, Taken) and asking.takes(outcome.channel):
                hold = replace(hold, owners=hold.owners | {outcome.owner_uuid})
            elif outcome is STALE:
                await asyncio.sleep(random.uniform(0, JITTER_SECONDS))
            elif outcome is not None:
                return outcome
            outcome = await self.store.commit_held(hold, making_way)
        return STALE


def settled(asking: Asking, outcome: Outcome) -> Any:
    """The page that was saved, the answer that was given before, or the refusal."""
    match outcome:
        case Saved(after):
            return after
        case Replayed(request_hash, answer):
            if asking.keep is None or asking.keep.request_hash != request_hash:
                raise _key_reused()
            raise AlreadyAnswered(answer)
        case Taken(owner, "address", channel) if channel:
            raise address_taken(owner, channel)
        case Taken(owner, what):
            reason = Reason.UUID_TAKEN if what == "uuid" else Reason.EXTERNAL_ID_TAKEN
            raise Refusal(
                reason,
                f"Contact {owner} already has this {what}; a team gives each only once.",
                fields={what: "already in use"},
                facts={"conflicting_contact_id": owner},
            )
    raise contended()


def _commit(asking: Asking, before: Reach | None, after: Reach) -> Commit:
    return Commit((event.change(before, after),), asking.actor, asking.request_id, asking.keep)


def _suppressed(commit: Commit, key: bytes, known: Known) -> Commit:
    """Returns the commit with the suppressions of the addresses that the contact gains."""
    if commit.is_empty():
        return commit
    changes, writes = suppress(commit.changes, key, known)
    return replace(commit, changes=changes, suppression=writes)


def _needs_locks(asking: Asking, commit: Commit) -> bool:
    """Returns whether the contacts must be locked before the first attempt.

    Moves of the same several addresses often run at the same time. Without locks each of them would
    hold an address that the other waits for.
    """
    return asking.on_conflict is OnConflict.MOVE and may_deadlock(commit)


def _with_way_made(asking: Asking, commit: Commit, owners: list[Reach], now: int) -> Commit:
    """The commit, with the step of each owner that gives up what it has of what is wanted."""
    wanted = [one for one in commit.change.after.channels if asking.takes(one)]
    ways = [(owner, channel_rules.make_way(owner, wanted, now)) for owner in owners]
    given_up = [
        Change(event.Kind.CHANNEL_MOVED_AWAY, owner, after)
        for owner, after in ways
        if after is not owner
    ]
    first = commit.change
    if given_up and first.before is not None:
        first = replace(first, kind=event.Kind.CHANNEL_MOVED_HERE)
    return replace(commit, changes=(first, *given_up))


def _judged(asking: Asking, seen: Reach | None, rule: Callable[[], Page]) -> Page:
    """What the rule says, unless the contact is not at a revision that the request allows."""
    moved = seen is not None and asking.if_match is not None and seen.rev not in asking.if_match
    try:
        after = rule()
    except Refusal as no:
        if moved and no.reason.kind is Kind.CONFLICT:
            raise _moved() from None
        raise
    if moved:
        raise _moved()
    return after


def _moved() -> Refusal:
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
