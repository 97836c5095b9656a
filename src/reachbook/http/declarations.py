"""What several operations declare: successes with their rendering, parameters, headers, errors."""

from __future__ import annotations

from functools import partial
from typing import Literal

from reachbook.domain.channel import ChannelList, ContactChannel, channel_by_number
from reachbook.domain.contact import Contact
from reachbook.domain.errors import Reason
from reachbook.domain.on_conflict import OnConflict
from reachbook.http.headers import Headers
from reachbook.http.openapi.examples import ALICE, PHONE, in_both
from reachbook.http.operation import Header, Parameter, Success
from reachbook.http.request import Renderer, RequestContext
from reachbook.http.response import ApiResponse
from reachbook.wire import extensions, render
from reachbook.wire.models.v2 import (
    IntegerIdsChannel,
    IntegerIdsContact,
    StringIdsChannel,
    StringIdsContact,
)
from reachbook.wire.models.x import ChannelDetail

# ── rendering ────────────────────────────────────────────────────────────────────────────────


def render_channel(
    request: RequestContext, result: tuple[ChannelList, ContactChannel]
) -> ApiResponse:
    """Returns one channel of a contact, with the ETag of the contact."""
    channel_list, channel = result
    return request.json_with_etag(
        channel_list, render.channel(channel_list, channel, request.representation)
    )


def render_channels(request: RequestContext, channel_list: ChannelList) -> ApiResponse:
    """Returns the channels of a contact, with the ETag of the contact."""
    body = render.channels(channel_list, request.representation)
    return request.json_with_etag(channel_list, body, _unreachable(request, channel_list))


def render_contact(request: RequestContext, contact: Contact) -> ApiResponse:
    """Returns a contact with its ETag."""
    return request.json_with_etag(contact, render.contact(contact, request.representation))


def render_contacts(request: RequestContext, contacts: list[Contact]) -> ApiResponse:
    """Returns several contacts."""
    return request.json([render.contact(each, request.representation) for each in contacts])


def render_detail(request: RequestContext, channel_list: ChannelList) -> ApiResponse:
    """Returns the channel with the id in the path, with the ETag of its contact."""
    channel = channel_by_number(channel_list, extensions.channel_number(request.path("id")))
    return request.json_with_etag(channel_list, extensions.channel_detail(channel_list, channel))


def render_details(request: RequestContext, channel_list: ChannelList) -> ApiResponse:
    """Returns the channels of a contact with every field, with the ETag of the contact."""
    body = extensions.channel_details(channel_list)
    return request.json_with_etag(channel_list, body, _unreachable(request, channel_list))


def constant(text: str) -> Renderer:
    """Returns a renderer of an operation that always has the same response."""

    def render_constant(request: RequestContext, _result: object) -> ApiResponse:
        return request.json(text)

    return render_constant


def _unreachable(request: RequestContext, channel_list: ChannelList) -> Headers:
    """Returns the header for a contact that has lost its last channel."""
    # Only a removal sends it: a contact without channels is common after a create.
    if channel_list.channels or request.scope["method"] != "DELETE":
        return []
    return [(b"x-contact-reachable", b"false")]


# ── successes ────────────────────────────────────────────────────────────────────────────────

CHANNEL = Success(
    "One channel.",
    (StringIdsChannel, IntegerIdsChannel),
    in_both(partial(render.channel, ALICE, PHONE)),
    render=render_channel,
)
CHANNELS = Success(
    "The contact's whole list, oldest first.",
    (list[StringIdsChannel], list[IntegerIdsChannel]),
    in_both(partial(render.channels, ALICE)),
    render=render_channels,
)
CONTACT = Success(
    "The contact.",
    (StringIdsContact, IntegerIdsContact),
    in_both(partial(render.contact, ALICE)),
    render=render_contact,
)
CONTACTS = Success(
    "The contacts.",
    (list[StringIdsContact], list[IntegerIdsContact]),
    in_both(lambda representation: [render.contact(ALICE, representation)]),
    render=render_contacts,
)
DETAIL = Success(
    "The channel.",
    (ChannelDetail,),
    {"phone": extensions.channel_detail(ALICE, PHONE)},
    render=render_detail,
)
DETAILS = Success(
    "The contact's whole list, oldest first.",
    (list[ChannelDetail],),
    {"alice": extensions.channel_details(ALICE)},
    render=render_details,
)

# ── parameters, headers and errors ───────────────────────────────────────────────────────────

CHANNEL_ID = Parameter(
    "channel_id",
    str,
    "The address of the channel, in any spelling, if the contact has several of the type. Without "
    "it, the primary channel is meant.",
)
ON_CONFLICT = Parameter(
    "on_conflict",
    OnConflict,
    "The action if another contact owns the address: `refuse` the request, or `move` the address "
    "to this contact in one commit.",
)
OVERWRITE = Parameter(
    "overwrite", bool, "Whether `custom` is replaced; otherwise it is merged, key by key."
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
WRITE_CONFLICTS = (Reason.ADDRESS_TAKEN, Reason.STALE_REVISION)
