"""The five operations of the seeds (contract section 2): decode, ask, encode, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel import ChannelList, ChannelSelector
from reachbook.domain.channel_rules import OnConflict
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.openapi.examples import ADD_EMAIL, ADD_PHONE, ALICE, NEW_EMAIL, PHONE, in_both
from reachbook.http.operation import Header, Parameter, RequestBody, Success, reads, writes
from reachbook.http.request import ApiResponse, RequestContext
from reachbook.wire import render
from reachbook.wire.parse import ChannelRequest, channel_input, channel_selector, contact_uuid
from reachbook.wire.query import explaining_plus
from reachbook.wire.render import IntegerIdsChannel, StringIdsChannel

CHANNEL = Success(
    "One channel.",
    (StringIdsChannel, IntegerIdsChannel),
    in_both(lambda spelled: render.channel(ALICE, PHONE, spelled)),
)
CHANNELS = Success(
    "The contact's whole list, oldest first.",
    (list[StringIdsChannel], list[IntegerIdsChannel]),
    in_both(lambda spelled: render.channels(ALICE, spelled)),
)
WHICH = Parameter(
    "channel_id",
    str,
    "Names one channel exactly, in any spelling of its address, where the contact has several of "
    "the type. Without it, the primary one is meant.",
)
ON_CONFLICT = Parameter(
    "on_conflict",
    OnConflict,
    "What to do when another contact owns the address: `refuse`, or `move` it here in one commit.",
)
UNREACHABLE = Header(
    "X-Contact-Reachable", Literal["false"], "Sent when the contact has no channel left."
)
BAD_ADDRESS = (
    Reason.BAD_CHANNEL_TYPE,
    Reason.BAD_PHONE,
    Reason.BAD_EMAIL,
    Reason.BAD_CHANNEL_ID,
)
BAD_NEW_ADDRESS = (*BAD_ADDRESS, Reason.AMBIGUOUS)
NO_CONTACT = (Reason.BAD_UUID, Reason.NO_CONTACT)
IN_THE_WAY = (Reason.ADDRESS_TAKEN, Reason.STALE_REVISION)


@writes(
    compressible=True,
    request_body=RequestBody(ChannelRequest, {"email": ADD_EMAIL, "phone": ADD_PHONE}),
    success=CHANNELS,
    tagged=True,
    errors=(*NO_CONTACT, *BAD_NEW_ADDRESS, Reason.TOO_MANY, *IN_THE_WAY),
    parameters=(ON_CONFLICT,),
)
async def add(request: RequestContext) -> ApiResponse:
    """Add a channel to a contact.

    What the contact already has, with every supplied field equal, is not written again; a
    differing handle or info channel is updated.
    """
    uuid = contact_uuid(request.path("contactID"))
    wanted = channel_input(await request.body(), request.caller.default_region)
    encode = _encode(request)
    return encode(await request.service.channels.add(request.context(encode), uuid, wanted))


@writes(
    compressible=True,
    request_body=RequestBody(ChannelRequest, {"email": NEW_EMAIL}),
    success=CHANNELS,
    tagged=True,
    errors=(
        *NO_CONTACT,
        *BAD_NEW_ADDRESS,
        Reason.NO_CHANNEL,
        Reason.ADDRESS_TAKEN,
        Reason.STALE_REVISION,
    ),
    parameters=(WHICH, ON_CONFLICT),
)
async def replace(request: RequestContext) -> ApiResponse:
    """Give the contact's channel of a type another address.

    The channel keeps its `id` and `created`. A type that the contact lacks is refused: this
    updates, it does not create.
    """
    uuid = contact_uuid(request.path("contactID"))
    wanted = channel_input(await request.body(), request.caller.default_region)
    which = _named(request, wanted.address.channel_type)
    encode, context = _encode(request), request.context(_encode(request))
    with explaining_plus(request.scope["query_string"]):
        return encode(await request.service.channels.replace(context, uuid, wanted, which))


@reads(compressible=True, success=CHANNELS, tagged=True, errors=NO_CONTACT)
async def list_all(request: RequestContext) -> ApiResponse:
    """List the channels of a contact."""
    uuid = contact_uuid(request.path("contactID"))
    return _encode(request)(await request.service.channels.all(request.context(), uuid))


@reads(
    success=CHANNEL,
    tagged=True,
    errors=(*NO_CONTACT, *BAD_ADDRESS, Reason.NO_CHANNEL),
    parameters=(WHICH,),
)
async def get(request: RequestContext) -> ApiResponse:
    """Retrieve the channel of a type.

    When there are several, it is the primary one: the one last made primary, else the oldest.
    """
    uuid, which = contact_uuid(request.path("contactID")), _named_in_path(request)
    with explaining_plus(request.scope["query_string"]):
        channel_list, channel = await request.service.channels.get(request.context(), uuid, which)
    return request.tagged(
        channel_list, render.channel(channel_list, channel, request.representation)
    )


@writes(
    compressible=True,
    success=CHANNELS,
    tagged=True,
    errors=(*NO_CONTACT, *BAD_ADDRESS, Reason.NO_CHANNEL, Reason.SEVERAL, Reason.STALE_REVISION),
    parameters=(WHICH,),
    headers=(UNREACHABLE,),
)
async def remove(request: RequestContext) -> ApiResponse:
    """Remove the channel of a type, for good.

    The answer is the list that is left. The last channel may go: the contact can then not be
    reached. When several channels could be meant, none is removed.
    """
    uuid, which = contact_uuid(request.path("contactID")), _named_in_path(request)

    def encode(after: ChannelList) -> ApiResponse:
        unreachable = [] if after.channels else [(b"x-contact-reachable", b"false")]
        return request.tagged(after, render.channels(after, request.representation), unreachable)

    with explaining_plus(request.scope["query_string"]):
        return encode(await request.service.channels.remove(request.context(encode), uuid, which))


def _encode(request: RequestContext) -> Callable[[ChannelList], ApiResponse]:
    return lambda channel_list: request.tagged(
        channel_list, render.channels(channel_list, request.representation)
    )


def _named_in_path(request: RequestContext) -> ChannelSelector:
    return _named(request, request.path("channelType"))


def _named(request: RequestContext, channel_type: str) -> ChannelSelector:
    try:
        with explaining_plus(request.scope["query_string"]):
            return channel_selector(channel_type, request.options, request.caller.default_region)
    except Refusal as refusal:
        text = request.options.channel_id
        if text is None:
            raise
        # An older release with other rules may have stored exactly this text.
        return ChannelSelector(addresses.channel_type(channel_type), text=text, refusal=refusal)
