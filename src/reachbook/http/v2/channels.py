"""The five operations of the vendor's documents (contract section 2)."""

from __future__ import annotations

from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel import ChannelList, ChannelSelector, ContactChannel
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.declarations import (
    BAD_ADDRESS,
    BAD_NEW_ADDRESS,
    CHANNEL,
    CHANNEL_ID,
    CHANNELS,
    NO_CONTACT,
    ON_CONFLICT,
    UNREACHABLE,
    WRITE_CONFLICTS,
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
    etag=True,
    errors=(*NO_CONTACT, *BAD_NEW_ADDRESS, Reason.TOO_MANY, *WRITE_CONFLICTS),
    parameters=(ON_CONFLICT,),
)
async def add(request: RequestContext) -> ChannelList:
    """Add a channel to a contact.

    If the contact has the address, and every supplied field is equal, nothing is written. A handle
    or an info channel that differs is updated.
    """
    uuid = contact_uuid(request.path("contactID"))
    wanted = channel_input(await request.body(), request.caller.default_region)
    return await request.service.channels.add(request.context(), uuid, wanted)


@writes(
    compressible=True,
    request_body=RequestBody(ChannelRequest, {"email": NEW_EMAIL}),
    success=CHANNELS,
    etag=True,
    errors=(
        *NO_CONTACT,
        *BAD_NEW_ADDRESS,
        Reason.NO_CHANNEL,
        Reason.ADDRESS_TAKEN,
        Reason.STALE_REVISION,
    ),
    parameters=(CHANNEL_ID, ON_CONFLICT),
)
async def replace(request: RequestContext) -> ChannelList:
    """Give the contact's channel of a type another address.

    The channel keeps its `id` and `created`. If the contact has no channel of the type, the
    response is 404: this request does not create a channel.
    """
    uuid = contact_uuid(request.path("contactID"))
    wanted = channel_input(await request.body(), request.caller.default_region)
    selector = _selector(request, wanted.address.channel_type)
    with explaining_plus(request.scope["query_string"]):
        return await request.service.channels.replace(request.context(), uuid, wanted, selector)


@reads(compressible=True, success=CHANNELS, etag=True, errors=NO_CONTACT)
async def list_all(request: RequestContext) -> ChannelList:
    """List the channels of a contact."""
    uuid = contact_uuid(request.path("contactID"))
    return await request.service.channels.all(request.context(), uuid)


@reads(
    success=CHANNEL,
    etag=True,
    errors=(*NO_CONTACT, *BAD_ADDRESS, Reason.NO_CHANNEL),
    parameters=(CHANNEL_ID,),
)
async def get(request: RequestContext) -> tuple[ChannelList, ContactChannel]:
    """Retrieve the channel of a type.

    If there are several, this is the primary channel: the one that was last made primary, or else
    the oldest.
    """
    uuid = contact_uuid(request.path("contactID"))
    selector = _selector(request, request.path("channelType"))
    with explaining_plus(request.scope["query_string"]):
        return await request.service.channels.get(request.context(), uuid, selector)


@writes(
    compressible=True,
    success=CHANNELS,
    etag=True,
    errors=(*NO_CONTACT, *BAD_ADDRESS, Reason.NO_CHANNEL, Reason.SEVERAL, Reason.STALE_REVISION),
    parameters=(CHANNEL_ID,),
    headers=(UNREACHABLE,),
)
async def remove(request: RequestContext) -> ChannelList:
    """Remove the channel of a type, for good.

    The response has the remaining channels. The last channel may be removed, although the contact
    cannot be reached then. If several channels could be meant, none is removed.
    """
    uuid = contact_uuid(request.path("contactID"))
    selector = _selector(request, request.path("channelType"))
    with explaining_plus(request.scope["query_string"]):
        return await request.service.channels.remove(request.context(), uuid, selector)


def _selector(request: RequestContext, channel_type: str) -> ChannelSelector:
    try:
        with explaining_plus(request.scope["query_string"]):
            return channel_selector(channel_type, request.options, request.caller.default_region)
    except Refusal as refusal:
        # An older release with other rules may have stored exactly this text, so the refusal is
        # raised only if no channel has it.
        text = request.options.channel_id
        if text is None:
            raise
        return ChannelSelector(addresses.channel_type(channel_type), text=text, refusal=refusal)
