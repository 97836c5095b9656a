"""Repairs inconsistencies, each by a commit with an event of kind `repaired`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from itertools import groupby
from operator import attrgetter

from msgspec.structs import replace

from reachbook.doctor.contact import check, owned_elsewhere, repaired
from reachbook.doctor.finding import Finding, Kind
from reachbook.doctor.reading import ContactAudit, read_stable
from reachbook.domain import event_kind
from reachbook.domain.channel import next_timestamp
from reachbook.domain.contact import Contact
from reachbook.domain.event import Change
from reachbook.storage import Commit, Store

ACTOR = "doctor"


async def repair(
    store: Store, findings: Iterable[Finding], clock: Callable[[], int]
) -> AsyncIterator[tuple[Finding, bool]]:
    """Repair what can be repaired; yields each finding, and whether it is repaired."""
    for (team_id, number), of_contact in groupby(findings, attrgetter("team_id", "number")):
        group = list(of_contact)
        after = None
        if team_id is not None and any(finding.repair for finding in group):
            after = await _repair(store, team_id, number, clock())
        # Checked again after the write: a finding is repaired only if the fault is not found again.
        left = {finding.kind for finding in (group if after is None else check(after))}
        for finding in group:
            yield finding, finding.kind not in left


async def _repair(store: Store, team_id: int, number: int, now: int) -> ContactAudit | None:
    """Repair one contact; returns its rows after that, or None if it changes during each read."""
    audit = await read_stable(store, team_id, number)
    # Checked again, because the contact may have changed since the finding.
    kinds = {finding.kind for finding in check(audit) if finding.repair} if audit else set()
    if audit is None or not kinds:
        return audit
    if Kind.NAMES in kinds:
        # The words are derived from the names, so there is no revision and no event.
        await store.rewrite_names(team_id, number)
    if audit.contact is None:
        for channel in audit.channels:
            await store.engine.write("doctor_remove_orphan", team_id, channel.id)
    elif kinds != {Kind.NAMES}:
        await _repair_contact(store, audit, audit.contact, now)
    return await read_stable(store, team_id, number)


async def _repair_contact(store: Store, audit: ContactAudit, contact: Contact, now: int) -> None:
    # If the events go beyond the contact's revision, the repair must have a later revision.
    rev = max(contact.rev, audit.events.last)
    if contact.rev != rev:
        key = (audit.team_id, audit.number)
        await store.engine.write("doctor_set_revision", *key, contact.rev, rev)
    change = repair_commit(audit, replace(contact, rev=rev), now)
    await store.commit(Commit(change, ACTOR, ACTOR))


def repair_commit(audit: ContactAudit, contact: Contact, now: int) -> Change:
    """Returns the change from the contact of the events to the repaired one.

    Its `before` is the contact as its events describe it, so that the events lead to the stored
    values after this change. It also has the stored channels that must be removed.
    """
    known = contact if audit.known is None or audit.events.replay.erased else audit.known
    known_ids = {channel.id for channel in known.channels}
    stored = {channel.id: channel for channel in audit.channels}
    at = max(next_timestamp(contact, now), contact.created, known.updated + 1)
    shared = owned_elsewhere(audit)
    correct = [repaired(channel, shared) for channel in audit.channels if contact.deleted is None]
    after = replace(
        contact,
        rev=contact.rev + 1,
        updated=at,
        channels=tuple(
            channel if channel == stored[channel.id] else replace(channel, updated=at)
            for channel in correct
        ),
        **{column: getattr(known, column) for column in audit.bad_columns},
    )
    expected = known_ids | {channel.id for channel in correct}
    removed = tuple(channel for channel in audit.channels if channel.id not in expected)
    before = replace(known, rev=contact.rev, channels=known.channels + removed)
    return Change(event_kind.Kind.REPAIRED, before, after)
