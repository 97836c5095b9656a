"""One channel by its id, with the fields beyond the nine of the vendor (`/x`)."""

from __future__ import annotations

from reachbook.domain.channel import ChannelList, channel_by_number
from reachbook.domain.errors import Reason
from reachbook.http.openapi.examples import ALICE, PHONE
from reachbook.http.operation import Parameter, RequestBody, Success, reads, writes
from reachbook.http.request import READ_SECONDS, ApiResponse, RequestContext
from reachbook.http.v2.channels import NO_CONTACT, UNREACHABLE
from reachbook.wire import extensions
from reachbook.wire.parse import contact_uuid, decode
from reachbook.wire.query import AsOfQuery, NoQuery, explaining_plus, parse_timestamp
from reachbook.wire.render import Moment

DETAIL = Success(
    "The channel.", (extensions.ChannelDetail,), {"phone": extensions.channel_detail(ALICE, PHONE)}
)
DETAILS = Success(
    "The contact's whole list, oldest first.",
    (list[extensions.ChannelDetail],),
    {"alice": extensions.channel_details(ALICE)},
)
AS_OF = Parameter(
    "as_of", Moment, "Answer as of this moment (RFC 3339), events at that very instant included."
)
NO_CHANNEL = (*NO_CONTACT, Reason.BAD_VALUE, Reason.NO_CHANNEL)


@reads(
    compressible=True,
    success=DETAILS,
    tagged=True,
    errors=(*NO_CONTACT, Reason.ERASED),
    parameters=(AS_OF,),
    query=AsOfQuery,
)
async def list_all(request: RequestContext) -> ApiResponse:
    """List the channels of a contact with all that we know of each, now or at a moment."""
    uuid = contact_uuid(request.path("contactID"))
    as_of = request.query(AsOfQuery).as_of
    if as_of is not None:
        past = await _as_of(request, uuid, as_of)
        return request.answer(extensions.channel_details(past))
    channel_list = await request.service.channels.all(request.context(), uuid)
    return request.tagged(channel_list, extensions.channel_details(channel_list))


@reads(
    success=DETAIL,
    tagged=True,
    errors=(*NO_CHANNEL, Reason.ERASED),
    parameters=(AS_OF,),
    query=AsOfQuery,
)
async def get(request: RequestContext) -> ApiResponse:
    """Retrieve one channel by its id, now or at a moment."""
    uuid, number = (
        contact_uuid(request.path("contactID")),
        extensions.channel_number(request.path("id")),
    )
    as_of = request.query(AsOfQuery).as_of
    if as_of is not None:
        past = await _as_of(request, uuid, as_of)
        return request.answer(extensions.channel_detail(past, channel_by_number(past, number)))
    channel_list, channel = await request.service.channels.exactly(request.context(), uuid, number)
    return request.tagged(channel_list, extensions.channel_detail(channel_list, channel))


@writes(
    request_body=RequestBody(
        extensions.PatchRequest,
        {"bounced": {"held": True, "held_reason": "bounced"}, "consent": {"consent": "opted_in"}},
    ),
    success=DETAIL,
    tagged=True,
    errors=(*NO_CHANNEL, Reason.UNKNOWN_NAME, Reason.ADDRESS_TAKEN, Reason.STALE_REVISION),
    query=NoQuery,
)
async def patch(request: RequestContext) -> ApiResponse:
    """Set fields of one channel; a field that is left out stays as it is."""
    uuid, number = (
        contact_uuid(request.path("contactID")),
        extensions.channel_number(request.path("id")),
    )
    wanted = extensions.patch(decode(await request.body(), extensions.PatchRequest))

    def encode(after: ChannelList) -> ApiResponse:
        return request.tagged(
            after, extensions.channel_detail(after, channel_by_number(after, number))
        )

    return encode(
        await request.service.channels.patch(request.context(encode), uuid, number, wanted)
    )


@writes(success=DETAIL, tagged=True, errors=(*NO_CHANNEL, Reason.STALE_REVISION), query=NoQuery)
async def make_primary(request: RequestContext) -> ApiResponse:
    """Make one channel the primary one of its type."""
    uuid, number = (
        contact_uuid(request.path("contactID")),
        extensions.channel_number(request.path("id")),
    )

    def encode(after: ChannelList) -> ApiResponse:
        return request.tagged(
            after, extensions.channel_detail(after, channel_by_number(after, number))
        )

    return encode(
        await request.service.channels.make_primary(request.context(encode), uuid, number)
    )


@writes(
    compressible=True,
    success=DETAILS,
    tagged=True,
    errors=(*NO_CHANNEL, Reason.STALE_REVISION),
    headers=(UNREACHABLE,),
    query=NoQuery,
)
async def remove(request: RequestContext) -> ApiResponse:
    """Remove one channel by its id, for good; the answer is the list that is left."""
    uuid, number = (
        contact_uuid(request.path("contactID")),
        extensions.channel_number(request.path("id")),
    )

    def encode(after: ChannelList) -> ApiResponse:
        unreachable = [] if after.channels else [(b"x-contact-reachable", b"false")]
        return request.tagged(after, extensions.channel_details(after), unreachable)

    return encode(
        await request.service.channels.remove_exactly(request.context(encode), uuid, number)
    )


async def _as_of(request: RequestContext, uuid: str, as_of: str) -> ChannelList:
    with explaining_plus(request.scope["query_string"]):
        at = parse_timestamp("as_of", as_of)
    await request.take_time(READ_SECONDS)  # all of the contact's events may have to be read
    return await request.service.history.channels_as_of(request.caller.team_id, uuid, at)
