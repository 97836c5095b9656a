"""Compares a contact with the rules and with its own events, without I/O."""

from __future__ import annotations

from collections.abc import Container, Iterator

from msgspec.structs import replace

from reachbook.doctor.finding import Finding, Kind, named
from reachbook.doctor.reading import ContactAudit
from reachbook.domain import event
from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel import ContactChannel
from reachbook.domain.contact import Contact, same_json
from reachbook.domain.errors import Refusal
from reachbook.storage.identities import recomputed
from reachbook.storage.names import words_of

MAX_NAMED_CHANNELS = 5

Fault = tuple[Kind, str, str | None]
"""The kind, a sentence that describes the fault, and the repair, or None if there is none."""


def check(audit: ContactAudit) -> list[Finding]:
    """Returns the faults of one contact; they have no repair if its history is not complete."""
    faults = [*_two_owners(audit)]
    if audit.contact is None:
        faults += _without_contact(audit)
    else:
        faults += _of_contact(audit, audit.contact)
    # The words are derived from the names; every other repair needs the history.
    is_repairable = audit.contact is None or audit.is_whole
    return [
        Finding(
            kind,
            audit.team_id,
            message,
            audit.contact.uuid if audit.contact else None,
            repair if is_repairable or kind is Kind.NAMES else None,
            audit.number,
        )
        for kind, message, repair in faults
    ]


def repaired(channel: ContactChannel, shared: Container[int] = ()) -> ContactChannel:
    """Returns the channel with identity, scope and time of change derived from its other fields.

    The `channel_id` stays as it is stored, even if the rules have changed since. A channel in
    `shared` keeps the stand-in for its identity.
    """
    scope = addresses.scope(channel.channel_type, channel.info_channel)
    correct = replace(channel, scope=scope, updated=max(channel.updated, channel.created))
    identity = recomputed(channel.channel_type, channel.channel_id)
    if identity is None or channel.id in shared:
        return correct
    return replace(correct, identity=identity)


def owned_elsewhere(audit: ContactAudit) -> set[int]:
    """Returns the numbers of the channels of a contact whose identity another channel has."""
    return {number for number, owner in audit.shared.items() if owner is not None}


def _two_owners(audit: ContactAudit) -> Iterator[Fault]:
    for pair in audit.duplicates:
        owner = "it" if pair.other_contact == audit.number else f"contact {pair.other_contact}"
        message = f"{named(pair.channel)} has the address that {owner} has as {named(pair.other)}"
        yield Kind.TWO_OWNERS, f"{message}; decide whose it is, and DELETE the other", None


def _without_contact(audit: ContactAudit) -> Iterator[Fault]:
    for channel in audit.channels:
        yield (
            Kind.ORPHAN_CHANNEL,
            f"{named(channel)} belongs to contact {audit.number}, which does not exist",
            "remove it, which frees its address",
        )
    if audit.words:
        message = f"words of names are indexed for contact {audit.number}, which does not exist"
        yield Kind.NAMES, message, "remove them"
    if audit.events.last:
        message = (
            f"there are events up to revision {audit.events.last} of contact {audit.number}, which "
            "does not exist; they may be the only data of it"
        )
        yield Kind.ORPHAN_EVENT, message, None


def _of_contact(audit: ContactAudit, contact: Contact) -> Iterator[Fault]:
    if contact.deleted is not None and audit.channels:
        names = ", ".join(named(each) for each in audit.channels)
        message = f"the contact is deleted, but {names} still have addresses"
        yield Kind.ORPHAN_CHANNEL, message, "remove them, which frees the addresses"
    for channel in audit.channels:
        yield from _of_channel(channel, owned_elsewhere(audit))
    yield from _shared_addresses(audit)
    if contact.updated < contact.created:
        yield Kind.TIMES, "the contact was updated before it was created", "update it now"
    for column in audit.bad_columns:
        repair = "write the value of its events"
        yield Kind.BAD_JSON, f"the contact's {column} is not valid JSON of its type", repair
    if audit.words is not None and audit.words != set(words_of(contact)):
        message = "the indexed words of the contact are not those of its names"
        yield Kind.NAMES, message, "index the words of its names"
    yield from _of_events(audit, contact)


