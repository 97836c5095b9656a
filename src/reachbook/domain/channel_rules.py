"""The rules by which a contact's channels change.

The rules are pure: a `Reach` and what is wanted go in, the `Reach` as it will be comes out, or a
refusal. A rule that finds nothing to do returns the very `Reach` it was given.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace as with_fields

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import Address
from reachbook.domain.channel import (
    MAX_CHANNELS,
    NOT_NUMBERED,
    Consent,
    ContactChannel,
    HeldReason,
    Named,
    Reach,
    address_taken,
    by_number,
    found,
    found_by,
    has_address,
    identities,
    matching,
    moment,
    no_channel,
    pick,
    precedence,
    primary,
    reading_held,
    too_many_channels,
)
from reachbook.domain.errors import Reason, Refusal

Value = TypeVar("Value")


class OnConflict(StrEnum):
    """What happens when another contact owns the address that is to be added."""

    REFUSE = "refuse"
    MOVE = "move"


class Wanted(Struct, frozen=True):
    """What a POST or PUT asks for. A field left unset stays as it is; "" clears it."""

    address: Address
    channel_handle: str | UnsetType = UNSET
    info_channel: str | UnsetType = UNSET


class Patch(Struct, frozen=True):
    """What a PATCH sets on one channel. A field left unset stays as it is; "" clears it.

    A `held_reason` of null is none in particular.
    """

    channel_handle: str | UnsetType = UNSET
    info_channel: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    held: bool | UnsetType = UNSET
    held_reason: HeldReason | UnsetType | None = UNSET
    consent: Consent | UnsetType = UNSET
    consent_source: str | UnsetType = UNSET


def add(reach: Reach | None, wanted: Wanted, now: int) -> Reach:
    """POST: the contact has the address and the supplied fields, whatever it had before.

    Raises `too_many` if the contact has `MAX_CHANNELS` channels and the address is not among them.
    """
    wanted = _as_held(reach, wanted)
    if reach is None:
        addresses.certain(wanted.address)
    known = found(reach)
    after = add_all(known, [wanted], now)
    if len(after.channels) > max(MAX_CHANNELS, len(known.channels)):
        raise too_many_channels(len(after.channels), field="channel_id")
    return after


def add_all(reach: Reach, wanted: Iterable[Wanted], now: int) -> Reach:
    """Adds several channels in one change, as `add` does each of them.

    Channels are looked up by identity, so the time is linear in the number of channels. The caller
    must check `MAX_CHANNELS`: it may remove channels in the same change.
    """
    at = moment(reach, now)
    channels = list(reach.channels)
    places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    stored_as: dict[tuple[str, str], int] = {}
    for place, channel in enumerate(channels):
        places[_identity(channel)].append(place)
        if addresses.is_stand_in(channel.identity):
            stored_as[channel.channel_type, channel.channel_id] = place
    changed = False
    for each in wanted:
        exact = stored_as.get((each.address.channel_type, each.address.channel_id))
        same = places[each.address.channel_type, each.address.identity]
        same = same if exact is None else [exact]
        if not same:
            addresses.certain(each.address)
            same.append(len(channels))
            channels.append(_new(each, at))
            changed = True
            continue
        # A database written by an older release can hold one address under several scopes.
        place = min(same, key=lambda index: precedence(channels[index]))
        after = _with_supplied(channels[place], each)
        if after != channels[place]:
            channels[place] = with_fields(after, updated=at)
            changed = True
    return _with_channels(reach, tuple(channels), at) if changed else reach


def replace(reach: Reach | None, wanted: Wanted, named: Named, now: int) -> Reach:
    """PUT: the channel of that type gets another address, and keeps its `id` and `created`.

    Consent and hold were the old address's; another identity begins without them.
    """
    wanted = _as_held(reach, wanted)
    if reach is None or _same_address(reach, wanted) is None:
        addresses.certain(wanted.address)
    known = found_by(reach, named)
    target = pick(known, named)
    after = with_fields(
        _with_supplied(target, wanted),
        channel_id=wanted.address.channel_id,
        identity=(
            target.identity if has_address(target, wanted.address) else wanted.address.identity
        ),
    )
    if after.identity != target.identity:
        after = with_fields(
            after, held_reason=None, consent=Consent.UNKNOWN, consent_source="", consent_at=None
        )
    _refuse_twin(known, target, after)
    return _changed(known, target, after, moment(known, now))


def remove(reach: Reach | None, named: Named, now: int) -> Reach:
    """DELETE: the channel goes for good. When several could be meant, none does."""
    known = found_by(reach, named)
    meant = matching(known, named)
    if not meant:
        raise no_channel(named)
    if len(meant) > 1:
        raise Refusal(
            Reason.SEVERAL,
            f"The contact has {len(meant)} {named.channel_type} channels; name one with "
            "?channel_id=, so that a repeated DELETE cannot take another.",
            facts={"channels": with_fields(known, channels=tuple(meant))},
        )
    return _without(known, meant[0], now)


def remove_exactly(reach: Reach | None, number: int, now: int) -> Reach:
    """DELETE of one channel by its id."""
    return _without(found(reach), by_number(reach, number), now)


def make_way(owner: Reach, taken: Collection[ContactChannel], now: int) -> Reach:
    """Another contact takes these addresses: their owner loses its channels that have them."""
    wanted = {(one.scope, *_identity(one)) for one in taken}
    left = tuple(one for one in owner.channels if (one.scope, *_identity(one)) not in wanted)
    if len(left) == len(owner.channels):
        return owner
    return _with_channels(owner, left, moment(owner, now))


def make_primary(reach: Reach | None, number: int, now: int) -> Reach:
    """The channel becomes the primary one of its type."""
    known, target = found(reach), by_number(reach, number)
    if primary(matching(known, Named(target.channel_type))) is target:
        return known
    after = with_fields(target, made_primary=known.rev + 1)
    return _changed(known, target, after, moment(known, now))


def patch(reach: Reach | None, number: int, wanted: Patch, now: int) -> Reach:
    """PATCH: set what we know of one channel."""
    known, target = found(reach), by_number(reach, number)
    at = moment(known, now)
    info_channel = _either(wanted.info_channel, target.info_channel)
    after = with_fields(
        target,
        channel_handle=_either(wanted.channel_handle, target.channel_handle),
        info_channel=info_channel,
        scope=addresses.scope(target.channel_type, info_channel),
        label=_either(wanted.label, target.label),
        held_reason=_held_reason(target, wanted),
        consent_source=_either(wanted.consent_source, target.consent_source),
    )
    if wanted.consent is not UNSET and wanted.consent is not target.consent:
        after = with_fields(after, consent=wanted.consent, consent_at=at)
    _refuse_twin(known, target, after)
    return _changed(known, target, after, at)


def _held_reason(target: ContactChannel, wanted: Patch) -> HeldReason | None:
    """A hold has a reason, `other` when none is given; a reason alone changes a hold's."""
    held = target.held_reason is not None if wanted.held is UNSET else wanted.held
    if not held:
        if wanted.held_reason:
            raise Refusal(
                Reason.BAD_VALUE,
                "held_reason says why a channel is held, and this one is not; "
                "send held: true with it.",
                fields={"held_reason": "the channel is not held"},
            )
        return None
    return _either(wanted.held_reason, target.held_reason) or HeldReason.OTHER


