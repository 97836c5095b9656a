"""Many contacts at once: lists, search, bulk (contract section 6)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import Address, ChannelType
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.list_cursor import ListQuery
from reachbook.wire import errors
from reachbook.wire.list_cursor import parse_cursor
from reachbook.wire.models.v2 import (
    MAX_ROWS,
    BulkDeleteRequest,
    BulkRow,
    FailedRow,
    ListRequest,
    SearchRequest,
)
from reachbook.wire.parse import contact_uuid, renaming_fields

# Every other escape is matched, too, so that the second of two backslashes begins no escape.
_ESCAPE = re.compile(r"\\(?:u00([0-9a-fA-F]{2})|.)")
# A look-ahead, because two UUIDs may overlap: the last group of the first is long enough to begin
# the second.
_UUIDS = re.compile(r"(?=([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}))")

MAX_PAGE = 500
MAX_SKIPPED_PAGES = 1000


def row_uuid(row: BulkRow) -> str | None:
    """Returns the UUID of the contact that a row updates, or None if the row creates a contact.

    A Contact that is sent back whole has its UUID under `uuid`.
    """
    named = {"contact_id": row.contact_id, "uuid": row.uuid}
    read = set()
    for field, value in named.items():
        if value is not None:
            with renaming_fields({"contactID": field}):
                read.add(contact_uuid(value))
    # Neither takes precedence, because the wrong contact could be overwritten.
    if len(read) > 1:
        raise Refusal(
            Reason.BAD_VALUE,
            "contact_id and uuid name different contacts; send only one of them.",
            fields=dict.fromkeys(named, "not the same UUID"),
        )
    return next(iter(read), None)


def list_query(request: ListRequest) -> ListQuery:
    """Returns the page that a request asks for; raises `Refusal` if a field is out of bounds."""
    if request.limit > MAX_PAGE:
        raise too_many("limit", request.limit, MAX_PAGE)
    if request.page > MAX_SKIPPED_PAGES:
        raise too_many("page", request.page, MAX_SKIPPED_PAGES)
    cursor = None if request.date is None else parse_cursor(request.date)
    return ListQuery(request.limit, cursor, request.ascending, request.page)


def address_query(kind: str | None, value: str, region: str | None = None) -> Address:
    """Returns an address to look for; without a type an @ means email and digits mean phone.

    `region` is the team's default region. A phone number after `tel:` or before
    `@s.whatsapp.net` is a phone, too.
    """
    # A text that is a number comes before an @: `15105553344@s.whatsapp.net` is a phone.
    if kind is not None:
        return addresses.parse(addresses.channel_type(kind), value, region)
    if addresses.looks_like_phone(value):
        return addresses.parse(ChannelType("phone"), value, region)
    if "@" in value:
        return addresses.parse(ChannelType("email"), value)
    if any(map(str.isdecimal, value)) and not any(map(str.isalpha, value)):
        return addresses.parse(ChannelType("phone"), value, region)
    raise Refusal(
        Reason.BAD_VALUE,
        "Say which channel_type this is: an @ would mean email and digits a phone.",
        fields={"channel_type": "cannot be inferred"},
    )


class ParsedSearch(NamedTuple):
    """An address of a search, and the path into the body for each field of it."""

    address: Address
    places: dict[str, str]


def parse_search(request: SearchRequest, region: str | None = None) -> list[ParsedSearch]:
    """Returns the addresses of a search that can be read; `region` is the team's default region.

    An address that cannot be read is left out. If no address can be read, the first refusal is
    raised.
    """
    count = sum(len(entry.channel_ids) for entry in request.contact_channels)
    if count > MAX_ROWS:
        raise too_many("channel_ids", count, MAX_ROWS)
    read = list(_each_sought(request, region))
    readable = [each for each in read if isinstance(each, ParsedSearch)]
    refused = [each for each in read if isinstance(each, Refusal)]
    if refused and not readable:
        raise refused[0]
    return readable


def _each_sought(request: SearchRequest, region: str | None) -> Iterator[ParsedSearch | Refusal]:
    for index, entry in enumerate(request.contact_channels):
        where = f"contact_channels[{index}]"
        # A wrong type fails the whole search: it is a mistake of the program, not of one address.
        if entry.channel_type is not None:
            with renaming_fields({"channel_type": f"{where}.channel_type"}):
                addresses.channel_type(entry.channel_type)
        for number, value in enumerate(entry.channel_ids):
            places = {
                "channel_id": f"{where}.channel_ids[{number}]",
                "channel_type": f"{where}.channel_type",
            }
            yield _read(entry.channel_type, value, region, places)


def _read(
    kind: str | None, value: str, region: str | None, places: dict[str, str]
) -> ParsedSearch | Refusal:
    try:
        with renaming_fields(places):
            return ParsedSearch(address_query(kind, value, region), places)
    except Refusal as refusal:
        return refusal


def parse_delete(request: BulkDeleteRequest) -> list[str]:
    """Returns the UUIDs of a bulk delete."""
    if len(request.contact_channels) != 1 or request.contact_channels[0].channel_type != "id":
        raise Refusal(
            Reason.BAD_VALUE,
            'contact_channels takes exactly one entry, of channel_type "id", with UUIDs.',
            fields={"contact_channels": 'not one entry of type "id"'},
        )
    uuids = request.contact_channels[0].channel_ids
    if len(uuids) > MAX_ROWS:
        raise too_many("channel_ids", len(uuids), MAX_ROWS)
    return [contact_uuid(uuid) for uuid in uuids]


def failed_row(index: int, row: Raw, refusal: Refusal, representation: Representation) -> FailedRow:
    """Returns the entry of a row that was refused."""
    facts: dict[str, Any] = errors.facts(refusal, representation)
    return FailedRow(
        row,
        index,
        refusal.reason.kind,
        refusal.reason.code,
        refusal.message,
        fields=refusal.fields or UNSET,
        **facts,
    )


def uuid_of_row(body: bytes) -> str:
    """Returns the UUID of the contact in the stored response of a row."""
    return str(msgspec.json.decode(body)["uuid"])


def named_contacts(row: Raw, refusal: Refusal) -> set[str]:
    """Returns the contacts that the echo of a failed row mentions, as UUIDs in lower case.

    They are the contact of the conflict, and every UUID in the row. The row is searched as
    text: its strings may hold escapes, and an object may have a key twice, of which a decoder
    would show only one.
    """
    text = bytes(row).decode()
    if "\\u00" in text:
        text = _ESCAPE.sub(_unescaped, text)
    named = {uuid.lower() for uuid in _UUIDS.findall(text)}
    owner = refusal.facts.get("conflicting_contact_id")
    return named | {owner} if isinstance(owner, str) else named


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else escape[0]


def too_many(field: str, count: int, most: int) -> Refusal:
    """Returns the refusal of a request with more than `most` entries."""
    return Refusal(
        Reason.TOO_MANY,
        f"{field}: {count} is more than the {most} that one request may ask for.",
        fields={field: f"more than {most}"},
    )
