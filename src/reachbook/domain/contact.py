"""Contacts, and the rules by which they are created, changed, deleted and erased."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import asdict
from msgspec.structs import replace as with_fields

from reachbook.domain import channel_rules
from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import Address, ChannelType
from reachbook.domain.address.phone import PHONE_FAMILY
from reachbook.domain.channel import (
    ChannelList,
    ChannelSelector,
    ContactChannel,
    has_address,
    identities,
    matching_channels,
    next_timestamp,
    primary,
    reading_held,
    require_contact,
    too_many_channels,
)
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.consent import Consent
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.limits import MAX_CHANNELS, MAX_CUSTOM_BYTES, MAX_TAGS

NOT_STORED = 0
OPTED_OUT_SOURCE = "is_opted_out"
"""The source of a consent that was set because of the contact's `is_opted_out`."""

PHONE = ChannelType("phone")
EMAIL = ChannelType("email")


class Contact(ChannelList, frozen=True):
    """A contact as it is stored: its channels and the fields of the person.

    `created`, `updated`, `deleted` and `erased` are microseconds since the epoch. `custom` is the
    JSON object of the team's own fields, at most `MAX_CUSTOM_BYTES` as compact UTF-8 JSON; `tags`
    are the ids of at most five tags; `external_id` is unique in a team.
    """

    created: int
    deleted: int | None = None
    erased: int | None = None
    first: str = ""
    last: str = ""
    display_name: str = ""
    avatar: str = ""
    assigned_user_id: int | None = None
    external_id: str | None = None
    is_opted_out: bool = False
    custom: dict[str, object] = field(default_factory=dict)
    tags: tuple[int, ...] = ()


class ContactInput(Struct, frozen=True):
    """The fields of a contact in a request. A field left unset stays as it is.

    `phone` and `email` are the primary channels of those types; null removes the primary channel.
    A `custom` of None clears it; a dict is merged into it.
    """

    channels: tuple[ChannelInput, ...] = ()
    phone: Address | UnsetType | None = UNSET
    email: Address | UnsetType | None = UNSET
    first: str | UnsetType = UNSET
    last: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    avatar: str | UnsetType = UNSET
    assigned_user_id: int | UnsetType | None = UNSET
    external_id: str | UnsetType | None = UNSET
    is_opted_out: bool | UnsetType = UNSET
    custom: dict[str, object] | UnsetType | None = UNSET
    tags: tuple[int, ...] | UnsetType = UNSET


def create(team_id: int, uuid: str, wanted: ContactInput, now: int) -> Contact:
    """Returns a new contact with its channels, at its first revision."""
    empty = Contact(
        team_id=team_id, id=NOT_STORED, uuid=uuid, rev=0, updated=now - 1, channels=(), created=now
    )
    channels = _opted_out(empty, _with_wanted(empty, wanted, now).channels, wanted, now)
    after = with_fields(empty, channels=channels, rev=1, updated=now, **_supplied(wanted))
    _check_bounds(empty, after)
    return after


def update(contact: Contact | None, wanted: ContactInput, now: int, *, overwrite: bool) -> Contact:
    """Returns the contact with the supplied fields set.

    `custom` is merged, or replaced if `overwrite` is true.

    `custom` stays unchanged if only the order of its keys differs: JSON objects are unordered. A
    contact that is over a limit already, as an older release allowed, can change in any way that
    does not make it bigger.
    """
    if contact is None:
        # Checked before the 404: the caller has to correct such an address in any case.
        for channel in _all_wanted(wanted):
            addresses.require_unambiguous(channel.address)
    known = require_contact(contact)
    supplied = _supplied(wanted)
    if isinstance(wanted.custom, dict) and not overwrite:
        supplied["custom"] = {**known.custom, **wanted.custom}
    if same_json(supplied.get("custom"), known.custom):
        del supplied["custom"]
    channel_list = _with_wanted(known, wanted, now)
    channels = _opted_out(known, channel_list.channels, wanted, next_timestamp(known, now))
    after = with_fields(known, channels=channels, **supplied)
    # `is`, because 1 and true in `custom` are equal by ==.
    if after == known and after.custom is known.custom:
        return known
    _check_bounds(known, after)
    return with_fields(after, rev=known.rev + 1, updated=next_timestamp(known, now))


