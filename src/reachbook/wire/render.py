"""Words → the vendor's JSON, in the representation of the caller (contract section 2.1).

Seed 000 has string ids and leaves unset keys out; seeds 001 and 002 have integers and show all
nine keys.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from msgspec import Meta, Struct

from reachbook.domain import timestamps
from reachbook.domain.channel import ChannelList, ContactChannel, primary
from reachbook.domain.contact import Contact
from reachbook.domain.credential import Representation

Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
Moment = Annotated[
    str, Meta(description="ISO 8601, in UTC.", extra_json_schema={"format": "date-time"})
]
# Not "format": "date-time", because it is passed back as the date of a list: a generated client
# would turn it into a date type of its language, and many of those cut it to milliseconds.
LastChange = Annotated[
    str,
    Meta(
        description="ISO 8601, in UTC, with microseconds. Pass it back unchanged as `date` for the "
        "next page of a list.",
        examples=["2024-01-15T10:00:00.123456Z"],
    ),
]
ChannelType = Annotated[
    str,
    Meta(
        description="phone, email, facebook, or the name of any other integration.",
        examples=["phone"],
        extra_json_schema={"pattern": "^[a-z][a-z0-9_-]{0,31}$", "not": {"const": "id"}},
    ),
]
Address = Annotated[
    str,
    Meta(
        description="The value: a phone number as E.164 digits without +, an email address, an id.",
        examples=["15105553344"],
        extra_json_schema={"minLength": 1},
    ),
]
Handle = Annotated[str, Meta(description="The handle associated with the channel, if any.")]
InfoChannel = Annotated[str, Meta(description="The related integration channel, if any.")]


def channel_id(number: int, representation: Representation) -> str | int:
    """A channel record's id: `"ch_001"`, or the integer."""
    return f"ch_{number:03d}" if representation is Representation.STRING_IDS else number


# ── the channel, as each seed shows it ───────────────────────────────────────────────────────


class StringIdsChannel(Struct, omit_defaults=True, kw_only=True):
    """A channel with string ids; a key that does not apply is left out (seed 000)."""

    id: Annotated[str, Meta(examples=["ch_001"])]
    team_id: int
    contact_id: Uuid
    channel_type: ChannelType
    channel_id: Address
    channel_handle: Handle = ""
    info_channel: InfoChannel = ""
    created: Moment
    updated: Moment


class IntegerIdsChannel(Struct):
    """A channel with integer ids and all nine keys (seeds 001 and 002)."""

    id: int
    team_id: int
    contact_id: int
    channel_type: ChannelType
    channel_id: Address
    info_channel: InfoChannel
    channel_handle: Handle
    created: Moment
    updated: Moment


def channel(
    channel_list: ChannelList, record: ContactChannel, representation: Representation
) -> StringIdsChannel | IntegerIdsChannel:
    """A channel as the caller's representation shows it."""
    created, updated = (
        timestamps.format_seconds(record.created),
        timestamps.format_seconds(record.updated),
    )
    if representation is Representation.STRING_IDS:
        return StringIdsChannel(
            id=f"ch_{record.id:03d}",
            team_id=channel_list.team_id,
            contact_id=channel_list.uuid,
            channel_type=record.channel_type,
            channel_id=record.channel_id,
            channel_handle=record.channel_handle,
            info_channel=record.info_channel,
            created=created,
            updated=updated,
        )
    return IntegerIdsChannel(
        record.id,
        channel_list.team_id,
        channel_list.id,
        record.channel_type,
        record.channel_id,
        record.info_channel,
        record.channel_handle,
        created,
        updated,
    )


def channels(
    channel_list: ChannelList, representation: Representation
) -> list[StringIdsChannel | IntegerIdsChannel]:
    """The contact's whole list, oldest first."""
    return [channel(channel_list, record, representation) for record in channel_list.channels]


# ── the contact and the team ─────────────────────────────────────────────────────────────────


class Tag(Struct):
    """A tag of a contact, as the vendor writes it."""

    tag_id: Count


class ContactBody(Struct):
    """A Contact: the vendor's keys, with `uuid` and `rev` always shown."""

    id: int
    uuid: Uuid
    rev: Annotated[int, Meta(description="One more with each write that changes something.")]
    team_id: int
    first: str
    last: str
    display_name: str
    phone: str
    email: str
    avatar: str
    assigned_user_id: int | None
    external_id: str | None
    is_opted_out: bool
    tags: list[Tag]
    custom: dict[str, Any]
    created: Moment
    updated: LastChange


class StringIdsContact(ContactBody):
    """A Contact whose channels have string ids."""

    contact_channels: list[StringIdsChannel]


class IntegerIdsContact(ContactBody):
    """A Contact whose channels have integer ids."""

    contact_channels: list[IntegerIdsChannel]


def contact(
    record: Contact, representation: Representation
) -> StringIdsContact | IntegerIdsContact:
    """A Contact; `phone` and `email` are its primary channels of those types."""
    strings = representation is Representation.STRING_IDS
    shape: type[Any] = StringIdsContact if strings else IntegerIdsContact
    body: StringIdsContact | IntegerIdsContact = shape(
        id=record.id,
        uuid=record.uuid,
        rev=record.rev,
        team_id=record.team_id,
        first=record.first,
        last=record.last,
        display_name=record.display_name,
        phone=_primary_address(record, "phone"),
        email=_primary_address(record, "email"),
        avatar=record.avatar,
        assigned_user_id=record.assigned_user_id,
        external_id=record.external_id,
        is_opted_out=record.is_opted_out,
        tags=[Tag(number) for number in record.tags],
        custom=record.custom,
        created=timestamps.format_micros(record.created),
        updated=timestamps.format_micros(record.updated),
        contact_channels=channels(record, representation),
    )
    return body


def contact_with_string_ids(record: Contact) -> StringIdsContact:
    """A Contact as `/x` shows it."""
    return cast("StringIdsContact", contact(record, Representation.STRING_IDS))


def _primary_address(record: Contact, kind: str) -> str:
    found = primary([each for each in record.channels if each.channel_type == kind])
    return found.channel_id if found else ""


class Member(Struct):
    """A member of a team, in the vendor's form."""

    id: int
    name: str
    role: str


class TeamBody(Struct):
    """A team, as integration platforms read it to test a credential (GET /v1/team)."""

    id: int
    name: str
    members: list[Member]


def team(number: int, name: str) -> TeamBody:
    """The team; people with accounts are not kept here, so `members` is empty."""
    return TeamBody(number, name, [])


Inboxes = Annotated[list[dict[str, Any]], Meta(max_length=0)]
"""The inboxes of a team (GET /v1/inboxes): an empty list, as conversations are not stored."""
