"""The bodies of requests and responses under `/x`.

Some types are used only in the OpenAPI document: a bulk write and a batch check each row by itself,
so their bodies are decoded into raw rows, and the values of an event are stored as JSON.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from reachbook.domain.consent import Consent, HeldReason, SuppressionReason
from reachbook.domain.errors import Kind
from reachbook.domain.event_kind import Kind as ChangeKind
from reachbook.domain.limits import MAX_TAGS
from reachbook.wire.models.fields import (
    MAX_LISTED_CHANNELS,
    Address,
    ChannelType,
    Handle,
    InfoChannel,
    Moment,
    Readings,
    Text,
    Typed,
    Uuid,
    WrongFields,
)
from reachbook.wire.models.v2 import ChannelRequest, ContactRequest, StringIdsContact, Tag

MAX_BATCH = 1000


class ChannelDetail(Struct, kw_only=True):
    """A channel with its nine keys and the fields of Reachbook. Ids are strings."""

    id: Annotated[str, Meta(examples=["ch_001"])]
    team_id: int
    contact_id: Uuid
    channel_type: ChannelType
    channel_id: Address
    channel_handle: Handle | UnsetType = UNSET
    info_channel: InfoChannel | UnsetType = UNSET
    created: Moment
    updated: Moment
    primary: Annotated[bool, Meta(description="Of its type.")] | UnsetType = UNSET
    label: str
    held: bool
    held_reason: HeldReason | None
    consent: Consent
    consent_source: str
    consent_at: Moment | None


class StrictChannel(ChannelRequest, forbid_unknown_fields=True):
    """A channel of a contact to create; unknown keys are refused."""


class StrictTag(Tag, forbid_unknown_fields=True):
    """A tag of a contact to create; unknown keys are refused."""


StrictChannels = Annotated[
    list[StrictChannel], Meta(extra_json_schema={"maxItems": MAX_LISTED_CHANNELS})
]


StrictTags = Annotated[list[StrictTag], Meta(extra_json_schema={"maxItems": MAX_TAGS})]


class NewContact(ContactRequest, forbid_unknown_fields=True):
    """The contact to create if there is no owner of the address; unknown keys are refused."""

    contact_channels: StrictChannels | None = None  # type: ignore[assignment]
    tags: StrictTags | UnsetType | None = UNSET  # type: ignore[assignment]


class AddressRequest(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An address to look for; without `channel_type` an @ means email and digits mean phone."""

    channel_id: Typed
    channel_type: ChannelType | None = None
    info_channel: str | None = None


class ResolveRequest(AddressRequest, forbid_unknown_fields=True):
    """The body of POST /x/resolve."""

    create: NewContact | None = None


class BatchRequest(Struct, forbid_unknown_fields=True):
    """The body of POST /x/resolve/batch: up to 1,000 addresses."""

    addresses: list[Raw]


class MayCreate(Struct):
    """The part of the body of POST /x/resolve that decides whether it may write."""

    create: Any = None