def delete(contact: Contact | None, now: int) -> Contact:
    """Returns the contact as deleted, without addresses and external id; its history remains."""
    known = require_contact(contact)
    at = next_timestamp(known, now)
    # Other contacts can have them at once. The UUID is never used again.
    released = {"channels": (), "external_id": None}
    return with_fields(known, rev=known.rev + 1, updated=at, deleted=at, **released)


def erase(contact: Contact | None, now: int) -> Contact:
    """Returns the contact without personal data; its UUID stays, so that followers can erase it."""
    known = require_contact(contact)
    at = next_timestamp(known, now)
    return Contact(
        team_id=known.team_id,
        id=known.id,
        uuid=known.uuid,
        rev=known.rev + 1,
        updated=at,
        channels=(),
        created=known.created,
        deleted=known.deleted or at,
        erased=at,
    )


def same_json(left: object, right: object) -> bool:
    """Returns whether two values are the same JSON, except for the order of keys.

    Python's `==` is not enough: it takes 0, 0.0 and False to be equal, also in lists and objects.
    """
    if left is right:
        return True
    return left == right and _sorted_json(left) == _sorted_json(right)


def too_many_tags(count: int) -> Refusal:
    """The refusal of a sixth tag."""
    return Refusal(
        Reason.BAD_VALUE,
        f"A contact has at most {MAX_TAGS} tags; {count} were sent.",
        fields={"tags": f"more than {MAX_TAGS}"},
    )


def erased_error(uuid: str) -> Refusal:
    """The 410 of an erased contact's past."""
    return Refusal(Reason.ERASED, f"Contact {uuid} was erased; nothing of it is kept but this.")


def _check_bounds(before: Contact, after: Contact) -> None:
    """Raises `too_many` if a change makes a contact bigger than it may be."""
    count = len(after.channels)
    if count > max(MAX_CHANNELS, len(before.channels)):
        raise too_many_channels(count)
    if after.custom is before.custom:
        return
    # Measured last and only if it changed: `custom` is encoded for it.
    size = _custom_bytes(after)
    if size > MAX_CUSTOM_BYTES and size > _custom_bytes(before):
        raise Refusal(
            Reason.TOO_MANY,
            f"custom: a contact has at most {MAX_CUSTOM_BYTES} bytes of it as compact JSON; "
            f"this change would leave it with {size}.",
            fields={"custom": f"more than {MAX_CUSTOM_BYTES} bytes"},
        )


def _custom_bytes(contact: Contact) -> int:
    return len(msgspec.json.encode(contact.custom))


