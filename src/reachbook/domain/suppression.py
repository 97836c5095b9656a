"""Opt-outs and bounces of addresses, which stay when no contact has the address.

The functions are pure. A suppression is stored under a keyed hash of the address, so that nothing
readable remains of an erased contact.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from reachbook.domain import timestamps
from reachbook.domain.address.parsing import IDENTITY_VERSION
from reachbook.domain.address.phone import PHONE_FAMILY
from reachbook.domain.channel import ChannelList, ContactChannel
from reachbook.domain.consent import Consent, HeldReason, SuppressionReason
from reachbook.domain.contact import Contact
from reachbook.domain.event import Change
from reachbook.domain.event_kind import Kind

SOURCE = "suppression"
DAY = 24 * 60 * 60 * timestamps.SECOND

Location = tuple[str, str, str]
"""An address as it is unique in a team: channel type, scope and identity."""


class Suppression(Struct, frozen=True, order=True):
    """A suppression as it is stored. `at` is in microseconds since the epoch."""

    digest: str
    reason: SuppressionReason
    at: int
    identity_version: int = IDENTITY_VERSION


class SuppressionWrites(Struct, frozen=True):
    """The suppressions that a commit expects to be stored, and its changes to them.

    The commit must fail if the suppressions of `digests`, those of the addresses that the contact
    gains, are not `expected`. `recorded` rows are inserted unless they are there. Of the digests in
    `erased` only the opt-out and its day may remain.
    """

    digests: tuple[str, ...] = ()
    expected: tuple[Suppression, ...] = ()
    recorded: tuple[Suppression, ...] = ()
    ended: tuple[tuple[str, SuppressionReason], ...] = ()
    erased: tuple[str, ...] = ()


KnownSuppressions = Mapping[str, Iterable[Suppression]]
"""Stored suppressions by digest."""


def digest_of(key: bytes, location: Location) -> str:
    """Returns the keyed hash of an address, in hexadecimal."""
    # The hash is keyed: without the key nobody can try all phone numbers to find out who opted out.
    # So the digest may be kept after the erasure of the person.
    return hmac.digest(key, msgspec.json.encode(location), "sha256").hex()


def location_of(channel: ContactChannel) -> Location:
    """Returns the address of a channel as it is unique in a team."""
    return channel.channel_type, channel.scope, channel.identity


class _SnapshotLocation(Struct):
    """The fields of an event's channel that make its address."""

    channel_type: str
    scope: str
    identity: str


class _ChannelSnapshots(Struct):
    channels: list[_SnapshotLocation] = []


def locations_of(text: str | None) -> set[Location]:
    """Returns the addresses in the values of an event, before or after.

    Returns none if the values cannot be read: a damaged event must not prevent an erasure.
    """
    if text is None:
        return set()
    try:
        texts = msgspec.json.decode(text, type=_ChannelSnapshots)
    except msgspec.DecodeError:
        return set()
    return {(each.channel_type, each.scope, each.identity) for each in texts.channels}


def erase(writes: SuppressionWrites, key: bytes, past: Iterable[Location]) -> SuppressionWrites:
    """Returns the writes of an erasure, including those for the contact's past addresses."""
    digests = {digest_of(key, location) for location in past}
    return replace(writes, erased=tuple(sorted(digests | set(writes.erased))))


def suppress(
    changes: tuple[Change, ...], key: bytes, known: KnownSuppressions
) -> tuple[tuple[Change, ...], SuppressionWrites]:
    """Returns changes with the suppressions of gained addresses applied, and the rows to store.

    The first change is the requested one; the others are of contacts that release an address in
    the same commit. `known` holds the suppressions that were read; an address that is not in it is
    assumed to have none, and the commit must fail if it has one.
    """
    first, *others = changes
    held = _locations(first.before)
    gained = {location_of(each) for each in first.after.channels} - held
    digests = {location: digest_of(key, location) for location in gained}
    expected = {row for digest in digests.values() for row in known.get(digest, ())}
    released = {row for other in others for row in _lost(other, key)}
    rows: dict[str, dict[SuppressionReason, int]] = {}
    for row in (*released, *expected):  # the time of the stored suppression takes precedence
        rows.setdefault(row.digest, {})[row.reason] = row.at
    # Only the requested change can end a suppression; the contacts that release addresses cannot.
    ended = set(_ended(first, key))
    channels = []
    for channel in first.after.channels:
        found = rows.get(digests.get(location_of(channel), ""))
        applied, reasons = _applied(first, channel, found) if found else (channel, ())
        channels.append(applied)
        ended |= {(digests[location_of(channel)], reason) for reason in reasons}
    if gained:
        first = replace(first, after=_shown(first, tuple(channels)))
    recorded = released | set(_lost(first, key)) | set(_set(first, key))
    writes = SuppressionWrites(
        digests=tuple(sorted(digests.values())),
        expected=tuple(sorted(expected)),
        recorded=tuple(sorted(recorded - expected)),
        ended=tuple(sorted(ended)),
        erased=_erased(first, key),
    )
    return (first, *others), writes


def fingerprint(rows: Iterable[Suppression]) -> str:
    """Returns a text that is equal only for equal suppressions; a commit compares it."""
    return ",".join(f"{row.digest}:{row.reason}:{row.at}" for row in sorted(rows))


