"""The five operations of the seeds (contract section 2): decode, ask, encode, return."""

from __future__ import annotations

from reachbook.contact_channel import Named
from reachbook.http.message import Answer, Request
from reachbook.wire import answer
from reachbook.wire.request import contact_uuid, named, wanted_channel


async def add(request: Request) -> Answer:
    """POST /v2/contact/{contactID}/channel → the contact's whole list."""
    uuid = contact_uuid(request.path("contactID"))
    wanted = wanted_channel(await request.body(), request.caller.default_region)
    reach = await request.service.add_channel(request.asking, uuid, wanted)
    return request.answer(answer.channels(reach, request.representation))


async def replace(request: Request) -> Answer:
    """PUT /v2/contact/{contactID}/channel → the contact's whole list."""
    uuid = contact_uuid(request.path("contactID"))
    wanted = wanted_channel(await request.body(), request.caller.default_region)
    which = named(wanted.address.channel_type, request.options)
    reach = await request.service.replace_channel(request.asking, uuid, wanted, which)
    return request.answer(answer.channels(reach, request.representation))


async def list_all(request: Request) -> Answer:
    """GET /v2/contact/{contactID}/channels → the contact's whole list."""
    uuid = contact_uuid(request.path("contactID"))
    reach = await request.service.channels(request.asking, uuid)
    return request.answer(answer.channels(reach, request.representation))


async def get(request: Request) -> Answer:
    """GET /v2/contact/{contactID}/channel/{channelType} → one channel."""
    uuid, which = contact_uuid(request.path("contactID")), _named_in_path(request)
    reach, channel = await request.service.channel(request.asking, uuid, which)
    return request.answer(answer.channel(reach, channel, request.representation))


async def remove(request: Request) -> Answer:
    """DELETE /v2/contact/{contactID}/channel/{channelType} → the list that is left."""
    uuid, which = contact_uuid(request.path("contactID")), _named_in_path(request)
    reach = await request.service.remove_channel(request.asking, uuid, which)
    unreachable = [] if reach.channels else [(b"x-contact-reachable", b"false")]
    return request.answer(answer.channels(reach, request.representation), unreachable)


def _named_in_path(request: Request) -> Named:
    return named(request.path("channelType"), request.options)
