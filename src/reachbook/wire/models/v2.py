"""The bodies of requests and responses under `/v2` and `/v1` (contract section 2 and 6)."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from reachbook.domain.errors import Kind
from reachbook.domain.limits import MAX_TAGS
from reachbook.wire.models.fields import (
    MAX_LISTED_CHANNELS,
    Address,
    AssignedUserId,
    ChannelType,
    Count,
    Handle,
    InfoChannel,
    LastChange,
    Moment,
    Readings,
    Text,
    Typed,
    UserId,
    Uuid,
    WrongFields,
)


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


Inboxes = Annotated[list[dict[str, Any]], Meta(max_length=0)]
"""The inboxes of a team (GET /v1/inboxes): an empty list, as conversations are not stored."""


class ChannelRequest(Struct):
    """The body of a POST or PUT of a channel; other keys are ignored."""

    channel_type: ChannelType
    channel_id: Typed
    channel_handle: Text | UnsetType | None = UNSET
    info_channel: Text | UnsetType | None = UNSET


Channels = Annotated[
    list[ChannelRequest], Meta(extra_json_schema={"maxItems": MAX_LISTED_CHANNELS})
]


Tags = Annotated[list[Tag], Meta(extra_json_schema={"maxItems": MAX_TAGS})]


class ContactRequest(Struct, omit_defaults=True):
    """The body of POST /v2/contact and PUT /v2/contact/{contactID}."""

    contact_channels: Channels | None = None
    phone: str | UnsetType | None = UNSET
    email: str | UnsetType | None = UNSET
    first: Text | UnsetType | None = UNSET
    last: Text | UnsetType | None = UNSET
    display_name: Text | UnsetType | None = UNSET
    avatar: Text | UnsetType | None = UNSET
    assignee_id: UserId | UnsetType | None = UNSET
    assigned_user_id: AssignedUserId | UnsetType | None = UNSET
    external_id: Text | UnsetType | None = UNSET
    is_opted_out: bool | UnsetType | None = UNSET
    custom: dict[str, Any] | UnsetType | None = UNSET
    tags: Tags | UnsetType | None = UNSET


MAX_ROWS = 1000


# Not "format": "date-time", because a generated client would turn it into a date type of its
# language, and many of those cut it to milliseconds.
ListDate = Annotated[
    str,
    Meta(
        description="The unchanged `updated` of the last row of the previous page, as a string. "
        "Without it the first page is returned.",
        examples=["2024-01-15T10:00:00.123456Z"],
    ),
]


class ListRequest(Struct, omit_defaults=True):
    """The body of POST /v2/contacts/list; `date` is the last row's `updated`, passed back."""

    limit: Annotated[int, Meta(ge=1, description="How many contacts, at most 500.")] = 30
    date: ListDate | None = None
    ascending: bool = False
    page: Annotated[
        int,
        Meta(
            ge=0,
            description="Skips `limit` contacts this many times, at most 1,000 times. Contacts "
            "that change meanwhile may be missed or repeated; use `date` to miss none.",
        ),
    ] = 0


class SearchEntry(Struct, omit_defaults=True):
    """Values of one type to search for; the type is inferred when left out."""

    channel_ids: list[Typed]
    channel_type: ChannelType | None = None


class SearchRequest(Struct):
    """The body of POST /v2/contacts/search."""

    contact_channels: list[SearchEntry]


class BulkRequest(Struct):
    """The body of POST /v2/contacts: rows are checked one by one."""

    contacts: list[Raw]


class BulkRow(ContactRequest):
    """A row of a bulk write; with `contact_id` or `uuid` (the same UUID) it is an update."""

    contact_id: Uuid | None = None
    uuid: Uuid | None = None


class FailedRow(Struct, omit_defaults=True):
    """A row that was refused, as it was sent, with its index in the request.

    It has the fields of the refusal of the same single write, except the request id.
    """

    contact: Raw
    index: Annotated[int, Meta(ge=0)]
    error: Kind
    error_code: str
    message: str
    fields: WrongFields | UnsetType = UNSET
    readings: Readings | UnsetType = UNSET
    conflicting_contact_id: Uuid | UnsetType = UNSET
    conflicting_channel_id: str | int | UnsetType = UNSET
    channel_id: Address | UnsetType = UNSET


class BulkBody(Struct):
    """The results of a bulk write."""

    contacts: list[Any]
    failed_contacts: list[FailedRow]


class BulkDeleteEntry(Struct):
    """Which contacts to delete: UUIDs under the reserved type `id`."""

    channel_type: Annotated[str, Meta(extra_json_schema={"const": "id"})]
    channel_ids: list[Uuid]


class BulkDeleteRequest(Struct):
    """The body of DELETE /v2/contacts: exactly one entry."""

    contact_channels: list[BulkDeleteEntry]


class BulkRows(Struct):
    """The body of POST /v2/contacts; with `contact_id` a row is an update."""

    contacts: Annotated[list[BulkRow], Meta(extra_json_schema={"maxItems": MAX_ROWS})]


class StringIdsBulk(Struct):
    """The results of a bulk write, with string ids."""

    contacts: list[StringIdsContact]
    failed_contacts: list[FailedRow]


class IntegerIdsBulk(Struct):
    """The results of a bulk write, with integer ids."""

    contacts: list[IntegerIdsContact]
    failed_contacts: list[FailedRow]