def _as_held(reach: Reach | None, wanted: Wanted) -> Wanted:
    """Returns `wanted` with its address in the reading that the contact already has."""
    if reach is None or not wanted.address.other_reading:
        return wanted
    return with_fields(wanted, address=reading_held(identities(reach), wanted.address))


def _same_address(reach: Reach, wanted: Wanted) -> ContactChannel | None:
    """What the contact already has of this address, in whatever scope.

    An id under another page is the same address to the contact that holds it: its info channel
    differs, and is updated.
    """
    return primary(matching(reach, Named(wanted.address.channel_type, wanted.address)))


def _refuse_twin(reach: Reach, target: ContactChannel, after: ContactChannel) -> None:
    """Two channels of one contact cannot have one address."""
    for other in reach.channels:
        if other is not target and _identity(other) == _identity(after):
            raise address_taken(reach.uuid, other, by_itself=True)


def _new(wanted: Wanted, at: int) -> ContactChannel:
    address = wanted.address
    info_channel = _either(wanted.info_channel, "")
    return ContactChannel(
        id=NOT_NUMBERED,
        channel_type=address.channel_type,
        channel_id=address.channel_id,
        scope=addresses.scope(address.channel_type, info_channel),
        identity=address.identity,
        channel_handle=_either(wanted.channel_handle, ""),
        info_channel=info_channel,
        made_primary=None,
        created=at,
        updated=at,
    )


def _with_supplied(channel: ContactChannel, wanted: Wanted) -> ContactChannel:
    info_channel = _either(wanted.info_channel, channel.info_channel)
    return with_fields(
        channel,
        channel_handle=_either(wanted.channel_handle, channel.channel_handle),
        info_channel=info_channel,
        scope=addresses.scope(channel.channel_type, info_channel),
    )


def _changed(reach: Reach, before: ContactChannel, after: ContactChannel, at: int) -> Reach:
    if after == before:
        return reach
    fresh = with_fields(after, updated=at)
    return _with_channels(
        reach, tuple(fresh if one is before else one for one in reach.channels), at
    )


def _without(reach: Reach, gone: ContactChannel, now: int) -> Reach:
    left = tuple(one for one in reach.channels if one is not gone)
    return _with_channels(reach, left, moment(reach, now))


def _with_channels(reach: Reach, channels: tuple[ContactChannel, ...], at: int) -> Reach:
    return with_fields(reach, rev=reach.rev + 1, updated=at, channels=channels)


def _identity(channel: ContactChannel) -> tuple[str, str]:
    """What one contact has only once: to the contact that holds it, a scope tells nothing apart."""
    return channel.channel_type, channel.identity


def _either(supplied: Value | UnsetType, kept: Value) -> Value:
    return kept if supplied is UNSET else supplied
