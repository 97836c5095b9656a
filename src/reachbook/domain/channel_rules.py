"""The rules by which a contact's channels change.

The rules are pure: they take a `ChannelList` and an input, and return the next `ChannelList`, or a
refusal. A rule that finds nothing to do returns the same `ChannelList`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace as with_fields

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import Address
from reachbook.domain.channel import (
    NOT_NUMBERED,
    ChannelList,
    ChannelSelector,
    ContactChannel,
    address_taken,
    channel_by_number,
    has_address,
    identities,
    matching_channels,
    next_timestamp,
    no_channel,
    primary,
    primary_order,
    reading_held,
    require_channel,
    require_contact,
    select_channel,
    too_many_channels,
)
from reachbook.domain.consent import Consent, HeldReason
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.limits import MAX_CHANNELS

Value = TypeVar("Value")


class ChannelInput(Struct, frozen=True):
    """The channel of a POST or PUT. A field left unset stays as it is; "" clears it."""

    address: Address
    channel_handle: str | UnsetType = UNSET
    info_channel: str | UnsetType = UNSET


class Patch(Struct, frozen=True):
    """The fields of a PATCH of one channel. A field left unset stays as it is; "" clears it.

    A `held_reason` of null means that no reason is given.
    """

    channel_handle: str | UnsetType = UNSET
    info_channel: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    held: bool | UnsetType = UNSET
    held_reason: HeldReason | UnsetType | None = UNSET
    consent: Consent | UnsetType = UNSET
    consent_source: str | UnsetType = UNSET


class ChannelEdit(Struct, frozen=True):
    """Another address for a channel and other fields of it.

    `address` is None if the address is not changed, even if current rules would refuse it.
    """

    address: Address | None
    patch: Patch


def add_channel(channel_list: ChannelList | None, wanted: ChannelInput, now: int) -> ChannelList:
    """Returns the contact with an address and the supplied fields of its channel.

    Raises `too_many` if the contact has `MAX_CHANNELS` channels and the address is not among them.
    """
    wanted = _as_held(channel_list, wanted)
    if channel_list is None:
        addresses.require_unambiguous(wanted.address)
    known = require_contact(channel_list)
    after = add_channels(known, [wanted], now)
    if len(after.channels) > max(MAX_CHANNELS, len(known.channels)):
        raise too_many_channels(len(after.channels), field="channel_id")
    return after


def add_channels(
    channel_list: ChannelList, wanted: Iterable[ChannelInput], now: int
) -> ChannelList:
    """Returns the contact with several channels added in one change, each as by `add_channel`.

    Channels are looked up by identity, so the time is linear in the number of channels. The caller
    must check `MAX_CHANNELS`: it may remove channels in the same change.
    """
    at = next_timestamp(channel_list, now)
    channels = list(channel_list.channels)
    places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    stored_as: dict[tuple[str, str], int] = {}
    for place, channel in enumerate(channels):
        places[_identity(channel)].append(place)
        if addresses.is_stand_in(channel.identity):
            stored_as[channel.channel_type, channel.channel_id] = place
    changed = False
    for each in wanted:
        # A channel that an older release stored under other rules may have a stand-in for its
        # identity. It is found by its text only.
        exact = stored_as.get((each.address.channel_type, each.address.channel_id))
        same = places[each.address.channel_type, each.address.identity]
        same = same if exact is None else [exact]
        # Digits with two readings may be looked up and current, but only one owner can be added.
        if not same:
            addresses.require_unambiguous(each.address)
            same.append(len(channels))
            channels.append(_new(each, at))
            changed = True
            continue
        # A database written by an older release can hold one address under several scopes.
        place = min(same, key=lambda index: primary_order(channels[index]))
        after = _with_supplied(channels[place], each)
        if after != channels[place]:
            channels[place] = with_fields(after, updated=at)
            changed = True
    return _with_channels(channel_list, tuple(channels), at) if changed else channel_list


def replace_channel(
    channel_list: ChannelList | None, wanted: ChannelInput, selector: ChannelSelector, now: int
) -> ChannelList:
    """Returns the contact with another address for a channel, which keeps `id` and `created`.

    Consent and hold belong to the old address; a channel with another identity begins without them.
    """
    wanted = _as_held(channel_list, wanted)
    # Checked before the 404: the caller has to correct the address in any case.
    if channel_list is None or _same_address(channel_list, wanted) is None:
        addresses.require_unambiguous(wanted.address)
    known = require_channel(channel_list, selector)
    return _with_address(known, select_channel(known, selector), wanted, now)


def edit_channel(
    channel_list: ChannelList | None,
    number: int,
    edit: ChannelEdit,
    now: int,
) -> ChannelList:
    """Returns the contact with another address and other fields for a channel, in one change."""
    known, target = require_contact(channel_list), channel_by_number(channel_list, number)
    after = known
    if edit.address is not None:
        wanted = _as_held(known, ChannelInput(edit.address))
        if not has_address(target, wanted.address):
            addresses.require_unambiguous(wanted.address)
        after = _with_address(known, target, wanted, now)
    after = patch_channel(after, number, edit.patch, now)
    if after is known:
        return known
    return with_fields(after, rev=known.rev + 1, updated=next_timestamp(known, now))


def _with_address(
    known: ChannelList, target: ContactChannel, wanted: ChannelInput, now: int
) -> ChannelList:
    """Returns the contact with another address for one of its channels."""
    after = with_fields(
        _with_supplied(target, wanted),
        channel_id=wanted.address.channel_id,
        identity=(
            target.identity if has_address(target, wanted.address) else wanted.address.identity
        ),
    )
    # Consent and bounces belong to an address; another spelling of it keeps them.
    if after.identity != target.identity:
        after = with_fields(
            after, held_reason=None, consent=Consent.UNKNOWN, consent_source="", consent_at=None
        )
    _reject_duplicate(known, target, after)
    return _with_changed(known, target, after, next_timestamp(known, now))


def remove_channel(
    channel_list: ChannelList | None, selector: ChannelSelector, now: int
) -> ChannelList:
    """Returns the contact without a channel; raises `several` if several channels match."""
    known = require_channel(channel_list, selector)
    matching = matching_channels(known, selector)
    if not matching:
        raise no_channel(selector)
    # If the primary channel were removed, a repeated DELETE would remove the next one (contract,
    # section 2).
    if len(matching) > 1:
        raise Refusal(
            Reason.SEVERAL,
            f"The contact has {len(matching)} {selector.channel_type} channels; name one with "
            "?channel_id=, so that a repeated DELETE cannot take another.",
            facts={"channels": with_fields(known, channels=tuple(matching))},
        )
    return _without(known, matching[0], now)


def remove_channel_by_number(
    channel_list: ChannelList | None, number: int, now: int
) -> ChannelList:
    """Returns the contact without the channel that has an id."""
    return _without(require_contact(channel_list), channel_by_number(channel_list, number), now)


def release_addresses(
    owner: ChannelList, taken: Collection[ContactChannel], now: int
) -> ChannelList:
    """Returns an owner without the channels whose addresses another contact takes."""
    wanted = {(channel.scope, *_identity(channel)) for channel in taken}
    left = tuple(
        channel for channel in owner.channels if (channel.scope, *_identity(channel)) not in wanted
    )
    # The addresses have been released meanwhile. The same object is returned if nothing changes.
    if len(left) == len(owner.channels):
        return owner
    return _with_channels(owner, left, next_timestamp(owner, now))


def make_primary(channel_list: ChannelList | None, number: int, now: int) -> ChannelList:
    """Returns the contact with a channel as the primary one of its type."""
    known, target = require_contact(channel_list), channel_by_number(channel_list, number)
    if primary(matching_channels(known, ChannelSelector(target.channel_type))) is target:
        return known
    # The revision and not the time, so that two requests within a microsecond have an order.
    after = with_fields(target, made_primary=known.rev + 1)
    return _with_changed(known, target, after, next_timestamp(known, now))


def patch_channel(
    channel_list: ChannelList | None, number: int, wanted: Patch, now: int
) -> ChannelList:
    """Returns the contact with fields of one channel set."""
    known, target = require_contact(channel_list), channel_by_number(channel_list, number)
    at = next_timestamp(known, now)
    info_channel = _coalesce(wanted.info_channel, target.info_channel)
    after = with_fields(
        target,
        channel_handle=_coalesce(wanted.channel_handle, target.channel_handle),
        info_channel=info_channel,
        scope=addresses.scope(target.channel_type, info_channel),
        label=_coalesce(wanted.label, target.label),
        held_reason=_held_reason(target, wanted),
        consent_source=_coalesce(wanted.consent_source, target.consent_source),
    )
    # The time of a consent is that of its change, and a repeated PATCH changes nothing.
    if wanted.consent is not UNSET and wanted.consent is not target.consent:
        after = with_fields(after, consent=wanted.consent, consent_at=at)
    _reject_duplicate(known, target, after)
    return _with_changed(known, target, after, at)


def _held_reason(target: ContactChannel, wanted: Patch) -> HeldReason | None:
    """Returns the reason of the hold: `other` if none is given, None if it is not held."""
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
    return _coalesce(wanted.held_reason, target.held_reason) or HeldReason.OTHER


def _as_held(channel_list: ChannelList | None, wanted: ChannelInput) -> ChannelInput:
    """Returns `wanted` with its address in the reading that the contact already has."""
    if channel_list is None or not wanted.address.other_reading:
        return wanted
    return with_fields(wanted, address=reading_held(identities(channel_list), wanted.address))


def _same_address(channel_list: ChannelList, wanted: ChannelInput) -> ContactChannel | None:
    """Returns the channel of the contact with this address, in any scope.

    An id under another page is the same address to the contact that holds it: its info channel
    differs, and is updated.
    """
    return primary(
        matching_channels(
            channel_list, ChannelSelector(wanted.address.channel_type, wanted.address)
        )
    )


def _reject_duplicate(
    channel_list: ChannelList, target: ContactChannel, after: ContactChannel
) -> None:
    """Raises `address_taken` if another channel of the contact has the address."""
    for other in channel_list.channels:
        if other is not target and _identity(other) == _identity(after):
            raise address_taken(channel_list.uuid, other, by_itself=True)


def _new(wanted: ChannelInput, at: int) -> ContactChannel:
    address = wanted.address
    info_channel = _coalesce(wanted.info_channel, "")
    return ContactChannel(
        id=NOT_NUMBERED,
        channel_type=address.channel_type,
        channel_id=address.channel_id,
        scope=addresses.scope(address.channel_type, info_channel),
        identity=address.identity,
        channel_handle=_coalesce(wanted.channel_handle, ""),
        info_channel=info_channel,
        made_primary=None,
        created=at,
        updated=at,
    )


def _with_supplied(channel: ContactChannel, wanted: ChannelInput) -> ContactChannel:
    info_channel = _coalesce(wanted.info_channel, channel.info_channel)
    return with_fields(
        channel,
        channel_handle=_coalesce(wanted.channel_handle, channel.channel_handle),
        info_channel=info_channel,
        scope=addresses.scope(channel.channel_type, info_channel),
    )


def _with_changed(
    channel_list: ChannelList, before: ContactChannel, after: ContactChannel, at: int
) -> ChannelList:
    if after == before:
        return channel_list
    fresh = with_fields(after, updated=at)
    return _with_channels(
        channel_list,
        tuple(fresh if channel is before else channel for channel in channel_list.channels),
        at,
    )


def _without(channel_list: ChannelList, removed: ContactChannel, now: int) -> ChannelList:
    left = tuple(channel for channel in channel_list.channels if channel is not removed)
    return _with_channels(channel_list, left, next_timestamp(channel_list, now))


def _with_channels(
    channel_list: ChannelList, channels: tuple[ContactChannel, ...], at: int
) -> ChannelList:
    return with_fields(channel_list, rev=channel_list.rev + 1, updated=at, channels=channels)


def _identity(channel: ContactChannel) -> tuple[str, str]:
    """Returns the key that only one channel of a contact can have; the scope is not part of it."""
    return channel.channel_type, channel.identity


def _coalesce(supplied: Value | UnsetType, current: Value) -> Value:
    return current if supplied is UNSET else supplied
