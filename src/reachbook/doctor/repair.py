"""What can be put right is: by a commit like any other, told in an event of kind `repaired`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from itertools import groupby

from msgspec.structs import replace

from reachbook.doctor.contact import judge, mended, owned_elsewhere
from reachbook.doctor.finding import Finding
from reachbook.doctor.reading import Dossier, settled
from reachbook.domain import event
from reachbook.domain.channel import moment
from reachbook.domain.contact import Contact
from reachbook.domain.event import Change
from reachbook.storage import Commit, Store

ACTOR = "doctor"


async def repair(
    store: Store, findings: Iterable[Finding], clock: Callable[[], int]
) -> AsyncIterator[tuple[Finding, bool]]:
    """Each finding, and whether it is put right now."""
    for (team_id, number), of_one in groupby(findings, lambda one: (one.team_id, one.number)):
        group = list(of_one)
        after = None
        if team_id is not None and any(one.repair for one in group):
            after = await _mend(store, team_id, number, clock())
        left = {one.kind for one in (group if after is None else judge(after))}
        for one in group:
            yield one, one.kind not in left


async def _mend(store: Store, team_id: int, number: int, now: int) -> Dossier | None:
    """Put right what is kept under one number; how it stands then, None when it never rests."""
    one = await settled(store, team_id, number)
    if one is None or not any(finding.repair for finding in judge(one)):
        return one
    if one.contact is not None:
        await _mend_contact(store, one, one.contact, now)
    else:
        for channel in one.channels:
            await store.engine.write("doctor_remove_stray", team_id, channel.id)
    return await settled(store, team_id, number)


async def _mend_contact(store: Store, one: Dossier, contact: Contact, now: int) -> None:
    rev = max(contact.rev, one.told.last)
    if contact.rev != rev:
        key = (one.team_id, one.number)
        await store.engine.write("doctor_set_revision", *key, contact.rev, rev)
    change = mending(one, replace(contact, rev=rev), now)
    await store.commit(Commit((change,), ACTOR, ACTOR))


def mending(one: Dossier, contact: Contact, now: int) -> Change:
    """The step from what the events tell of a contact to what should stand.

    Its `before` is what the events tell, so that from now on they lead to what stands; and what
    stands and should not, so that it is removed.
    """
    known = contact if one.known is None or one.told.replay.erased else one.known
    told = {channel.id for channel in known.channels}
    stands = {channel.id: channel for channel in one.channels}
    at = max(moment(contact, now), contact.created, known.updated + 1)
    shared = owned_elsewhere(one)
    right = [mended(channel, shared) for channel in one.channels if contact.deleted is None]
    after = replace(
        contact,
        rev=contact.rev + 1,
        updated=at,
        channels=tuple(
            channel if channel == stands[channel.id] else replace(channel, updated=at)
            for channel in right
        ),
        **{column: getattr(known, column) for column in one.bad_columns},
    )
    kept = told | {channel.id for channel in right}
    removed = tuple(channel for channel in one.channels if channel.id not in kept)
    before = replace(known, rev=contact.rev, channels=known.channels + removed)
    return Change(event.Kind.REPAIRED, before, after)
