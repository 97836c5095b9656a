"""The five operations of the vendor's documents (contract section 2)."""

from __future__ import annotations

from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel import ChannelList, ChannelSelector, ContactChannel
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.declarations import (
    BAD_ADDRESS,
    BAD_NEW_ADDRESS,
    CHANNEL,
    CHANNELS,
    IN_THE_WAY,
    NO_CONTACT,
    ON_CONFLICT,
    UNREACHABLE,
    WHICH,
)
from reachbook.http.openapi.examples import ADD_EMAIL, ADD_PHONE, NEW_EMAIL
from reachbook.http.operation import RequestBody, reads, writes
from reachbook.http.request import RequestContext
from reachbook.wire.models.v2 import ChannelRequest
from reachbook.wire.parse import channel_input, channel_selector, contact_uuid
from reachbook.wire.query import explaining_plus


@writes(
    compressible=True,
    request_body=RequestBody(ChannelRequest, {"email": ADD_EMAIL, "phone": ADD_PHONE}),
    success=CHANNELS,
    tagged=True,
    errors=(*NO_CONTACT, *BAD_NEW_ADDRESS, Reason.TOO_MANY, *IN_THE_WAY),
    parameters=(ON_CONFLICT,),
)
async def add(request: RequestContext) -> ChannelList:
    """Add a channel to a contact.

    What the contact already has, with every supplied field equal, is not written again; a
    differing handle or info channel is updated.
    """
    uuid = contact_uuid(request.path("contactID"))
    wanted = channel_input(await request.body(), request.caller.default_region)
    return await request.service.channels.add(request.context(), uuid, wanted)


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
async def replace(request: RequestContext) -> ChannelList:
    """Give the contact's channel of a type another address.

    The channel keeps its `id` and `created`. A type that the contact lacks is refused: this
    updates, it does not create.
    """
    uuid = contact_uuid(request.path("contactID"))
    wanted = channel_input(await request.body(), request.caller.default_region)
    which = _named(request, wanted.address.channel_type)
    with explaining_plus(request.scope["query_string"]):
        return await request.service.channels.replace(request.context(), uuid, wanted, which)


@reads(compressible=True, success=CHANNELS, tagged=True, errors=NO_CONTACT)
async def list_all(request: RequestContext) -> ChannelList:
    """List the channels of a contact."""
    uuid = contact_uuid(request.path("contactID"))
    return await request.service.channels.all(request.context(), uuid)


@reads(
    success=CHANNEL,
    tagged=True,
    errors=(*NO_CONTACT, *BAD_ADDRESS, Reason.NO_CHANNEL),
    parameters=(WHICH,),
)
async def get(request: RequestContext) -> tuple[ChannelList, ContactChannel]:
    """Retrieve the channel of a type.

    When there are several, it is the primary one: the one last made primary, else the oldest.
    """
    uuid, which = contact_uuid(request.path("contactID")), _named_in_path(request)
    with explaining_plus(request.scope["query_string"]):
        return await request.service.channels.get(request.context(), uuid, which)


@writes(
    compressible=True,
    success=CHANNELS,
    tagged=True,
    errors=(*NO_CONTACT, *BAD_ADDRESS, Reason.NO_CHANNEL, Reason.SEVERAL, Reason.STALE_REVISION),
    parameters=(WHICH,),
    headers=(UNREACHABLE,),
)
async def remove(request: RequestContext) -> ChannelList:
    """Remove the channel of a type, for good.

    The answer is the list that is left. The last channel may go: the contact can then not be
    reached. When several channels could be meant, none is removed.
    """
    uuid, which = contact_uuid(request.path("contactID")), _named_in_path(request)
    with explaining_plus(request.scope["query_string"]):
        return await request.service.channels.remove(request.context(), uuid, which)


def _named_in_path(request: RequestContext) -> ChannelSelector:
    return _named(request, request.path("channelType"))


def _named(request: RequestContext, channel_type: str) -> ChannelSelector:
    try:
        with explaining_plus(request.scope["query_string"]):
            return channel_selector(channel_type, request.options, request.caller.default_region)
    except Refusal as refusal:
        # The address may be stored all the same, so the refusal is raised only if it is not found.
        text = request.options.channel_id
        if text is None:
            raise
        # An older release with other rules may have stored exactly this text.
        return ChannelSelector(addresses.channel_type(channel_type), text=text, refusal=refusal)