def _sorted_json(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _supplied(wanted: ContactInput) -> dict[str, object]:
    apart = {"channels", "phone", "email"}
    supplied = {
        name: value
        for name, value in asdict(wanted).items()
        if value is not UNSET and name not in apart
    }
    if wanted.custom is None:
        supplied["custom"] = {}
    return supplied


def _all_wanted(wanted: ContactInput) -> list[ChannelInput]:
    views = [view for view in (wanted.phone, wanted.email) if isinstance(view, Address)]
    return [*(ChannelInput(view) for view in views), *wanted.channels]


def _with_wanted(contact: Contact, wanted: ContactInput, now: int) -> ChannelList:
    """Returns the contact with `phone` and `email` written first, and then the list of channels.

    `phone` and `email` are first, so that they are primary. A client may send back a whole contact
    with `phone` or `email` changed, and the old address still in the list. If the old address was
    removed by null, it is not added again. If it was changed, it stays beside the new address, with
    its consent and its hold. All steps have the same time, because they are one change.
    """
    channel_list: ChannelList = contact
    wanted = _as_held(contact, wanted)
    removed: list[ContactChannel] = []
    for kind, view in ((PHONE, wanted.phone), (EMAIL, wanted.email)):
        current = primary(matching_channels(channel_list, ChannelSelector(kind)))
        if isinstance(view, Address):
            listed = current is not None and _lists(wanted, current)
            channel_list = _with_view(channel_list, kind, view, now, beside=listed)
        elif view is None and current is not None:
            removed.append(current)
            channel_list = _without(channel_list, current, now)
    remaining = (
        channel
        for channel in wanted.channels
        if not any(has_address(each, channel.address) for each in removed)
    )
    return _at_once(contact, channel_rules.add_channels(channel_list, remaining, now))


def _as_held(contact: Contact, wanted: ContactInput) -> ContactInput:
    """Returns `wanted` with each address in the reading that the contact already has."""
    if not any(channel.address.other_reading for channel in _all_wanted(wanted)):
        return wanted
    held = identities(contact)
    channels = tuple(
        with_fields(channel, address=reading_held(held, channel.address))
        for channel in wanted.channels
    )
    phone = wanted.phone
    if isinstance(phone, Address):
        phone = reading_held(held, phone)
    return with_fields(wanted, channels=channels, phone=phone)


def _opted_out(
    contact: Contact, channels: tuple[ContactChannel, ...], wanted: ContactInput, at: int
) -> tuple[ContactChannel, ...]:
    """Returns the channels, with the phone family opted out if the change opts the contact out.

    If the contact is opted out already, consents that were given since then stay. A change to
    False does not end the opt-out of an address.
    """
    if wanted.is_opted_out is not True or contact.is_opted_out:
        return channels
    given = {
        "consent": Consent.OPTED_OUT,
        "consent_source": OPTED_OUT_SOURCE,
        "consent_at": at,
        "updated": at,
    }
    return tuple(
        with_fields(channel, **given)
        if channel.channel_type in PHONE_FAMILY and channel.consent is not Consent.OPTED_OUT
        else channel
        for channel in channels
    )


def _lists(wanted: ContactInput, channel: ContactChannel) -> bool:
    return any(has_address(channel, listed.address) for listed in wanted.channels)


def _with_view(
    channel_list: ChannelList, kind: ChannelType, view: Address, now: int, *, beside: bool
) -> ChannelList:
    """Write the primary channel of a type: replace its address, or add one `beside` it.

    If the contact has the address as another channel, that channel becomes primary.
    """
    current = primary(matching_channels(channel_list, ChannelSelector(kind)))
    held = matching_channels(channel_list, ChannelSelector(kind, view))
    if current is None:
        return _at_once(
            channel_list, channel_rules.add_channels(channel_list, [ChannelInput(view)], now)
        )
    if beside and not held:
        *others, added = channel_rules.add_channels(
            channel_list, [ChannelInput(view)], now
        ).channels
        first = with_fields(added, made_primary=channel_list.rev + 1)
        return with_fields(channel_list, channels=(*others, first))
    if held and held[0] is not current:
        channel_list = _at_once(
            channel_list, channel_rules.make_primary(channel_list, held[0].id, now)
        )
    return _at_once(
        channel_list,
        channel_rules.replace_channel(channel_list, ChannelInput(view), ChannelSelector(kind), now),
    )


def _without(channel_list: ChannelList, removed: ContactChannel, now: int) -> ChannelList:
    return _at_once(
        channel_list, channel_rules.remove_channel_by_number(channel_list, removed.id, now)
    )


def _at_once(seen: ChannelList, after: ChannelList) -> ChannelList:
    """Returns the result of a step with the revision and time of `seen`, which the change sets."""
    return with_fields(after, rev=seen.rev, updated=seen.updated)