def _shared_addresses(audit: ContactAudit) -> Iterator[Fault]:
    """Yields pairs of channels that have one address since the rules of addresses changed."""
    by_number = {channel.id: channel for channel in audit.channels}
    for number, owner in audit.shared.items():
        if owner is None:
            continue
        channel, other = by_number[number], owner.channel
        message = (
            f"{named(number)} ({channel.channel_type} {channel.channel_id}) is the same address as "
            f"{named(other)} ({other.channel_id}) of contact {owner.contact_uuid}, which is "
            "older and keeps the identity; decide which contact needs it, and DELETE the other"
        )
        yield Kind.SHARED_ADDRESS, message, None


def _of_channel(channel: ContactChannel, shared: Container[int]) -> Iterator[Fault]:
    correct, name = repaired(channel, shared), named(channel)
    if correct.identity != channel.identity:
        message = f"the identity of {name} is not that of its address"
        yield Kind.IDENTITY, message, "derive it from the address again"
    if correct.scope != channel.scope:
        message = f"the scope of {name} is not that of its info channel"
        yield Kind.SCOPE, message, "derive it from the info channel again"
    if correct.updated != channel.updated:
        yield Kind.TIMES, f"{name} was updated before it was created", "update it now"
    try:
        kind = addresses.channel_type(channel.channel_type)
        addresses.parse(kind, channel.channel_id)
    except Refusal as refusal:
        message = f"the type or the address of {name} is not accepted: {refusal.reason.meaning}"
        yield Kind.ADDRESS, message, None


def _of_events(audit: ContactAudit, contact: Contact) -> Iterator[Fault]:
    events = audit.events
    for gap in [*events.missing, range(events.last + 1, contact.rev + 1)]:
        if gap:
            missing = f"revision {gap[0]}" if len(gap) == 1 else f"revisions {gap[0]} to {gap[-1]}"
            yield Kind.MISSING_EVENT, f"there is no event of {missing}", None
    for rev in events.repeated[:MAX_NAMED_CHANNELS]:
        yield Kind.REVISION, f"there are two events of revision {rev}", None
    for rev in audit.lost[:MAX_NAMED_CHANNELS]:
        yield Kind.MISSING_EVENT, f"the event of revision {rev} has no body", None
    for rev in events.invalid[:MAX_NAMED_CHANNELS]:
        message = f"the body of the event of revision {rev} is not valid JSON of its type"
        yield Kind.BAD_JSON, message, None
    if contact.rev < events.last:
        message = f"the contact is at revision {contact.rev}, and its events go up to {events.last}"
        yield Kind.REVISION, message, f"continue from revision {events.last}"
    elif contact.rev == events.last and audit.is_whole and audit.known and not events.replay.erased:
        differing = [
            name for name in _differing(contact, audit.known) if name not in audit.bad_columns
        ]
        if differing:
            repair = "record the stored values in an event"
            message = f"stored values differ from those of its events: {', '.join(differing)}"
            yield Kind.REPLAY, message, repair


def _comparable(channel: ContactChannel | None) -> ContactChannel | None:
    """Returns a channel without its identity, which can change without an event."""
    return channel and replace(channel, identity="")


def _differing(contact: Contact, known: Contact) -> Iterator[str]:
    """Yields the channels and the fields that differ between a contact and its events."""
    stored = {channel.id: channel for channel in contact.channels}
    replayed = {channel.id: channel for channel in known.channels}
    for number in sorted(stored.keys() | replayed.keys()):
        if _comparable(stored.get(number)) != _comparable(replayed.get(number)):
            yield named(number)
    fields = event.fields(known)
    yield from (
        name for name, value in event.fields(contact).items() if not same_json(fields[name], value)
    )
    if contact.updated != known.updated:
        yield "updated"
