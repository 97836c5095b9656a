"""Words → the vendor's JSON, in the representation of the caller (contract section 2.1).

Seed 000 has string ids and leaves unset keys out; seeds 001 and 002 have integers and show all
nine keys.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from reachbook import contact_channel, moment
from reachbook.contact import Contact
from reachbook.contact_channel import ContactChannel, Reach
from reachbook.credential import Representation

Count = Annotated[int, Meta(ge=0, le=2**53 - 1)]


def channel_id(number: int, representation: Representation) -> str | int:
    """A channel record's id: `"ch_001"`, or the integer."""
    return f"ch_{number:03d}" if representation is Representation.STRING_IDS else number


# ── the channel, as each seed shows it ───────────────────────────────────────────────────────


class StringIdsChannel(Struct, omit_defaults=True):
    """Seed 000: string ids; a key that does not apply is left out."""

    id: str
    team_id: int
    contact_id: str
    channel_type: str
    channel_id: str
    channel_handle: str = ""
    info_channel: str = ""
    created: str | UnsetType = UNSET
    updated: str | UnsetType = UNSET


class IntegerIdsChannel(Struct):
    """Seeds 001 and 002: integer ids; all nine keys."""

    id: int
    team_id: int
    contact_id: int
    channel_type: str
    channel_id: str
    info_channel: str
    channel_handle: str
    created: str
    updated: str


def channel(
    reach: Reach, one: ContactChannel, representation: Representation
) -> StringIdsChannel | IntegerIdsChannel:
    """A channel as the caller's representation shows it."""
    created, updated = moment.in_seconds(one.created), moment.in_seconds(one.updated)
    if representation is Representation.STRING_IDS:
        return StringIdsChannel(
            f"ch_{one.id:03d}",
            reach.team_id,
            reach.uuid,
            one.channel_type,
            one.channel_id,
            one.channel_handle,
            one.info_channel,
            created,
            updated,
        )
    return IntegerIdsChannel(
        one.id,
        reach.team_id,
        reach.id,
        one.channel_type,
        one.channel_id,
        one.info_channel,
        one.channel_handle,
        created,
        updated,
    )


def channels(
    reach: Reach, representation: Representation
) -> list[StringIdsChannel | IntegerIdsChannel]:
    """The contact's whole list, oldest first."""
    return [channel(reach, one, representation) for one in reach.channels]


# ── the contact and the team ─────────────────────────────────────────────────────────────────


class Tag(Struct):
    """A tag of a contact, as the vendor writes it."""

    tag_id: Count


class ContactBody(Struct):
    """A Contact: the vendor's keys, with `uuid`, `rev` and `contact_channels` always shown."""

    id: int
    uuid: str
    rev: int
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
    custom: dict[str, object]
    created: str
    updated: str
    contact_channels: list[StringIdsChannel | IntegerIdsChannel]


def contact(one: Contact, representation: Representation) -> ContactBody:
    """A Contact; `phone` and `email` are its primary channels of those types."""
    return ContactBody(
        id=one.id,
        uuid=one.uuid,
        rev=one.rev,
        team_id=one.team_id,
        first=one.first,
        last=one.last,
        display_name=one.display_name,
        phone=_primary_address(one, "phone"),
        email=_primary_address(one, "email"),
        avatar=one.avatar,
        assigned_user_id=one.assigned_user_id,
        external_id=one.external_id,
        is_opted_out=one.is_opted_out,
        tags=[Tag(number) for number in one.tags],
        custom=one.custom,
        created=moment.exact(one.created),
        updated=moment.exact(one.updated),
        contact_channels=channels(one, representation),
    )


def _primary_address(one: Contact, kind: str) -> str:
    found = contact_channel.primary([each for each in one.channels if each.channel_type == kind])
    return found.channel_id if found else ""


class TeamBody(Struct):
    """A team, as integration platforms read it to test a credential (GET /v1/team)."""

    id: int
    name: str
    members: list[object] = []


def team(number: int, name: str) -> TeamBody:
    """The team; people with accounts are not kept here, so `members` is empty."""
    return TeamBody(number, name)
