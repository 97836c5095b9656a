"""A contact channel, and the rules by which a contact's channels change.

The rules are pure: a `Reach` and what is wanted go in, the `Reach` as it will be comes out, or a
refusal. A rule that finds nothing to do returns the very `Reach` it was given.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace as with_fields

from reachbook import address as addresses
from reachbook.address import Address, ChannelType
from reachbook.errors import Reason, Refusal

MICROSECOND = 1
NOT_NUMBERED = 0


class ContactChannel(Struct, frozen=True):
    """One way to reach a contact (seed 000, "The ContactChannel object").

    `created` and `updated` are microseconds since the epoch, UTC. `made_primary` is the contact's
    revision when the channel was made the primary of its type, else null. `id` is 0 until the
    store has numbered the channel.
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


class Reach(Struct, frozen=True):
    """How a contact can be reached: its page of the book, at one revision.

    `channels` run oldest first. `id` is the contact's integer id, `updated` is in microseconds.
    """

    team_id: int
    id: int
    uuid: str
    rev: int
    updated: int
    channels: tuple[ContactChannel, ...]


Page = TypeVar("Page", bound=Reach)


class Wanted(Struct, frozen=True):
    """What a POST or PUT asks for. A field left unset stays as it is; "" clears it."""

    address: Address
    channel_handle: str | UnsetType = UNSET
    info_channel: str | UnsetType = UNSET


class Named(Struct, frozen=True):
    """Which channel is meant: the one of a type, or exactly the one with an address of it."""

    channel_type: ChannelType
    address: Address | None = None


def add(reach: Reach | None, wanted: Wanted, now: int) -> Reach:
    """POST: the contact has the address and the supplied fields, whatever it had before."""
    held = _same_address(reach, wanted) if reach else None
    if held is None:
        addresses.certain(wanted.address)
    known = found(reach)
    at = moment(known, now)
    if held is not None:
        return _changed(known, held, _with_supplied(held, wanted), at)
    return _with_channels(known, (*known.channels, _new(wanted, at)), at)


def replace(reach: Reach | None, wanted: Wanted, named: Named, now: int) -> Reach:
    """PUT: the channel of that type gets another address, and keeps its `id` and `created`."""
    if reach is None or _same_address(reach, wanted) is None:
        addresses.certain(wanted.address)
    known = found(reach)
    target = pick(known, named)
    at = moment(known, now)
    after = _with_supplied(target, wanted, channel_id=wanted.address.channel_id)
    for other in known.channels:
        if other is not target and _identity(other) == _identity(after):
            raise address_taken(known.uuid, other)
    return _changed(known, target, after, at)


def remove(reach: Reach | None, named: Named, now: int) -> Reach:
    """DELETE: the channel goes for good. When several could be meant, none does."""
    known = found(reach)
    matching = _matching(known, named)
    if not matching:
        raise _no_channel(named)
    if len(matching) > 1:
        raise Refusal(
            Reason.SEVERAL,
            f"The contact has {len(matching)} {named.channel_type} channels; name one with "
            "?channel_id=, so that a repeated DELETE cannot take another.",
            facts={"channels": with_fields(known, channels=tuple(matching))},
        )
    left = tuple(one for one in known.channels if one is not matching[0])
    return _with_channels(known, left, moment(known, now))


def pick(reach: Reach | None, named: Named) -> ContactChannel:
    """GET by type: the primary one, or the one that `?channel_id=` names."""
    channel = primary(_matching(found(reach), named))
    if channel is None:
        raise _no_channel(named)
    return channel


def primary(channels: list[ContactChannel]) -> ContactChannel | None:
    """Of channels of one type, the one last made primary, else the oldest."""
    return min(
        channels, key=lambda one: (-(one.made_primary or 0), one.created, one.id), default=None
    )


def found(reach: Page | None) -> Page:
    """The contact that was looked for, or `no_contact`: ours, erased and foreign read the same."""
    if reach is None:
        raise Refusal(Reason.NO_CONTACT, "This team has no contact with that UUID; check the path.")
    return reach


def moment(reach: Reach, now: int) -> int:
    """When a change happens: now, but always after the last one, whatever the clocks say."""
    return max(now, reach.updated + MICROSECOND)


def address_taken(owner_uuid: str, channel: ContactChannel) -> Refusal:
    """The 409 that names who has the address."""
    return Refusal(
        Reason.ADDRESS_TAKEN,
        f"{channel.channel_type} {channel.channel_id} already belongs to contact {owner_uuid}; "
        "remove it there first, or use that contact.",
        fields={"channel_id": "already belongs to a contact"},
        facts={
            "conflicting_contact_id": owner_uuid,
            "conflicting_channel_id": channel.id,
            "channel_id": channel.channel_id,
        },
    )


def _matching(reach: Reach, named: Named) -> list[ContactChannel]:
    return [
        one
        for one in reach.channels
        if one.channel_type == named.channel_type
        and (named.address is None or one.identity == named.address.identity)
    ]


def _same_address(reach: Reach, wanted: Wanted) -> ContactChannel | None:
    """What the contact already has of this address, in whatever scope.

    An id under another page is the same address to the contact that holds it: its info channel
    differs, and is updated.
    """
    return primary(_matching(reach, Named(wanted.address.channel_type, wanted.address)))


def _new(wanted: Wanted, at: int) -> ContactChannel:
    address = wanted.address
    info_channel = "" if wanted.info_channel is UNSET else wanted.info_channel
    return ContactChannel(
        id=NOT_NUMBERED,
        channel_type=address.channel_type,
        channel_id=address.channel_id,
        scope=addresses.scope(address.channel_type, info_channel),
        identity=address.identity,
        channel_handle="" if wanted.channel_handle is UNSET else wanted.channel_handle,
        info_channel=info_channel,
        made_primary=None,
        created=at,
        updated=at,
    )


def _with_supplied(
    channel: ContactChannel, wanted: Wanted, channel_id: str | None = None
) -> ContactChannel:
    handle, info = wanted.channel_handle, wanted.info_channel
    info_channel = channel.info_channel if info is UNSET else info
    return with_fields(
        channel,
        channel_id=channel.channel_id if channel_id is None else channel_id,
        identity=wanted.address.identity,
        channel_handle=channel.channel_handle if handle is UNSET else handle,
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


def _with_channels(reach: Reach, channels: tuple[ContactChannel, ...], at: int) -> Reach:
    return with_fields(reach, rev=reach.rev + 1, updated=at, channels=channels)


def _identity(channel: ContactChannel) -> tuple[str, str]:
    """What one contact has only once: to the contact that holds it, a scope tells nothing apart."""
    return channel.channel_type, channel.identity


def _no_channel(named: Named) -> Refusal:
    which = "" if named.address is None else " with that address"
    return Refusal(
        Reason.NO_CHANNEL,
        f"The contact has no {named.channel_type} channel{which}; "
        "GET its channels to see what it has.",
    )
