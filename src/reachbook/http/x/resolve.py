"""Who is this: `/x/resolve`."""

from __future__ import annotations

from typing import Literal, cast

from msgspec import Raw
from msgspec.structs import replace

from reachbook.domain.channel import Reach
from reachbook.domain.channel_rules import OnConflict
from reachbook.domain.contact import Contact
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.openapi import examples
from reachbook.http.operation import Gives, Parameter, Takes, reads, writes
from reachbook.http.preconditions import refuse_if_match
from reachbook.http.request import Answer, Request, header
from reachbook.http.v2.bulk import kept_whole
from reachbook.http.v2.channels import BAD_ADDRESS, BAD_NEW_ADDRESS
from reachbook.service import Resolved, Sought, made
from reachbook.wire import bulk, extensions, render, schemas
from reachbook.wire.parse import decode
from reachbook.wire.query import NoQuery, ResolveQuery

EXPLAIN = Parameter(
    "explain", bool, "Tell how the address was read and which rule joined it to its owner."
)
ON_CONFLICT = Parameter(
    "on_conflict",
    OnConflict,
    "What happens when somebody owns another address of the contact to make: `move` takes it from "
    "them. The address that is looked for is never taken: its owner is the answer.",
)
ENDED = "suppression ended"
TAKEN = (Reason.ADDRESS_TAKEN, Reason.EXTERNAL_ID_TAKEN)


@reads(
    takes=Takes(
        extensions.ResolveRequest,
        {
            "look up": {"channel_id": examples.TYPED},
            "or make": {"channel_id": "15105553344", "create": {"first": "Alice"}},
        },
    ),
    gives=Gives(
        "Who owns the address; nobody is an answer.",
        (extensions.ResolvedBody,),
        {"found": examples.FOUND, "explained": examples.EXPLAINED, "nobody": examples.NOBODY}
        | {"suppressed": examples.SUPPRESSED},
    ),
    refuses=(*BAD_NEW_ADDRESS, Reason.TOO_MANY, Reason.UNKNOWN_NAME, *TAKEN),
    parameters=(EXPLAIN, ON_CONFLICT),
    query=ResolveQuery,
    may_write=True,
)
async def one(request: Request) -> Answer:
    """Find the contact that owns an address, or make it.

    Any number of simultaneous calls for one address give one contact, and `created` is true
    exactly once. Without `create` this only looks, and a read-only credential may use it.
    """
    query = request.query(ResolveQuery)
    body = await request.body()
    if request.caller.read_only and decode(body, extensions.MayCreate).create is not None:
        request.permit_write()
    wanted = decode(body, extensions.ResolveRequest)
    region = request.caller.default_region
    sought = _sought(wanted, region)
    create = extensions.new_contact(wanted, sought.address, region) if wanted.create else None

    def encode(resolved: Resolved) -> Answer:
        body = _body(resolved)
        if query.explain:
            body.explain = extensions.explained(
                wanted.channel_id, sought.address, resolved.channel, region
            )
        contact = resolved.contact
        return request.answer(body, [contact.uuid] if contact else [])

    def encode_new(after: Reach) -> Answer:
        return encode(made(cast("Contact", after), sought.address))

    asking = replace(request.asking(encode_new), on_conflict=query.on_conflict)
    resolved = await request.service.resolving.one(asking, sought, create)
    if create is None or resolved.created:
        return encode(resolved)
    return await kept_whole(request, encode(resolved))


@reads(
    compressible=True,
    takes=Takes(
        schemas.BatchRows,
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
    gives=Gives(
        "An answer for each address, in order.",
        (schemas.BatchAnswers,),
        {"three": examples.batch()},
    ),
    refuses=(Reason.UNKNOWN_NAME, Reason.TOO_MANY),
    query=NoQuery,
    seconds=10.0,
)
async def batch(request: Request) -> Answer:
    """Find the owners of up to 1,000 addresses, in order; a bad one is an error in its place."""
    request.query(NoQuery)
    rows = decode(await request.body(), extensions.BatchRequest).addresses
    if len(rows) > extensions.MAX_BATCH:
        raise bulk.too_many("addresses", len(rows), extensions.MAX_BATCH)
    read = [_read(row, request.caller.default_region) for row in rows]
    sought = [each for each in read if isinstance(each, Sought)]
    found = iter(await request.service.resolving.many(request.caller.team_id, sought))
    answers = [next(found) if isinstance(each, Sought) else each for each in read]
    results = [
        extensions.bad_address(each) if isinstance(each, Refusal) else _body(each)
        for each in answers
    ]
    return request.answer(extensions.BatchBody(results))


@writes(
    takes=Takes(
        extensions.SuppressionRequest,
        {
            "opted out": {
                "channel_type": "phone",
                "channel_id": "14155551234",
                "reason": "opted_out",
            }
        },
    ),
    gives=Gives("The suppression is ended.", (Literal["suppression ended"],), {"ended": ENDED}),
    refuses=(*BAD_ADDRESS, Reason.UNKNOWN_NAME, Reason.NO_SUPPRESSION, Reason.ADDRESS_TAKEN),
    query=NoQuery,
)
async def end_suppression(request: Request) -> Answer:
    """End the suppression of an address that nobody owns, and record the credential.

    For an address that a contact owns, set the consent or the hold of its channel.
    """
    refuse_if_match(header(request.scope, b"if-match"))
    request.query(NoQuery)
    wanted = decode(await request.body(), extensions.SuppressionRequest)
    sought = _sought(wanted, request.caller.default_region)
    await request.service.resolving.end_suppression(request.asking(), sought, wanted.reason)
    return await kept_whole(request, request.answer(ENDED))


def _read(row: Raw, region: str | None) -> Sought | Refusal:
    try:
        return _sought(decode(bytes(row), extensions.SoughtRequest), region)
    except Refusal as no:
        return no


def _sought(
    wanted: extensions.SoughtRequest | extensions.SuppressionRequest, region: str | None
) -> Sought:
    address = bulk.sought(wanted.channel_type, wanted.channel_id, region)
    return Sought(address, extensions.scope(address, wanted.info_channel))


def _body(resolved: Resolved) -> extensions.ResolvedBody:
    contact, channel = resolved.contact, resolved.channel
    if contact is None or channel is None:
        suppressed = extensions.suppressed(resolved.suppressed)
        return extensions.ResolvedBody(None, None, created=False, suppressed=suppressed)
    return extensions.ResolvedBody(
        render.contact_with_string_ids(contact),
        extensions.known_channel(contact, channel),
        resolved.created,
    )
