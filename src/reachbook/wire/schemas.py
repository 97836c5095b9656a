"""Schemas of the OpenAPI document alone: the rows of bulk bodies, the values of events.

A bulk write and a batch judge each row by itself, so their bodies are decoded into raw rows and
their answers are put together from encoded ones; an event's values are kept as JSON. Here is
what they are.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import UNSET, Meta, Struct, UnsetType

from reachbook.wire import events as wire_events
from reachbook.wire.bulk import MAX_ROWS, BulkRow, FailedRow
from reachbook.wire.extensions import (
    MAX_BATCH,
    BadAddress,
    ChannelDetail,
    ResolvedBody,
    SoughtRequest,
)
from reachbook.wire.render import IntegerIdsContact, Moment, StringIdsContact, Tag, Uuid


class OneOf:
    """One of several forms, which nothing but their keys tells apart."""

    forms: ClassVar[tuple[Any, ...]]


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


class BatchRows(Struct, forbid_unknown_fields=True):
    """The body of POST /x/resolve/batch."""

    addresses: Annotated[list[SoughtRequest], Meta(extra_json_schema={"maxItems": MAX_BATCH})]


class BatchResult(OneOf):
    """Who owns an address of a batch, or why it cannot be read."""

    forms = (ResolvedBody, BadAddress)


class BatchResults(Struct):
    """An answer for each address of a batch, in order."""

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


class Event(wire_events.EventBody, kw_only=True):
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
    """All that is held about one contact."""

    contact: StringIdsContact
    deleted: Moment | None
    channels: list[ChannelDetail]
    events: list[Event]
