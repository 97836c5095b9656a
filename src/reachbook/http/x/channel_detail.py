"""Channels by their id, with more than the nine fields of the vendor (`/x`)."""

from __future__ import annotations

from reachbook.domain.channel import ChannelList, channel_by_number
from reachbook.domain.errors import Reason
from reachbook.http.declarations import DETAIL, DETAILS, NO_CONTACT, UNREACHABLE
from reachbook.http.operation import Parameter, RequestBody, reads, writes
from reachbook.http.request import RequestContext
from reachbook.http.response import READ_SECONDS, ApiResponse
from reachbook.wire import extensions
from reachbook.wire.models.fields import Moment
from reachbook.wire.models.x import PatchRequest
from reachbook.wire.parse import contact_uuid, decode
from reachbook.wire.query import AsOfQuery, NoQuery, explaining_plus, parse_timestamp

AS_OF = Parameter(
    "as_of",
    Moment,
    "Show the state at this time (RFC 3339), after the events at exactly this time.",
)
NO_CHANNEL = (*NO_CONTACT, Reason.BAD_VALUE, Reason.NO_CHANNEL)


@reads(
    compressible=True,
    success=DETAILS,
    etag=True,
    errors=(*NO_CONTACT, Reason.ERASED),
    parameters=(AS_OF,),
    query=AsOfQuery,
)
async def list_all(request: RequestContext) -> ChannelList | ApiResponse:
    """List the channels of a contact with all their fields, now or at a past time."""
    uuid = contact_uuid(request.path("contactID"))
    as_of = request.query(AsOfQuery).as_of
    if as_of is not None:
        past = await _as_of(request, uuid, as_of)
        return request.json(extensions.channel_details(past))
    return await request.service.channels.all(request.context(), uuid)


@reads(
    success=DETAIL,
    etag=True,
    errors=(*NO_CHANNEL, Reason.ERASED),
    parameters=(AS_OF,),
    query=AsOfQuery,
)
async def get(request: RequestContext) -> ChannelList | ApiResponse:
    """Retrieve one channel by its id, now or at a past time."""
    uuid, number = _ids_in_path(request)
    as_of = request.query(AsOfQuery).as_of
    if as_of is not None:
        past = await _as_of(request, uuid, as_of)
        return request.json(extensions.channel_detail(past, channel_by_number(past, number)))
    return await request.service.channels.with_channel(request.context(), uuid, number)


@writes(
    request_body=RequestBody(
        PatchRequest,
        {"bounced": {"held": True, "held_reason": "bounced"}, "consent": {"consent": "opted_in"}},
    ),
    success=DETAIL,
    etag=True,
    errors=(*NO_CHANNEL, Reason.UNKNOWN_NAME, Reason.ADDRESS_TAKEN, Reason.STALE_REVISION),
    query=NoQuery,
)
async def patch(request: RequestContext) -> ChannelList:
    """Set fields of one channel; a field that is left out stays as it is."""
    uuid, number = _ids_in_path(request)
    wanted = extensions.patch(decode(await request.body(), PatchRequest))
    return await request.service.channels.patch(request.context(), uuid, number, wanted)


@writes(success=DETAIL, etag=True, errors=(*NO_CHANNEL, Reason.STALE_REVISION), query=NoQuery)
async def make_primary(request: RequestContext) -> ChannelList:
    """Make one channel the primary one of its type."""
    uuid, number = _ids_in_path(request)
    return await request.service.channels.make_primary(request.context(), uuid, number)


@writes(
    compressible=True,
    success=DETAILS,
    etag=True,
    errors=(*NO_CHANNEL, Reason.STALE_REVISION),
    headers=(UNREACHABLE,),
    query=NoQuery,
)
async def remove(request: RequestContext) -> ChannelList:
    """Remove one channel by its id, for good; the response has the remaining channels."""
    uuid, number = _ids_in_path(request)
    return await request.service.channels.remove_exactly(request.context(), uuid, number)


def _ids_in_path(request: RequestContext) -> tuple[str, int]:
    """Returns the UUID of the contact and the id of the channel."""
    uuid = contact_uuid(request.path("contactID"))
    return uuid, extensions.channel_number(request.path("id"))


async def _as_of(request: RequestContext, uuid: str, as_of: str) -> ChannelList:
    with explaining_plus(request.scope["query_string"]):
        at = parse_timestamp("as_of", as_of)
    await request.take_time(READ_SECONDS)  # all of the contact's events may have to be read
    return await request.service.history.channels_as_of(request.caller.team_id, uuid, at)