class PatchRequest(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The body of PATCH of one channel."""

    channel_handle: Text | UnsetType | None = UNSET
    info_channel: Text | UnsetType | None = UNSET
    label: Text | UnsetType | None = UNSET
    held: bool | UnsetType = UNSET
    held_reason: HeldReason | UnsetType | None = UNSET
    consent: Consent | UnsetType = UNSET
    consent_source: Text | UnsetType | None = UNSET


class ExplanationBody(Struct):
    """How an address was read, and which rule joined it to its owner."""

    typed: str
    channel_type: str
    read_as: str
    canonical: str
    identity: str
    rule: str


class SuppressionRequest(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The body of DELETE /x/suppression: an address that nobody owns, and the reason to end."""

    channel_type: ChannelType
    channel_id: Typed
    reason: SuppressionReason
    info_channel: str | None = None


class SuppressionBody(Struct):
    """The suppression of an address that nobody owns: its reason and its time."""

    reason: SuppressionReason
    at: Moment


class ResolvedBody(Struct):
    """The owner of an address, or null, and then `suppressed` if the address is suppressed."""

    contact: StringIdsContact | None
    channel: ChannelDetail | None
    created: bool
    suppressed: SuppressionBody | None = None
    explain: ExplanationBody | UnsetType = UNSET


class BadAddress(Struct, omit_defaults=True):
    """The result for an address of a batch that cannot be read."""

    error: Kind
    error_code: str
    message: str
    fields: WrongFields | UnsetType = UNSET
    readings: Readings | UnsetType = UNSET


class BatchBody(Struct):
    """The result for each address of a batch, in order."""

    results: list[Any]


EventKind = Annotated[str, Meta(extra_json_schema={"enum": list(ChangeKind)})]


class Actor(Struct):
    """The actor of an event: a credential with its label, a user, or the command line."""

    credential_id: str
    label: str


class EventBody(Struct, kw_only=True):
    """One change of one contact.

    `before` and `after` hold the changed values. If the contact is erased, they are null and
    `request_id` is empty.
    """

    kind: EventKind
    contact_id: Uuid
    rev: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    actor: Actor
    request_id: str
    at: Moment


class FeedEventBody(EventBody, kw_only=True):
    """An event with its number in the team's feed."""

    seq: Annotated[int, Meta(ge=1)]


class HistoryBody(Struct):
    """A page of a contact's history, newest first."""

    events: list[EventBody]
    next: str | None


class FeedBody(Struct):
    """A page of a team's feed.

    Pass `next` as `after` of the next request. `incarnation` changes when the store is restored.
    """

    events: list[FeedEventBody]
    next: int
    incarnation: str


class ExportBody(Struct):
    """All data about a contact."""

    contact: StringIdsContact
    deleted: Moment | None
    channels: list[ChannelDetail]
    events: list[EventBody]


class OneOf:
    """One of several forms, which differ only in their keys."""

    forms: ClassVar[tuple[type, ...]]


class BatchRows(Struct, forbid_unknown_fields=True):
    """The body of POST /x/resolve/batch."""

    addresses: Annotated[list[AddressRequest], Meta(extra_json_schema={"maxItems": MAX_BATCH})]


class BatchResult(OneOf):
    """The owner of an address of a batch, or the error if it cannot be read."""

    forms: ClassVar[tuple[type, ...]] = (ResolvedBody, BadAddress)


class BatchResults(Struct):
    """The result for each address of a batch, in order."""

    results: list[BatchResult]


class ContactSnapshot(Struct):
    """The values that a change affects, before or after it: channels and a contact's fields."""

    channels: list[ChannelDetail]
    uuid: Uuid | UnsetType = UNSET
    first: str | UnsetType = UNSET
    last: str | UnsetType = UNSET
    display_name: str | UnsetType = UNSET
    avatar: str | UnsetType = UNSET
    assigned_user_id: int | UnsetType | None = UNSET
    external_id: str | UnsetType | None = UNSET
    is_opted_out: bool | UnsetType = UNSET
    tags: list[Tag] | UnsetType = UNSET
    custom: dict[str, Any] | UnsetType = UNSET
    deleted: Moment | UnsetType | None = UNSET
    erased: Moment | UnsetType | None = UNSET


class Event(EventBody, kw_only=True):
    """One change of one contact, with the values before and after it; null once erased."""

    before: ContactSnapshot | None  # type: ignore[assignment]
    after: ContactSnapshot | None  # type: ignore[assignment]


class FeedEvent(Event, kw_only=True):
    """The same with its place in the team's feed."""

    seq: Annotated[int, Meta(ge=1)]


class HistoryPage(Struct):
    """A page of a contact's history, newest first; `next` is null on the last."""

    events: list[Event]
    next: str | None


class FeedPage(Struct):
    """A page of a team's feed.

    Pass `next` as `after` of the next request. `incarnation` changes when the store is restored.
    """

    events: list[FeedEvent]
    next: int
    incarnation: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]


class Export(Struct):
    """All data about a contact."""

    contact: StringIdsContact
    deleted: Moment | None
    channels: list[ChannelDetail]
    events: list[Event]
