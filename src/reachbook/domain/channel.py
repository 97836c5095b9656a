"""How a contact can be reached: its channels at one revision, and how one of them is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct

from reachbook.domain.address.parsing import Address, ChannelType, is_stand_in, readings
from reachbook.domain.consent import Consent, HeldReason
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.limits import MAX_CHANNELS

MICROSECOND = 1
NOT_NUMBERED = 0


class ContactChannel(Struct, frozen=True):
    """One way to reach a contact (seed 000, "The ContactChannel object").

    `created`, `updated` and `consent_at` are microseconds since the epoch, UTC. `made_primary` is
    the contact's revision when the channel was made the primary of its type, else null. A channel
    is held while it has a `held_reason`. `id` is 0 until the store has numbered the channel.
    """

    id: int
    channel_type: ChannelType
    channel_id: str
    scope: str
    identity: str
    channel_handle: str
    info_channel: str
    made_primary: int | None
    created: int
    updated: int
    label: str = ""
    held_reason: HeldReason | None = None
    consent: Consent = Consent.UNKNOWN
    consent_source: str = ""
    consent_at: int | None = None


class ChannelList(Struct, frozen=True):
    """The channels of a contact at one revision.

    `channels` run oldest first. `id` is the contact's integer id, `updated` is in microseconds.
    """

    team_id: int
    id: int
    uuid: str
    rev: int
    updated: int
    channels: tuple[ContactChannel, ...]


ContactT = TypeVar("ContactT", bound=ChannelList)


class ChannelSelector(Struct, frozen=True):
    """Selects a channel of a contact: the primary one of a type, or the one with an address.

    `text` is the address as it was sent. A channel that is stored under exactly this text takes
    precedence, so a value that was returned selects the channel that it came from.

    `refusal` is set instead of the address if the text is not an address. A channel that an older
    release stored under exactly this text is found nevertheless.
    """

    channel_type: ChannelType
    address: Address | None = None
    text: str = ""
    refusal: Refusal | None = None


def require_contact(channel_list: ContactT | None) -> ContactT:
    """Returns the contact; raises `no_contact` if there is none.

    The error is the same for a deleted contact and for that of another team.
    """
    if channel_list is None:
        raise Refusal(Reason.NO_CONTACT, "This team has no contact with that UUID.")
    return channel_list


def require_channel(channel_list: ContactT | None, selector: ChannelSelector) -> ContactT:
    """Returns the contact; raises if there is none, or first if the text is not an address."""
    if channel_list is None and selector.refusal is not None:
        raise selector.refusal
    return require_contact(channel_list)


def next_timestamp(channel_list: ChannelList | None, now: int) -> int:
    """Returns the time of a change: `now`, or just after the last change if a clock is behind."""
    return now if channel_list is None else max(now, channel_list.updated + MICROSECOND)


def has_address(channel: ContactChannel, address: Address) -> bool:
    """Returns whether a channel has an address, in any scope.

    A channel that has only a stand-in for its identity has the address that it is stored under.
    """
    if channel.channel_type != address.channel_type:
        return False
    if is_stand_in(channel.identity):
        return channel.channel_id == address.channel_id
    return channel.identity == address.identity


def matching_channels(channel_list: ChannelList, selector: ChannelSelector) -> list[ContactChannel]:
    """Returns the channels that a selector matches; raises if its text is not an address."""
    of_type = [each for each in channel_list.channels if each.channel_type == selector.channel_type]
    if selector.address is None and selector.refusal is None:
        return of_type
    as_stored = [each for each in of_type if each.channel_id == selector.text]
    if as_stored:
        return as_stored
    if selector.address is None:
        raise selector.refusal or no_channel(selector)
    possible = readings(selector.address)
    return [channel for channel in of_type if any(has_address(channel, each) for each in possible)]


def identities(channel_list: ChannelList) -> frozenset[tuple[str, str]]:
    """Returns the type and the identity of each channel of a contact."""
    return frozenset((channel.channel_type, channel.identity) for channel in channel_list.channels)


def reading_held(held: frozenset[tuple[str, str]], address: Address) -> Address:
    """Returns the reading of an address that is among the `identities` of a contact.

    A number that can be read in two ways is not ambiguous to a contact that has one of them.
    Returns the address itself if the contact has neither.
    """
    for each in readings(address) if address.other_reading else ():
        if (each.channel_type, each.identity) in held:
            return each
    return address


def select_channel(channel_list: ChannelList | None, selector: ChannelSelector) -> ContactChannel:
    """Returns the primary one of the channels that a selector matches; raises if there is none."""
    channel = primary(matching_channels(require_channel(channel_list, selector), selector))
    if channel is None:
        raise no_channel(selector)
    return channel


def channel_by_number(channel_list: ChannelList | None, number: int) -> ContactChannel:
    """Returns the channel with an id; raises `no_channel` if there is none."""
    for channel in require_contact(channel_list).channels:
        if channel.id == number:
            return channel
    raise Refusal(
        Reason.NO_CHANNEL,
        "The contact has no channel with that id; list its channels to see what it has.",
    )


def primary(channels: Sequence[ContactChannel]) -> ContactChannel | None:
    """Returns the primary of channels of one type: that last made primary, or else the oldest."""
    return min(channels, key=primary_order, default=None)


def primary_order(channel: ContactChannel) -> tuple[int, int, int]:
    """Returns the sort key of channels of one type; the primary channel has the lowest."""
    return -(channel.made_primary or 0), channel.created, channel.id


def primaries(channel_list: ChannelList) -> list[ContactChannel]:
    """Returns the primary channel of each type, found in one pass."""
    by_type: dict[ChannelType, list[ContactChannel]] = {}
    for channel in channel_list.channels:
        by_type.setdefault(channel.channel_type, []).append(channel)
    return [min(channels, key=primary_order) for channels in by_type.values()]


def no_channel(selector: ChannelSelector) -> Refusal:
    """Returns the refusal of a request for a channel that the contact does not have."""
    suffix = "" if selector.address is None else " with that address"
    return Refusal(
        Reason.NO_CHANNEL,
        f"The contact has no {selector.channel_type} channel{suffix}; "
        "list its channels to see what it has.",
    )


def too_many_channels(count: int, *, field: str = "contact_channels") -> Refusal:
    """Returns the refusal of a change that would leave a contact with `count` channels."""
    return Refusal(
        Reason.TOO_MANY,
        f"{field}: a contact has at most {MAX_CHANNELS} channels; "
        f"this change would leave it with {count}.",
        fields={field: f"more than {MAX_CHANNELS} channels"},
    )


def address_taken(owner_uuid: str, channel: ContactChannel, *, by_itself: bool = False) -> Refusal:
    """Returns the refusal of an address in use: by another contact, or by this one `by_itself`."""
    address = f"{channel.channel_type} {channel.channel_id}"
    return Refusal(
        Reason.ADDRESS_TAKEN,
        f"The contact has {address} already, as another channel; change or remove that one."
        if by_itself
        else f"{address} already belongs to contact {owner_uuid}; remove it there first, or use "
        "that contact.",
        fields={"channel_id": "already belongs to a contact"},
        facts={
            "conflicting_contact_id": owner_uuid,
            "conflicting_channel_id": channel.id,
            "channel_id": channel.channel_id,
        },
    )