def _locations(channel_list: ChannelList | None) -> set[Location]:
    return {location_of(each) for each in (channel_list.channels if channel_list else ())}


def _applied(
    change: Change, channel: ContactChannel, found: Mapping[SuppressionReason, int]
) -> tuple[ContactChannel, list[SuppressionReason]]:
    """Returns a gained channel with its suppressions, and the reasons that the change itself ends.

    A PATCH can give a channel another scope and a consent at once. That consent ends an opt-out.
    """
    ended = []
    opted_out = found.get(SuppressionReason.OPTED_OUT)
    if opted_out is not None:
        if channel.consent is not Consent.OPTED_OUT and channel.consent_at == change.after.updated:
            ended.append(SuppressionReason.OPTED_OUT)
        else:
            channel = replace(
                channel, consent=Consent.OPTED_OUT, consent_source=SOURCE, consent_at=opted_out
            )
    if SuppressionReason.BOUNCED in found:
        if _is_released(_before(change, channel), channel):
            ended.append(SuppressionReason.BOUNCED)
        else:
            channel = replace(channel, held_reason=HeldReason.BOUNCED)
    return channel, ended


def _before(change: Change, channel: ContactChannel) -> ContactChannel | None:
    """Returns the channel before the change, if it had the same id within a type."""
    if change.before is None or not channel.id:
        return None
    for old in change.before.channels:
        if old.id == channel.id and old.identity == channel.identity:
            return old
    return None


def _is_released(before: ContactChannel | None, after: ContactChannel) -> bool:
    return before is not None and before.held_reason is not None and after.held_reason is None


def _shown(change: Change, channels: tuple[ContactChannel, ...]) -> ChannelList:
    """Returns the contact with its channels; opts a new contact out if all its channels are."""
    after = replace(change.after, channels=channels)
    if change.before is None and isinstance(after, Contact) and channels:
        all_out = all(each.consent is Consent.OPTED_OUT for each in channels)
        if all_out and any(each.channel_type in PHONE_FAMILY for each in channels):
            return replace(after, is_opted_out=True)
    return after


def _lost(change: Change, key: bytes) -> Iterator[Suppression]:
    """Yields the suppressions of the addresses that a contact loses.

    They are stored already unless an older release, which did not store any, set them.
    """
    before = change.before
    if before is None:
        return
    remaining = _locations(change.after)
    day = DAY if change.kind is Kind.ERASED else 1
    for channel in before.channels:
        if location_of(channel) in remaining:
            continue
        digest = digest_of(key, location_of(channel))
        if _is_opted_out(before, channel):
            at = channel.consent_at or channel.updated
            yield Suppression(digest, SuppressionReason.OPTED_OUT, at - at % day)
        if channel.held_reason is HeldReason.BOUNCED and change.kind is not Kind.ERASED:
            yield Suppression(digest, SuppressionReason.BOUNCED, channel.updated)


def _is_opted_out(channel_list: ChannelList, channel: ContactChannel) -> bool:
    """Returns whether a channel is opted out, by itself or by its contact.

    An older release did not opt the addresses of an opted-out contact out. Such an address has
    never been given a consent.
    """
    if channel.consent is Consent.OPTED_OUT:
        return True
    by_contact = isinstance(channel_list, Contact) and channel_list.is_opted_out
    return by_contact and channel.consent_at is None and channel.channel_type in PHONE_FAMILY


def _set(change: Change, key: bytes) -> Iterator[Suppression]:
    """Yields the suppressions of channels that are opted out or bounced since this change."""
    old = {location_of(each): each for each in (change.before.channels if change.before else ())}
    for channel in change.after.channels:
        previous = old.get(location_of(channel))
        if previous is channel:
            continue
        opted_out = channel.consent is Consent.OPTED_OUT
        if opted_out and (previous is None or previous.consent is not Consent.OPTED_OUT):
            at = channel.consent_at or change.after.updated
            digest = digest_of(key, location_of(channel))
            yield Suppression(digest, SuppressionReason.OPTED_OUT, at)
        bounced = channel.held_reason is HeldReason.BOUNCED
        if bounced and (previous is None or previous.held_reason is not HeldReason.BOUNCED):
            digest = digest_of(key, location_of(channel))
            yield Suppression(digest, SuppressionReason.BOUNCED, change.after.updated)


def _ended(change: Change, key: bytes) -> Iterator[tuple[str, SuppressionReason]]:
    """Yields the suppressions that an explicit consent, or the end of a hold, ends."""
    old = {location_of(each): each for each in (change.before.channels if change.before else ())}
    for channel in change.after.channels:
        previous = old.get(location_of(channel))
        if previous is None or previous is channel:
            continue
        if previous.consent is Consent.OPTED_OUT and channel.consent is not Consent.OPTED_OUT:
            yield digest_of(key, location_of(channel)), SuppressionReason.OPTED_OUT
        if _is_released(previous, channel):
            yield digest_of(key, location_of(channel)), SuppressionReason.BOUNCED


def _erased(change: Change, key: bytes) -> tuple[str, ...]:
    if change.kind is not Kind.ERASED:
        return ()
    return tuple(sorted(digest_of(key, location) for location in _locations(change.before)))
