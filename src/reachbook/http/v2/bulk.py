"""Many contacts at once (contract section 6)."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from msgspec import Raw, Struct, field
from msgspec.structs import replace

from reachbook.domain.address.query import AddressQuery
from reachbook.domain.contact import Contact, ContactInput
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.declarations import (
    BAD_NEW_ADDRESS,
    CONTACTS,
    ON_CONFLICT,
    OVERWRITE,
    constant,
    render_contact,
)
from reachbook.http.headers import header
from reachbook.http.openapi import examples
from reachbook.http.openapi.examples import ALICE, in_both
from reachbook.http.operation import RequestBody, Success, reads, writes
from reachbook.http.preconditions import reject_if_match
from reachbook.http.request import STORE_SECONDS, RequestContext
from reachbook.http.response import ApiResponse, timeout_error
from reachbook.service import AlreadyAnsweredError, WriteContext
from reachbook.service.bulk import (
    CHUNK_ROWS,
    ContactUpdate,
    NewContact,
    claims,
    claims_of_many,
)
from reachbook.wire import bulk, render
from reachbook.wire.models.v2 import (
    MAX_ROWS,
    BulkBody,
    BulkDeleteRequest,
    BulkRequest,
    BulkRow,
    BulkRows,
    FailedRow,
    IntegerIdsBulk,
    ListRequest,
    SearchRequest,
    StringIdsBulk,
)
from reachbook.wire.parse import contact_from, decode, locating_address, renaming_fields

BULK_SECONDS = 60.0
ROWS_AT_ONCE = 500
ROWS_PARSED_AT_ONCE = 16  # at most 2 ms
# A response that names more contacts is not stored whole, because storing it locks each of them.
# A retry finds the stored response of each row.
MAX_NAMED_CONTACTS = 2000
RETRYABLE = {
    reason.code for reason in (Reason.STORE_UNAVAILABLE, Reason.CONTENDED, Reason.IN_PROGRESS)
}


class ParsedRow(Struct):
    """A row of a request; `wanted` is its contact, or the refusal of a row that cannot be read.

    `uuid` is the contact that it updates, or None if it creates one.
    """

    index: int
    raw: Raw
    wanted: ContactInput | Refusal
    uuid: str | None = None


Chunk = Sequence[tuple[ParsedRow, ContactInput]]


class BulkResults(Struct):
    """The results of the rows of a request so far, by index.

    `named` are the UUIDs of the contacts that they mention, and `unavailable` is the refusal of a
    store that has become unavailable.
    """

    done: dict[int, Raw] = field(default_factory=dict)
    failed: dict[int, FailedRow] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    unavailable: Refusal | None = None

    def add(self, index: int, response: ApiResponse) -> None:
        """Add the contact of a row that was written."""
        self.done[index] = Raw(response.body)
        self.named |= response.contact_uuids

    def may_be_stored(self) -> bool:
        """Returns whether a retry may get these results; if not, it tries the failed rows again."""
        return len(self.named) <= MAX_NAMED_CONTACTS and not any(
            row.error_code in RETRYABLE for row in self.failed.values()
        )


def render_bulk(request: RequestContext, results: BulkResults) -> ApiResponse:
    """Returns the rows that were written, and those that failed."""
    done = [results.done[index] for index in sorted(results.done)]
    failed = [results.failed[index] for index in sorted(results.failed)]
    return request.json(BulkBody(done, failed), results.named)


@reads(
    compressible=True,
    request_body=RequestBody(ListRequest, {"first": {"limit": 30, "ascending": True}}),
    success=CONTACTS,
    errors=(Reason.TOO_MANY, Reason.DATE_TOO_COARSE),
    seconds=BULK_SECONDS,
)
async def page(request: RequestContext) -> ApiResponse:
    """List contacts by the time of their last change, newest first unless `ascending`.

    For the next page, pass the last row's `updated` as `date`, until a page is empty. A date that
    was cut to milliseconds or seconds is accepted: it means the whole millisecond or second, and a
    page does not end inside it, so a page may be longer than `limit`. After a date without a
    fraction the page begins with that second again.
    """
    query = bulk.list_query(decode(await request.body() or b"{}", ListRequest))
    found = await request.service.contacts.page(request.caller.team_id, query)
    bodies: list[object] = []
    for start in range(0, len(found), ROWS_AT_ONCE):
        # A page of seconds may hold 10,000 contacts: let other requests run.
        await asyncio.sleep(0)
        some = found[start : start + ROWS_AT_ONCE]
        bodies += [render.contact(each, request.representation) for each in some]
    return request.json(bodies)


@reads(
    compressible=True,
    request_body=RequestBody(
        SearchRequest, {"phone": {"contact_channels": [{"channel_ids": ["15105553344"]}]}}
    ),
    success=CONTACTS,
    errors=(*BAD_NEW_ADDRESS, Reason.TOO_MANY),
    seconds=BULK_SECONDS,
)
async def search(request: RequestContext) -> list[Contact]:
    """Find the contacts that own any of some addresses.

    Without `channel_type` an @ means email and digits mean phone. An address that cannot be read
    is ignored if another address can be read; otherwise the error is that of the first address.
    """
    caller = request.caller
    wanted = bulk.parse_search(decode(await request.body(), SearchRequest), caller.default_region)
    # A refusal is raised only if no address can be looked up, and it is that of the first.
    with renaming_fields(wanted[0].places if wanted else {}):
        return await request.service.contacts.search(
            caller.team_id, [AddressQuery(each.address) for each in wanted]
        )


@writes(
    compressible=True,
    request_body=RequestBody(
        BulkRows,
        {"two": {"contacts": [{"first": "Alice"}, {"contact_id": ALICE.uuid, "tags": []}]}},
    ),
    success=Success(
        "The result of each row.",
        (StringIdsBulk, IntegerIdsBulk),
        in_both(examples.bulk),
        render=render_bulk,
    ),
    errors=(Reason.TOO_MANY,),
    parameters=(ON_CONFLICT, OVERWRITE),
    seconds=BULK_SECONDS,
)
async def write_many(request: RequestContext) -> BulkResults:
    """Create and update up to 1,000 contacts.

    A row with a `contact_id` (a UUID) updates that contact; a row without it creates a contact. A
    row that cannot be written does not affect the others, and is returned as it was sent. If the
    store becomes unavailable, the remaining rows fail; if no row was written, the whole request
    fails. If rows failed because the store was unavailable, a retry with the same Idempotency-Key
    tries the failed rows again.
    """
    reject_if_match(header(request.scope, b"if-match"))
    rows = decode(await request.body(), BulkRequest).contacts
    # The rows are not decoded yet: each is decoded by itself, so that a bad row is an error of that
    # row only.
    if len(rows) > MAX_ROWS:
        raise bulk.too_many("contacts", len(rows), MAX_ROWS)
    parsed = await _parse_rows(rows, request.caller.default_region)
    results = BulkResults()
    await _write_chunks(request, parsed, results)
    for row in parsed:
        if row.index not in results.done and row.index not in results.failed:
            await _write_alone(request, row, results)
    if results.unavailable and not results.done:
        raise results.unavailable
    request.stores_separately = results.may_be_stored()
    return results


@writes(
    request_body=RequestBody(
        BulkDeleteRequest,
        {
            "one": {
                "contact_channels": [
                    {
                        "channel_type": "id",
                        "channel_ids": [ALICE.uuid],
                    }
                ]
            }
        },
    ),
    success=Success("Always the same text.", (Literal["ok"],), {"ok": "ok"}, render=constant("ok")),
    errors=(Reason.BAD_UUID, Reason.TOO_MANY),
    seconds=BULK_SECONDS,
)
async def delete_many(request: RequestContext) -> None:
    """Delete contacts by their UUIDs, under the reserved type `id`.

    A contact that does not exist is skipped.
    """
    reject_if_match(header(request.scope, b"if-match"))
    context = replace(request.context(), key=None)  # stored once for all deletions, at the end
    for uuid in bulk.parse_delete(decode(await request.body(), BulkDeleteRequest)):
        try:
            async with _time_limit():
                await request.service.contacts.delete(context, uuid)
        except Refusal as refusal:
            if refusal.reason is not Reason.NO_CONTACT:
                raise
    request.stores_separately = True


async def _parse_rows(rows: Sequence[Raw], region: str | None) -> list[ParsedRow]:
    """Parse the rows, and let other requests run in between."""
    parsed = []
    for index, raw in enumerate(rows):
        if index % ROWS_PARSED_AT_ONCE == 0:
            await asyncio.sleep(0)
        parsed.append(_parse_row(index, raw, region))
    return parsed


def _parse_row(index: int, raw: Raw, region: str | None) -> ParsedRow:
    try:
        row = decode(bytes(raw), BulkRow)
        wanted = contact_from(row, region)
        return ParsedRow(index, raw, wanted, bulk.row_uuid(row))
    except Refusal as refusal:
        return ParsedRow(index, raw, refusal)


async def _write_chunks(
    request: RequestContext, rows: Sequence[ParsedRow], results: BulkResults
) -> None:
    """Write the rows that do not depend on another row, in transactions of many.

    Two rows depend on each other if they name the same contact, address or external id. The other
    rows, and those that could not be written here, are left to `_write_alone`.
    """
    readable = [(row, row.wanted) for row in rows if not isinstance(row.wanted, Refusal)]
    claimed = claims_of_many([wanted for _, wanted in readable])
    named = Counter(row.uuid for row in rows)
    apart = [
        (row, wanted)
        for row, wanted in readable
        if (row.uuid is None or named[row.uuid] == 1) and claimed.isdisjoint(claims(wanted))
    ]
    contacts, team_id = request.service.contacts, request.caller.team_id

    async def create(chunk: Chunk) -> list[Contact | None]:
        new = [NewContact(_context_of(request, row), wanted) for row, wanted in chunk]
        return await contacts.create_many(team_id, new)

    async def update(chunk: Chunk) -> list[Contact | None]:
        overwrite = request.options.overwrite
        changes = [
            ContactUpdate(_context_of(request, row), row.uuid or "", wanted, overwrite)
            for row, wanted in chunk
        ]
        return await contacts.update_many(team_id, changes)

    for write, is_new in ((create, True), (update, False)):
        some = [(row, wanted) for row, wanted in apart if (row.uuid is None) is is_new]
        for start in range(0, len(some), CHUNK_ROWS):
            if results.unavailable or _seconds_left(request) < STORE_SECONDS:
                return
            await _write_chunk(request, some[start : start + CHUNK_ROWS], write, results)


def _context_of(request: RequestContext, row: ParsedRow) -> WriteContext:
    return request.context_of_row(row.index, render_contact)


async def _write_chunk(
    request: RequestContext,
    chunk: Chunk,
    write: Callable[[Chunk], Awaitable[list[Contact | None]]],
    results: BulkResults,
) -> None:
    """Write contacts in one transaction, and note the results of those that were written."""
    try:
        async with _time_limit():
            written = await write(chunk)
    except Refusal as refusal:
        if refusal.reason is Reason.STORE_UNAVAILABLE:
            # It is not known whether they were written, so none of them may be tried again.
            results.unavailable = refusal
            for row, _ in chunk:
                _fail_row(request, row, refusal, results)
        return
    for (row, _), contact in zip(chunk, written, strict=True):
        if contact is not None:
            results.add(row.index, render_contact(request, contact))


async def _write_alone(request: RequestContext, row: ParsedRow, results: BulkResults) -> None:
    """Write one row, and note its result."""
    # A row that is begun too late could exceed the deadline of the request, and then the results of
    # the rows before it would be lost.
    if results.unavailable is None and _seconds_left(request) < STORE_SECONDS:
        results.unavailable = timeout_error()
    if results.unavailable:
        _fail_row(request, row, results.unavailable, results, is_named=False)
        return
    try:
        async with _time_limit():
            results.add(row.index, await _write_row(request, row))
    except Refusal as refusal:
        # If the key of a row was used for another request, so was the key of the whole request.
        if refusal.reason is Reason.KEY_REUSED:
            raise
        if refusal.reason is Reason.STORE_UNAVAILABLE:
            results.unavailable = refusal
        _fail_row(request, row, refusal, results)
        # A row that is refused may not have awaited anything: let other requests run.
        await asyncio.sleep(0)


def _fail_row(
    request: RequestContext,
    row: ParsedRow,
    refusal: Refusal,
    results: BulkResults,
    *,
    is_named: bool = True,
) -> None:
    """Note the refusal of a row, and the contacts that the row mentions if `is_named`."""
    failed = bulk.failed_row(row.index, row.raw, refusal, request.representation)
    results.failed[row.index] = failed
    if is_named:
        results.named |= bulk.named_contacts(row.raw, refusal)


async def _write_row(request: RequestContext, row: ParsedRow) -> ApiResponse:
    """Write one row in a commit of its own; returns the response to it.

    If the request has a key, the response to each row is stored under a key of its own, so that a
    retry after a crash does not write the row again.
    """
    if isinstance(row.wanted, Refusal):
        raise row.wanted
    context = _context_of(request, row)
    contacts = request.service.contacts
    try:
        with locating_address(row.wanted):
            if row.uuid is None:
                saved = await contacts.create(context, row.wanted)
            else:
                saved = await contacts.update(
                    context, row.uuid, row.wanted, overwrite=request.options.overwrite
                )
    except AlreadyAnsweredError as before:
        body = before.response.body
        named = frozenset((bulk.uuid_of_row(body),))
        return ApiResponse(before.response.status, body, contact_uuids=named)
    return render_contact(request, saved)


@asynccontextmanager
async def _time_limit() -> AsyncIterator[None]:
    """Limit the time of one write of a request that has many; raises `store_unavailable`."""
    try:
        async with asyncio.timeout(STORE_SECONDS):
            yield
    except TimeoutError:
        raise timeout_error() from None


def _seconds_left(request: RequestContext) -> float:
    ends = request.deadline.when()
    return math.inf if ends is None else ends - asyncio.get_running_loop().time()
