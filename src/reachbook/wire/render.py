"""Renders contacts and channels as the vendor's JSON, in a representation (contract section 2.1).

Seed 000 has string ids and omits unset keys; seeds 001 and 002 have integer ids and all nine keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from reachbook.domain import timestamps
from reachbook.domain.channel import ChannelList, ContactChannel, primary
from reachbook.domain.contact import Contact
from reachbook.domain.credential import Representation
from reachbook.domain.user import User
from reachbook.wire.models.v2 import (
    IntegerIdsChannel,
    IntegerIdsContact,
    Member,
    StringIdsChannel,
    StringIdsContact,
    Tag,
    TeamBody,
)


def channel_id(number: int, representation: Representation) -> str | int:
    """Returns the id of a channel: `"ch_001"`, or the integer."""
    return f"ch_{number:03d}" if representation is Representation.STRING_IDS else number


# ── the channel, as each seed shows it ───────────────────────────────────────────────────────


def channel(
    channel_list: ChannelList, record: ContactChannel, representation: Representation
) -> StringIdsChannel | IntegerIdsChannel:
    """Returns a channel of a contact in a representation."""
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
    """Returns the channels of a contact, oldest first."""
    return [channel(channel_list, record, representation) for record in channel_list.channels]


# ── the contact and the team ─────────────────────────────────────────────────────────────────


def contact(
    record: Contact, representation: Representation
) -> StringIdsContact | IntegerIdsContact:
    """Returns a contact; `phone` and `email` are the addresses of its primary channels."""
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
    """Returns a contact in the form of `/x`."""
    return cast("StringIdsContact", contact(record, Representation.STRING_IDS))


def _primary_address(record: Contact, kind: str) -> str:
    found = primary([each for each in record.channels if each.channel_type == kind])
    return found.channel_id if found else ""


def team(number: int, name: str, users: Sequence[User] = ()) -> TeamBody:
    """Returns a team; its `members` are the users of the web console, named by email address."""
    return TeamBody(number, name, [Member(user.id, user.email, user.role) for user in users])
