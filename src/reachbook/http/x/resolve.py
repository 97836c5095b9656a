"""Resolving addresses to contacts, and suppressions: `/x/resolve` and `/x/suppression`."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from msgspec import Raw
from msgspec.structs import replace

from reachbook.domain.address.query import AddressQuery
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.on_conflict import OnConflict
from reachbook.http.declarations import BAD_ADDRESS, BAD_NEW_ADDRESS, constant
from reachbook.http.headers import header
from reachbook.http.openapi import examples
from reachbook.http.operation import Parameter, RequestBody, Success, reads, writes
from reachbook.http.preconditions import reject_if_match
from reachbook.http.request import RequestContext
from reachbook.http.response import ApiResponse
from reachbook.service import Resolved
from reachbook.wire import bulk, extensions, render
from reachbook.wire.models.x import (
    MAX_BATCH,
    AddressRequest,
    BatchBody,
    BatchRequest,
    BatchResults,
    BatchRows,
    MayCreate,
    ResolvedBody,
    ResolveRequest,
    SuppressionRequest,
)
from reachbook.wire.parse import contact_from, decode
from reachbook.wire.query import NoQuery, ResolveQuery

EXPLAIN = Parameter(
    "explain", bool, "Explain how the address was read, and which rule joined it to its owner."
)
ON_CONFLICT = Parameter(
    "on_conflict",
    OnConflict,
    "The action if another contact owns another address of the contact to create: `refuse` the "
    "request, or `move` that address. The address of the request itself is never moved: its owner "
    "is returned.",
)
ENDED = "suppression ended"
TAKEN = (Reason.ADDRESS_TAKEN, Reason.EXTERNAL_ID_TAKEN)


def render_resolved(request: RequestContext, resolved: Resolved) -> ApiResponse:
    """Returns the owner of an address, and how the address was read if `explain` is set."""
    body = _body(resolved)
    if request.query(ResolveQuery).explain:
        query, region = resolved.query, request.caller.default_region
        body.explain = extensions.explanation(query.text, query.address, resolved.channel, region)
    contact = resolved.contact
    return request.json(body, [contact.uuid] if contact else [])


def render_batch(request: RequestContext, results: list[Resolved | Refusal]) -> ApiResponse:
    """Returns the result of each address, in order."""
    bodies = [
        extensions.bad_address(result) if isinstance(result, Refusal) else _body(result)
        for result in results
    ]
    return request.json(BatchBody(bodies))


def creates(body: bytes) -> bool:
    """Returns whether a body asks to create a contact; False if it cannot be decoded."""
    with suppress(Refusal):
        return decode(body, MayCreate).create is not None
    return False


def _body(resolved: Resolved) -> ResolvedBody:
    contact, channel = resolved.contact, resolved.channel
    if contact is None or channel is None:
        suppressed = extensions.suppression(resolved.suppressed)
        return ResolvedBody(None, None, created=False, suppressed=suppressed)
    return ResolvedBody(
        render.contact_with_string_ids(contact),
        extensions.channel_detail(contact, channel),
        resolved.created,
    )


@reads(
    request_body=RequestBody(
        ResolveRequest,
        {
            "look up": {"channel_id": examples.TYPED},
            "create": {"channel_id": "15105553344", "create": {"first": "Alice"}},
        },
    ),
    success=Success(
        "The owner of the address, or null.",
        (ResolvedBody,),
        {"found": examples.FOUND, "explained": examples.EXPLAINED, "nobody": examples.NO_OWNER}
        | {"suppressed": examples.SUPPRESSED},
        render=render_resolved,
    ),
    errors=(*BAD_NEW_ADDRESS, Reason.TOO_MANY, Reason.UNKNOWN_NAME, *TAKEN),
    parameters=(EXPLAIN, ON_CONFLICT),
    query=ResolveQuery,
    writes_if=creates,
)
async def one(request: RequestContext) -> Resolved:
    """Find the contact that owns an address, or create it.

    Simultaneous requests for one address create at most one contact, and `created` is true in one
    response only. Without `create` this only reads, and a read-only credential may be used.
    """
    options = request.query(ResolveQuery)
    wanted = decode(await request.body(), ResolveRequest)
    region = request.caller.default_region
    query = extensions.address_query(wanted, region)
    create = contact_from(wanted.create, region) if wanted.create else None
    # The query of a path under /x is a struct of its own, so the context has no `on_conflict` yet.
    context = replace(request.context(), on_conflict=options.on_conflict)
    resolved = await request.service.resolving.one(context, query, create)
    request.stores_separately = not resolved.created
    return resolved


@reads(
    compressible=True,
    request_body=RequestBody(
        BatchRows,
        {
            "three": {
                "addresses": [
                    {"channel_id": "15105553344"},
                    {"channel_type": "facebook", "channel_id": "24681357"},
                    {"channel_type": "phone", "channel_id": "+1 510"},
                ]
            }
        },
    ),
    success=Success(
        "The result for each address, in order.",
        (BatchResults,),
        {"three": examples.batch()},
        render=render_batch,
    ),
    errors=(Reason.UNKNOWN_NAME, Reason.TOO_MANY),
    query=NoQuery,
    seconds=10.0,
)
async def batch(request: RequestContext) -> list[Resolved | Refusal]:
    """Find the owners of up to 1,000 addresses, in order.

    The result for an address that cannot be read is an error.
    """
    request.query(NoQuery)
    rows = decode(await request.body(), BatchRequest).addresses
    if len(rows) > MAX_BATCH:
        raise bulk.too_many("addresses", len(rows), MAX_BATCH)
    read = [_read(row, request.caller.default_region) for row in rows]
    query = [each for each in read if isinstance(each, AddressQuery)]
    found = iter(await request.service.resolving.many(request.caller.team_id, query))
    return [next(found) if isinstance(each, AddressQuery) else each for each in read]


@writes(
    request_body=RequestBody(
        SuppressionRequest,
        {
            "opted out": {
                "channel_type": "phone",
                "channel_id": "14155551234",
                "reason": "opted_out",
            }
        },
    ),
    success=Success(
        "The suppression is ended.",
        (Literal["suppression ended"],),
        {"ended": ENDED},
        render=constant(ENDED),
    ),
    errors=(*BAD_ADDRESS, Reason.UNKNOWN_NAME, Reason.NO_SUPPRESSION, Reason.ADDRESS_TAKEN),
    query=NoQuery,
)
async def end_suppression(request: RequestContext) -> None:
    """End the suppression of an address that nobody owns, and record the credential.

    For an address that a contact owns, set the consent or the hold of its channel.
    """
    reject_if_match(header(request.scope, b"if-match"))
    request.query(NoQuery)
    wanted = decode(await request.body(), SuppressionRequest)
    query = extensions.address_query(wanted, request.caller.default_region)
    await request.service.resolving.end_suppression(request.context(), query, wanted.reason)
    request.stores_separately = True


def _read(row: Raw, region: str | None) -> AddressQuery | Refusal:
    try:
        return extensions.address_query(decode(bytes(row), AddressRequest), region)
    except Refusal as refusal:
        return refusal
