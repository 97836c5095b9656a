"""The store: reads and writes of domain values, over an engine that knows only rows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from reachbook.domain.address.parsing import IDENTITY_VERSION
from reachbook.domain.channel import ChannelList, ContactT
from reachbook.domain.contact import Contact
from reachbook.domain.credential import Credential, TeamId
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.incarnation import Incarnation, new_token
from reachbook.domain.suppression import KnownSuppressions, Location, location_of
from reachbook.metrics import Metrics
from reachbook.storage import commit as commits
from reachbook.storage import identities, migrations, names
from reachbook.storage.commit import (
    STALE,
    Commit,
    Conflict,
    IdempotencyKey,
    IdempotencyRecord,
    LockSet,
    Outcome,
    Replayed,
    Saved,
    StoredResponse,
)
from reachbook.storage.engine import (
    SUPPRESSIONS,
    Engine,
    ErasedError,
    RevisionConflictError,
    Row,
    SchemaChange,
    SuppressionEnd,
    UniqueViolationError,
    contended,
    unfit,
)
from reachbook.storage.identities import Progress, Script
from reachbook.storage.ids import IdBlocks, IdsExhaustedError, IdsOfCommit
from reachbook.storage.names import NamesProgress
from reachbook.storage.retry import Attempts
from reachbook.storage.rows import (
    NO_CREDENTIAL,
    SHAPES,
    contact_of,
    credential_of,
    credential_values,
    owner_of,
    stored_row_of,
    suppressions_of,
)

MAX_PURGED = 500
RETRY_SECONDS = 0.1
TURN_SECONDS = 60
"""How long a migration in batches waits for another one to finish a batch."""


CredentialKind = Literal["api_secret", "api_key"]
ProgressT = TypeVar("ProgressT", Progress, NamesProgress)


class Team(Struct, frozen=True):
    """A team. `created` is in microseconds since the epoch."""

    team_id: int
    name: str
    default_region: str | None
    created: int


LockedAttempt = Callable[[Any, list[ChannelList], KnownSuppressions], Commit]
Complete = Callable[[Commit], Commit]


def unchanged(commit: Commit) -> Commit:
    """Returns the commit of a request that has no Idempotency-Key."""
    return commit


class Store:
    """The stored contacts, channels, events and credentials, on either engine."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        self.engine = engine
        self._metrics = metrics
        self._ids = IdBlocks(engine.reserve_ids)
        self.has_current_identities: bool = False

    # ── contacts ─────────────────────────────────────────────────────────────────────────────

    async def read(self, shape: type[ContactT], team_id: TeamId, uuid: str) -> ContactT | None:
        """Returns a contact as a `ChannelList` or a `Contact`, or None if the team has none."""
        statement, from_rows = SHAPES[shape]
        rows = await self.engine.read(statement, team_id, uuid)
        found: ContactT | None = from_rows(rows, team_id)
        return found

    async def read_ever(self, team_id: TeamId, uuid: str) -> Contact | None:
        """Returns a contact, which may be deleted or erased; None if the team never had it."""
        return contact_of(await self.engine.read("contact_ever", team_id, uuid), team_id)

    async def commit(self, commit: Commit, complete: Complete = unchanged) -> Outcome:
        """Write a commit; new rows that have no id get one.

        `complete` is called with the commit with its ids, and returns it with the response to
        store. A commit that changes nothing and stores nothing counts as saved.
        """
        new_contacts = int(not commit.change.after.id)
        ids = await self._set_aside(new_contacts, commits.ids_wanted(commit))
        commit = complete(ids.assign(commit))
        if commit.is_empty() and commit.idempotency is None:
            return Saved(commit.change.after)
        return await self._outcome(self.engine.commit(commit), [commit])

    async def create_contacts(self, new: Sequence[tuple[Commit, Complete]]) -> list[Any]:
        """Create contacts in one transaction; returns them, or none if one cannot be created.

        Each is given as its commit and the function that completes it, as for `commit`.
        """
        if not new:
            return []
        ids = iter(await self._ids.take("contact", len(new)))
        wanted = sum(commits.ids_wanted(commit) for commit, _ in new)
        channel_ids = iter(await self._ids.take("contact_channel", wanted))
        completed = [
            complete(commits.with_ids(commit, contact_id, channel_ids))
            for (commit, complete), contact_id in zip(new, ids, strict=True)
        ]
        return await self._all_or_none(self.engine.create_contacts, completed)

    async def update_contacts(self, new: Sequence[tuple[Commit, Complete]]) -> list[Any]:
        """Change contacts in one transaction; returns them, or none if one cannot be changed.

        Each is given as for `create_contacts`, in the order of the contacts' ids. A commit that
        changes nothing and stores nothing counts as saved.
        """
        wanted = sum(commits.ids_wanted(commit) for commit, _ in new)
        channel_ids = iter(await self._ids.take("contact_channel", wanted))
        completed = [
            # A commit is empty if its contact is the same object, so it must not be copied.
            complete(
                commit
                if commit.is_empty()
                else commits.with_ids(commit, commit.change.after.id, channel_ids)
            )
            for commit, complete in new
        ]
        to_write = [each for each in completed if not (each.is_empty() and not each.idempotency)]
        if to_write and not await self._all_or_none(self.engine.update_contacts, to_write):
            return []
        return [commit.change.after for commit in completed]

    async def _all_or_none(
        self, write: Callable[[Sequence[Commit]], Awaitable[None]], completed: Sequence[Commit]
    ) -> list[Any]:
        try:
            await write(completed)
        except (RevisionConflictError, UniqueViolationError):
            return []
        self._metrics.commits.inc(len(completed))
        return [commit.change.after for commit in completed]

    async def commit_locked(
        self, hold: LockSet, attempt: LockedAttempt, complete: Complete = unchanged
    ) -> Outcome:
        """Read, decide and write while contacts are locked.

        `attempt` is called on the event loop's thread with the contact to change, in the shape of
        `hold.shape`, the owners that exist, and the suppressions of `hold.digests`. `complete` is
        as for `commit`.
        """
        statement, contact_from_rows = SHAPES[hold.shape or Contact]
        reads = [(statement, hold.uuid)]
        reads += [(SHAPES[ChannelList][0], uuid) for uuid in hold.owners]
        reads.append((SUPPRESSIONS, commits.json_text(hold.digests)))
        ids = await self._set_aside(int(hold.shape is None), hold.new_channels)
        attempted: list[Commit] = []

        def decide(found: list[list[Row]]) -> Commit:
            seen = contact_from_rows(found[0], hold.team_id)
            owners = (SHAPES[ChannelList][1](rows, hold.team_id) for rows in found[1:-1])
            known = suppressions_of(found[-1])
            commit = attempt(seen, [owner for owner in owners if owner], known)
            attempted[:] = [complete(ids.assign(commit))]
            return attempted[0]

        write = self.engine.commit_locked(hold.team_id, reads, decide)
        return await self._outcome(write, attempted)

    async def suppressions(self, team_id: int, digests: Sequence[str]) -> KnownSuppressions:
        """Returns the stored suppressions of addresses, by digest."""
        if not digests:
            return {}
        text = commits.json_text(digests)
        return suppressions_of(await self.engine.read(SUPPRESSIONS, team_id, text))

    async def end_suppression(self, values: SuppressionEnd) -> bool:
        """End a suppression of an address that nobody owns; returns False if there is none."""
        return await self.engine.end_suppression(values)

    async def owner(self, team_id: int, location: Location) -> Conflict | None:
        """Returns which contact owns an address, if any does."""
        rows = await self.engine.read("owner", team_id, *location)
        if not rows:
            return None
        uuid, channel = owner_of(rows[0])
        return Conflict(uuid, "address", channel)

    async def stored_response(self, team_id: int, key: IdempotencyKey) -> Replayed | None:
        """Returns the response stored under a key, unless it has expired."""
        rows = await self.engine.read("stored_response", team_id, key.key)
        if not rows:
            return None
        row = stored_row_of(rows[0])
        if row.created < key.expired_before:
            return None
        return Replayed(row.request_hash, StoredResponse(row.status, row.headers, row.body))

    async def store_response(self, team_id: int, record: IdempotencyRecord) -> Replayed | None:
        """Store a response by itself; returns the one that is stored already, if there is one.

        A response that mentions an erased contact is not stored.
        """
        try:
            if await self.engine.store_response(team_id, record):
                return None
        except ErasedError:
            return None
        return await self.stored_response(team_id, record.key)

    async def purge_expired_responses(self, team_id: int, before: int) -> bool:
        """Delete expired responses, at most `MAX_PURGED`; returns whether there may be more."""
        purged = await self.engine.write("purge_expired_responses", team_id, before, MAX_PURGED - 1)
        return len(purged) >= MAX_PURGED

    async def _outcome(
        self, write: Coroutine[Any, Any, object], attempted: list[Commit]
    ) -> Outcome:
        """Returns the outcome of a write; `attempted` must hold its commit if it fails.

        If a unique key is violated, the owner of the conflicting address is looked up. If there is
        none, the address has become free or an id was allocated twice: then the outcome is `STALE`,
        and the next attempt gets ids that are not in use.
        """
        try:
            await write
        except (RevisionConflictError, IdsExhaustedError):
            pass
        except UniqueViolationError:
            if conflict := await self._find_conflict(attempted[0]):
                return conflict
            await self._skip_used_ids(attempted[0].change.after.team_id)
        else:
            self._metrics.commits.inc()
            return Saved(attempted[0].change.after)
        self._metrics.stale.inc()
        return STALE

    async def _set_aside(self, contacts: int, channels: int) -> IdsOfCommit:
        return IdsOfCommit(
            await self._ids.take("contact", contacts),
            await self._ids.take("contact_channel", channels),
        )

    async def _skip_used_ids(self, team_id: int) -> None:
        self._ids.discard()
        await self.engine.skip_used_ids(team_id)

    async def _find_conflict(self, commit: Commit) -> Conflict | Replayed | None:
        """Returns the conflict of a commit: its key, an address, the external id or the UUID."""
        after, before = commit.change.after, commit.change.before
        if commit.idempotency is not None and (
            stored := await self.stored_response(after.team_id, commit.idempotency.key)
        ):
            return stored
        # In the order of the contact's channels, so that the first address in use is reported.
        released = _released(commit)
        for channel in after.channels:
            owner = await self.owner(after.team_id, location_of(channel))
            # An address that another contact releases in the same commit is no conflict.
            if owner is None or owner.owner_uuid == after.uuid:
                continue
            if owner.channel is None or owner.channel.id not in released:
                return owner
        if isinstance(after, Contact) and after.external_id is not None:
            rows = await self.engine.read(
                "contact_by_external_id", after.team_id, after.external_id
            )
            if rows and rows[0][0] != after.uuid:
                return Conflict(rows[0][0], "external_id")
        if before is None and await self.engine.read("contact_by_uuid", after.team_id, after.uuid):
            return Conflict(after.uuid, "uuid")
        return None

    # ── teams ────────────────────────────────────────────────────────────────────────────────

    async def team(self, team_id: int) -> Team | None:
        """Returns a team, or None if there is none with that id."""
        rows = await self.engine.read("team", team_id)
        return Team(*rows[0]) if rows else None

    async def teams(self) -> list[Team]:
        """Returns all teams, oldest first."""
        return [Team(*row) for row in await self.engine.read("teams")]

    async def create_team(self, name: str, default_region: str | None, now: int) -> Team:
        """Create a team with a new id, and return it."""
        async for _ in Attempts():
            team = Team((await self._ids.take("team"))[0], name, default_region, now)
            try:
                await self.engine.write("insert_team", *msgspec.structs.astuple(team))
            except UniqueViolationError:  # the id was allocated before
                await self._skip_used_ids(team.team_id)
            else:
                return team
        raise contended()

    async def set_team(self, team: Team) -> None:
        """Store the name and the default region of a team."""
        await self.engine.write("set_team", team.team_id, team.name, team.default_region)

    # ── suppression keys ─────────────────────────────────────────────────────────────────────

    async def suppression_key(self, team_id: int) -> bytes | None:
        """Returns a team's sealed key, or None if it has none yet."""
        rows = await self.engine.read("suppression_key", team_id)
        return bytes(rows[0][0]) if rows else None

    async def suppression_keys(self) -> list[tuple[int, bytes]]:
        """Returns the sealed key of every team that has one, with the team's id."""
        rows = await self.engine.read("suppression_keys")
        return [(team_id, bytes(sealed)) for team_id, sealed in rows]

    async def insert_suppression_key(self, team_id: int, sealed: bytes) -> None:
        """Store a team's key, unless there is one."""
        await self.engine.write("insert_suppression_key", team_id, sealed)

    async def reseal_suppression_key(self, team_id: int, old: bytes, new: bytes) -> bool:
        """Store a team's key sealed anew; returns False if that was done meanwhile."""
        return bool(await self.engine.write("reseal_suppression_key", team_id, old, new))

    async def discard_suppressions(self, team_id: int, sealed: bytes) -> bool:
        """Delete a team's key and its suppressions, which cannot be used without the key.

        The key is deleted last: if this is interrupted, it can be called again.
        """
        # Without the key no digest can be computed again, so nothing else would delete these rows.
        await self.engine.write("discard_suppressions", team_id)
        await self.engine.write("discard_ended_suppressions", team_id)
        return bool(await self.engine.write("discard_suppression_key", team_id, sealed))

    # ── credentials ──────────────────────────────────────────────────────────────────────────

    async def credential(self, kind: CredentialKind, team_id: int, ident: str) -> Credential | None:
        """Returns an API secret or API key, live or revoked, or None if there is none."""
        rows = await self.engine.read(kind, team_id, ident)
        # Do the same work without a row: the time must not tell whether the id exists.
        found = credential_of(rows[0] if rows else NO_CREDENTIAL)
        return found if rows else None

    async def credentials(self, kind: CredentialKind, team_id: int) -> list[Credential]:
        """Returns the API secrets or API keys of a team, oldest first."""
        return [credential_of(row) for row in await self.engine.read(f"{kind}s", team_id)]

    async def any_sealed(self) -> tuple[str, bytes] | None:
        """Returns the id and the sealed key of a live API secret, to check a master key with."""
        rows = await self.engine.read("any_api_secret")
        return (rows[0][0], bytes(rows[0][1])) if rows else None

    async def insert_api_secret(self, credential: Credential, slots: Sequence[int]) -> bool:
        """Store a new API secret in a free slot; returns False if no slot is free."""
        async for _ in Attempts():
            taken = {row[0] for row in await self.engine.read("taken_slots", credential.team_id)}
            free = [slot for slot in slots if slot not in taken]
            if not free:
                return False
            try:
                await self.engine.write(
                    "insert_api_secret",
                    credential.team_id,
                    credential.id,
                    free[0],
                    *credential_values(credential),
                )
            except UniqueViolationError:
                continue
            return True
        return False

    async def insert_api_key(self, credential: Credential) -> None:
        """Store a new API key."""
        await self.engine.write(
            "insert_api_key", credential.team_id, credential.id, *credential_values(credential)
        )

    async def revoke(self, kind: CredentialKind, team_id: int, ident: str, now: int) -> bool:
        """Revoke a credential; returns False if it was revoked before or does not exist."""
        return bool(await self.engine.write(f"revoke_{kind}", team_id, ident, now))

    async def reseal(self, credential: Credential, sealed: bytes) -> bool:
        """Store the key of a secret sealed anew; returns False if it was changed meanwhile."""
        values = (credential.team_id, credential.id, credential.proof, sealed)
        return bool(await self.engine.write("reseal_api_secret", *values))

    async def record_use(
        self, kind: CredentialKind, team_id: int, ident: str, now: int, *, unless_since: int
    ) -> None:
        """Store when a credential was last used, unless a time after `unless_since` is stored."""
        await self.engine.write(f"use_{kind}", team_id, ident, now, unless_since)

    async def ping(self) -> None:
        """Raises `store_unavailable` if the database does not respond."""
        await self.engine.read("ping")

    # ── the store itself ─────────────────────────────────────────────────────────────────────────

    async def incarnation(self) -> Incarnation:
        """Returns the incarnation of the store."""
        facts = await self._facts()
        return Incarnation(facts["incarnation"], facts["first_incarnation"])

    async def renew_incarnation(self) -> str:
        """Give the store another incarnation, and return its token.

        Running processes continue with the old token: they read it only when they start.
        """
        token = new_token()
        await self.engine.write("set_store_info", "incarnation", token)
        return token

    async def _facts(self) -> dict[str, str]:
        return {row[0]: row[1] for row in await self.engine.read("store_info")}

    # ── the schema ───────────────────────────────────────────────────────────────────────────

    async def migrate(self) -> SchemaChange:
        """Bring the schema up to date, and distribute its tables if the database has Citus.

        Raises `store_unfit`, and changes nothing, if identities have to be computed again and other
        sessions of the program use the database: an older release would write identities by its own
        rules.
        """
        found = await self.engine.schema_version()
        if found and await self._is_identity_old(found):
            sessions = await self.engine.other_sessions()
            if sessions:
                raise unfit(
                    f"{sessions} other sessions of Reachbook use the database. This migration "
                    "changes the rules by which addresses are compared: stop every process of "
                    "Reachbook, then run: reachbook migrate"
                )
        return await self.engine.migrate()

    async def migrate_identities(self) -> Progress | None:
        """Compute the identities of all channels by the current rules, if older ones made them.

        Call it after `migrate`. It can be killed and called again; several callers take turns.
        Returns the report, or None if there was nothing to do.
        """
        return await self._run_batches(identities.next_batch)

    async def index_names(self) -> NamesProgress | None:
        """Write the words of the names of contacts that an older release wrote.

        Call it after `migrate`. It can be killed and called again; several callers take turns.
        Returns the progress, or None if there was nothing to do.
        """
        return await self._run_batches(names.next_batch)

    async def has_all_names(self) -> bool:
        """Returns whether `index_names` has nothing to do."""
        return not (await self._facts())[names.CURSOR]

    async def rewrite_names(self, team_id: int, contact_id: int) -> None:
        """Write the words of a contact's names anew; delete them if there is no such contact."""
        await self.engine.run(lambda: names.rewrite(team_id, contact_id))

    async def _run_batches(
        self, next_batch: Callable[[], Script[ProgressT | None]]
    ) -> ProgressT | None:
        """Run a migration to its end, a batch in each transaction; returns its last progress."""
        deadline = time.monotonic() + TURN_SECONDS
        while True:
            try:
                progress = await self.engine.run(next_batch)
            except Refusal as refusal:
                if refusal.reason is not Reason.CONTENDED or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if progress is None or progress.is_complete:
                return progress
            deadline = time.monotonic() + TURN_SECONDS

    async def require_identities(self, *, anew: bool = False) -> None:
        """Raises `store_unfit` if the identities were computed by the rules of another release.

        After the first success the store is read again only if `anew`.
        """
        if self.has_current_identities and not anew:
            return
        version = int((await self._facts())["identity_version"])
        if version > IDENTITY_VERSION:
            raise unfit(
                f"The addresses in the database follow version {version} of the rules, and this "
                f"release supports version {IDENTITY_VERSION}. Run the release that migrated them "
                "or a newer one."
            )
        if version < IDENTITY_VERSION:
            raise unfit(
                f"The addresses in the database follow version {version} of the rules and this "
                f"release needs version {IDENTITY_VERSION}; run: reachbook migrate"
            )
        self.has_current_identities = True

    async def _is_identity_old(self, schema_version: int) -> bool:
        if schema_version < migrations.STORE_INFO:
            return bool(await self.engine.read("any_channel"))
        return int((await self._facts())["identity_version"]) < IDENTITY_VERSION

    async def require_schema(self, *, may_be_newer: bool = False) -> None:
        """Raises `store_unfit` if the schema is older than that of this program, or newer.

        A newer schema is accepted if `may_be_newer`: a running process continues when the next
        release migrates. A change that this release cannot work with is therefore made in two
        releases.
        """
        found = await self.engine.schema_version()
        if not may_be_newer:
            migrations.refuse_newer(found, self.engine.name)
        known = migrations.newest(self.engine.name)
        if found < known:
            raise unfit(
                f"The database has schema version {found} and this release needs {known}; "
                "run: reachbook migrate"
            )

    async def close(self) -> None:
        """Close all connections to the database."""
        await self.engine.close()


def _released(commit: Commit) -> set[int]:
    """Returns the ids of the channels that other contacts release in the commit."""
    released: set[int] = set()
    for change in commit.others:
        before = change.before.channels if change.before else ()
        released |= {each.id for each in before} - {each.id for each in change.after.channels}
    return released
