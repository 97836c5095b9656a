"""The operations of the API: each checks its arguments and returns the request to send.

`Client` and `AsyncClient` have a method for each, whose docstring says what it returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from reachbook.client import arguments, results
from reachbook.client.feed import FeedCursor
from reachbook.client.request import PreparedRequest
from reachbook.client.results import ContactVersion, Parse
from reachbook.domain.on_conflict import OnConflict
from reachbook.wire.models.v2 import (
    MAX_ROWS,
    BulkDeleteEntry,
    BulkDeleteRequest,
    BulkRow,
    BulkRows,
    ChannelRequest,
    ContactRequest,
    ListRequest,
    SearchEntry,
    SearchRequest,
    StringIdsBulk,
    StringIdsChannel,
    StringIdsContact,
    TeamBody,
)
from reachbook.wire.models.x import (
    MAX_BATCH,
    AddressRequest,
    BadAddress,
    BatchRows,
    ChannelDetail,
    Export,
    FeedPage,
    HistoryPage,
    PatchRequest,
    ResolvedBody,
    ResolveRequest,
    SuppressionRequest,
)

MAX_CONTACTS = 500
MAX_SKIPPED_PAGES = 1000
MAX_HISTORY = 500
MAX_EVENTS = 1000
MAX_SEQ = 2**53 - 1

ContactId = str | UUID
ResultT = TypeVar("ResultT")
AddressT = TypeVar("AddressT", bound=AddressRequest)

_encode = msgspec.json.Encoder().encode

# ── channels ─────────────────────────────────────────────────────────────────────────────────


def list_channels(contact_id: ContactId) -> PreparedRequest[list[StringIdsChannel]]:
    """Prepare `GET /v2/contact/{contactID}/channels`."""
    return PreparedRequest("GET", f"{_contact(contact_id)}/channels", results.channels)


def get_channel(
    contact_id: ContactId, channel_type: str, channel_id: str | None
) -> PreparedRequest[StringIdsChannel]:
    """Prepare `GET /v2/contact/{contactID}/channel/{channelType}`."""
    path = f"{_contact(contact_id)}/channel/{arguments.channel_type(channel_type)}"
    return PreparedRequest("GET", path, results.channel, _channel_query(channel_id))


def add_channel(
    contact_id: ContactId, channel: ChannelRequest, on_conflict: OnConflict | None
) -> PreparedRequest[list[StringIdsChannel]]:
    """Prepare `POST /v2/contact/{contactID}/channel`."""
    path, query = f"{_contact(contact_id)}/channel", _conflict(on_conflict)
    return _write("POST", path, results.channels, _checked(channel), query)


def replace_channel(
    contact_id: ContactId,
    channel: ChannelRequest,
    replaced: str | None,
    on_conflict: OnConflict | None,
) -> PreparedRequest[list[StringIdsChannel]]:
    """Prepare `PUT /v2/contact/{contactID}/channel`."""
    query = {**_channel_query(replaced, "replaced"), **_conflict(on_conflict)}
    path = f"{_contact(contact_id)}/channel"
    return _write("PUT", path, results.channels, _checked(channel), query)


def remove_channel(
    contact_id: ContactId, channel_type: str, channel_id: str | None
) -> PreparedRequest[list[StringIdsChannel]]:
    """Prepare `DELETE /v2/contact/{contactID}/channel/{channelType}`."""
    path = f"{_contact(contact_id)}/channel/{arguments.channel_type(channel_type)}"
    return _write("DELETE", path, results.channels, query=_channel_query(channel_id))


# ── contacts ─────────────────────────────────────────────────────────────────────────────────


def get_contact(contact_id: ContactId) -> PreparedRequest[StringIdsContact]:
    """Prepare `GET /v2/contact/{contactID}`."""
    return PreparedRequest("GET", _contact(contact_id), results.contact)


def get_contact_version(contact_id: ContactId) -> PreparedRequest[ContactVersion]:
    """Prepare `GET /v2/contact/{contactID}` for the contact and its ETag."""
    return PreparedRequest("GET", _contact(contact_id), results.version)


def create_contact(
    contact: ContactRequest, on_conflict: OnConflict | None
) -> PreparedRequest[StringIdsContact]:
    """Prepare `POST /v2/contact`."""
    _check_contact("contact", contact)
    return _write("POST", "/v2/contact", results.contact, contact, _conflict(on_conflict))


def update_contact(
    contact_id: ContactId,
    contact: ContactRequest,
    on_conflict: OnConflict | None,
    *,
    overwrite: bool,
) -> PreparedRequest[StringIdsContact]:
    """Prepare `PUT /v2/contact/{contactID}`."""
    _check_contact("contact", contact)
    query = {**_conflict(on_conflict), **_flag("overwrite", value=overwrite)}
    return _write("PUT", _contact(contact_id), results.contact, contact, query)


def delete_contact(contact_id: ContactId) -> PreparedRequest[None]:
    """Prepare `DELETE /v2/contact/{contactID}`."""
    return _write("DELETE", _contact(contact_id), results.message)


def list_contacts(
    limit: int, date: str | None, page: int, *, ascending: bool
) -> PreparedRequest[list[StringIdsContact]]:
    """Prepare `POST /v2/contacts/list`."""
    if date is not None:
        arguments.not_empty("date", date, "the `updated` of the last contact of a page")
    request = ListRequest(
        limit=arguments.between("limit", limit, 1, MAX_CONTACTS),
        date=date,
        ascending=ascending,
        page=arguments.between("page", page, 0, MAX_SKIPPED_PAGES),
    )
    return _read("/v2/contacts/list", results.contacts, request)


def search_contacts(entries: Sequence[SearchEntry]) -> PreparedRequest[list[StringIdsContact]]:
    """Prepare `POST /v2/contacts/search`."""
    for index, entry in enumerate(entries):
        place = f"entries[{index}]"
        if entry.channel_type is not None:
            arguments.channel_type(entry.channel_type, f"{place}.channel_type")
        for number, value in enumerate(entry.channel_ids):
            arguments.address(value, f"{place}.channel_ids[{number}]")
    addresses = [address for entry in entries for address in entry.channel_ids]
    arguments.at_most("entries", addresses, MAX_ROWS)
    return _read("/v2/contacts/search", results.contacts, SearchRequest(list(entries)))


def write_contacts(
    rows: Sequence[BulkRow], on_conflict: OnConflict | None, *, overwrite: bool
) -> PreparedRequest[StringIdsBulk]:
    """Prepare `POST /v2/contacts`."""
    arguments.at_most("rows", rows, MAX_ROWS)
    for index, row in enumerate(rows):
        arguments.finite(f"rows[{index}].custom", row.custom)
        for field in ("contact_id", "uuid"):
            if (value := getattr(row, field)) is not None:
                arguments.contact_id(value, f"rows[{index}].{field}")
    query = {**_conflict(on_conflict), **_flag("overwrite", value=overwrite)}
    return _write("POST", "/v2/contacts", results.bulk, BulkRows(list(rows)), query)


def delete_contacts(contact_ids: Sequence[ContactId]) -> PreparedRequest[None]:
    """Prepare `DELETE /v2/contacts`."""
    arguments.at_most("contact_ids", contact_ids, MAX_ROWS)
    uuids = [
        arguments.contact_id(each, f"contact_ids[{index}]")
        for index, each in enumerate(contact_ids)
    ]
    request = BulkDeleteRequest([BulkDeleteEntry("id", uuids)])
    return _write("DELETE", "/v2/contacts", results.message, request)


def get_team() -> PreparedRequest[TeamBody]:
    """Prepare `GET /v1/team`."""
    return PreparedRequest("GET", "/v1/team", results.team)


def list_inboxes() -> PreparedRequest[list[dict[str, Any]]]:
    """Prepare `GET /v1/inboxes`."""
    return PreparedRequest("GET", "/v1/inboxes", results.inboxes)


# ── extensions ───────────────────────────────────────────────────────────────────────────────


def resolve(
    address: ResolveRequest, on_conflict: OnConflict | None, *, explain: bool
) -> PreparedRequest[ResolvedBody]:
    """Prepare `POST /x/resolve`, which writes if it may create a contact."""
    _checked_address("address", address)
    query = {**_conflict(on_conflict), **_flag("explain", value=explain)}
    if address.create is None:
        return _read("/x/resolve", results.resolved, address, query)
    _check_contact("address.create", address.create)
    return _write("POST", "/x/resolve", results.resolved, address, query)


def resolve_many(
    addresses: Sequence[AddressRequest],
) -> PreparedRequest[list[ResolvedBody | BadAddress]]:
    """Prepare `POST /x/resolve/batch`."""
    arguments.at_most("addresses", addresses, MAX_BATCH)
    checked = [
        _checked_address(f"addresses[{index}]", each) for index, each in enumerate(addresses)
    ]
    return _read("/x/resolve/batch", results.batch, BatchRows(checked))


def end_suppression(suppression: SuppressionRequest) -> PreparedRequest[None]:
    """Prepare `DELETE /x/suppression`."""
    arguments.channel_type(suppression.channel_type, "suppression.channel_type")
    arguments.address(suppression.channel_id, "suppression.channel_id")
    return _write("DELETE", "/x/suppression", results.message, suppression)


def list_channel_details(
    contact_id: ContactId, as_of: datetime | None
) -> PreparedRequest[list[ChannelDetail]]:
    """Prepare `GET /x/contact/{contactID}/channels`."""
    path = f"{_contact(contact_id, '/x')}/channels"
    return PreparedRequest("GET", path, results.details, _as_of(as_of))


def get_channel_detail(
    contact_id: ContactId, channel_number: str, as_of: datetime | None
) -> PreparedRequest[ChannelDetail]:
    """Prepare `GET /x/contact/{contactID}/channel/{id}`."""
    return PreparedRequest(
        "GET", _channel(contact_id, channel_number), results.detail, _as_of(as_of)
    )


def patch_channel(
    contact_id: ContactId, channel_number: str, patch: PatchRequest
) -> PreparedRequest[ChannelDetail]:
    """Prepare `PATCH /x/contact/{contactID}/channel/{id}`."""
    return _write("PATCH", _channel(contact_id, channel_number), results.detail, patch)


def remove_channel_by_id(
    contact_id: ContactId, channel_number: str
) -> PreparedRequest[list[ChannelDetail]]:
    """Prepare `DELETE /x/contact/{contactID}/channel/{id}`."""
    return _write("DELETE", _channel(contact_id, channel_number), results.details)


def make_primary(contact_id: ContactId, channel_number: str) -> PreparedRequest[ChannelDetail]:
    """Prepare `POST /x/contact/{contactID}/channel/{id}/primary`."""
    return _write("POST", f"{_channel(contact_id, channel_number)}/primary", results.detail)


def get_history(
    contact_id: ContactId, limit: int, cursor: str | None
) -> PreparedRequest[HistoryPage]:
    """Prepare `GET /x/contact/{contactID}/history`."""
    query = {"limit": str(arguments.between("limit", limit, 1, MAX_HISTORY))}
    if cursor is not None:
        query["cursor"] = arguments.not_empty("cursor", cursor, "the `next` of a page")
    path = f"{_contact(contact_id, '/x')}/history"
    return PreparedRequest("GET", path, results.history, query)


def get_events(cursor: FeedCursor, limit: int) -> PreparedRequest[FeedPage]:
    """Prepare `GET /x/events`."""
    query = {
        "after": str(arguments.between("after", cursor.after, 0, MAX_SEQ)),
        "limit": str(arguments.between("limit", limit, 1, MAX_EVENTS)),
    }
    if cursor.incarnation is not None:
        query["incarnation"] = cursor.incarnation
    return PreparedRequest("GET", "/x/events", results.feed, query)


def export_contact(contact_id: ContactId) -> PreparedRequest[Export]:
    """Prepare `GET /x/contact/{contactID}/export`."""
    return PreparedRequest("GET", f"{_contact(contact_id, '/x')}/export", results.export)


def erase_contact(contact_id: ContactId) -> PreparedRequest[None]:
    """Prepare `DELETE /x/contact/{contactID}/erase`."""
    return _write("DELETE", f"{_contact(contact_id, '/x')}/erase", results.message)


# ── parts of requests ────────────────────────────────────────────────────────────────────────


def _read(
    path: str,
    parse: Parse[ResultT],
    body: Struct,
    query: Mapping[str, str] | None = None,
) -> PreparedRequest[ResultT]:
    """Returns a POST that only reads."""
    return PreparedRequest("POST", path, parse, query or {}, _encode(body))


def _write(
    method: str,
    path: str,
    parse: Parse[ResultT],
    body: Struct | None = None,
    query: Mapping[str, str] | None = None,
) -> PreparedRequest[ResultT]:
    sent = None if body is None else _encode(body)
    return PreparedRequest(method, path, parse, query or {}, sent, is_write=True)


def _contact(contact_id: ContactId, prefix: str = "/v2") -> str:
    return f"{prefix}/contact/{arguments.contact_id(contact_id)}"


def _channel(contact_id: ContactId, channel_number: str) -> str:
    path = _contact(contact_id, "/x")
    return f"{path}/channel/{arguments.channel_number(channel_number)}"


def _checked(channel: ChannelRequest, place: str = "channel") -> ChannelRequest:
    arguments.channel_type(channel.channel_type, f"{place}.channel_type")
    arguments.address(channel.channel_id, f"{place}.channel_id")
    return channel


def _check_contact(place: str, contact: ContactRequest) -> None:
    arguments.finite(f"{place}.custom", contact.custom)
    for index, channel in enumerate(contact.contact_channels or ()):
        _checked(channel, f"{place}.contact_channels[{index}]")


def _checked_address(place: str, address: AddressT) -> AddressT:
    arguments.address(address.channel_id, f"{place}.channel_id")
    if address.channel_type is not None:
        arguments.channel_type(address.channel_type, f"{place}.channel_type")
    return address


def _channel_query(channel_id: str | None, argument: str = "channel_id") -> dict[str, str]:
    """Returns the query that names one of several channels of a type."""
    return {} if channel_id is None else {"channel_id": arguments.address(channel_id, argument)}


def _conflict(on_conflict: OnConflict | None) -> dict[str, str]:
    return {} if on_conflict is None else {"on_conflict": arguments.on_conflict(on_conflict)}


def _flag(name: str, *, value: bool) -> dict[str, str]:
    return {name: "true"} if value else {}


def _as_of(moment: datetime | None) -> dict[str, str]:
    return {} if moment is None else {"as_of": arguments.timestamp("as_of", moment)}
