"""The forms of a contact's channels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from reachbook.console import contact_forms, presentation
from reachbook.console.contact_forms import FormState
from reachbook.console.contact_page import uuid_of
from reachbook.console.contact_writes import attempt
from reachbook.console.request import ConsoleRequest
from reachbook.domain.channel import ChannelList, channel_by_number
from reachbook.domain.channel_rules import Patch
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.response import ApiResponse

MAX_DIGITS = 18


async def add(request: ConsoleRequest) -> ApiResponse:
    """Add a channel to a contact."""
    uuid = uuid_of(request)

    async def write() -> ChannelList:
        wanted = contact_forms.new_channel(request)
        context = contact_forms.context(request)
        return await request.state.service.channels.add(context, uuid, wanted)

    return await attempt(request, FormState("add", request.form), write, "added")


async def edit(request: ConsoleRequest) -> ApiResponse:
    """Save the address, the label, the handle and the info channel of a channel."""
    uuid, number = uuid_of(request), _number(request)
    channels = request.state.service.channels

    async def write() -> ChannelList:
        seen = await channels.with_channel(request.context(), uuid, number)
        wanted = contact_forms.channel_edit(request, channel_by_number(seen, number))
        return await channels.edit(contact_forms.context(request), uuid, number, wanted)

    return await attempt(request, FormState("edit", request.form, number), write, "saved")


async def make_primary(request: ConsoleRequest) -> ApiResponse:
    """Make a channel the primary one of its type."""
    uuid, number = uuid_of(request), _number(request)

    async def write() -> ChannelList:
        context = contact_forms.context(request)
        return await request.state.service.channels.make_primary(context, uuid, number)

    return await attempt(request, FormState("primary", request.form, number), write, "primary")


async def hold(request: ConsoleRequest) -> ApiResponse:
    """Hold a channel, so that nothing is sent to it."""
    return await _patch(request, "hold", lambda: contact_forms.hold(request.form), "held")


async def release(request: ConsoleRequest) -> ApiResponse:
    """Release a channel that is held."""
    return await _patch(request, "release", lambda: Patch(held=False), "released")


async def consent(request: ConsoleRequest) -> ApiResponse:
    """Record whether the person agreed to be messaged at a channel."""
    return await _patch(request, "consent", lambda: contact_forms.consent(request.form), "consent")


async def confirm_remove(request: ConsoleRequest) -> ApiResponse:
    """Ask before a channel is deleted, with a warning if it is the last one."""
    number = _number(request)
    contact = await request.state.service.contacts.get(request.context(), uuid_of(request))
    views = {view.channel.id: view for view in presentation.channel_views(contact)}
    if number not in views:
        raise _no_channel()
    values = {
        "contact": contact,
        "title": presentation.title(contact),
        "view": views[number],
        "is_last": len(views) == 1,
    }
    return request.page("channel_delete.html", values)


async def remove(request: ConsoleRequest) -> ApiResponse:
    """Delete a channel."""
    uuid, number = uuid_of(request), _number(request)

    async def write() -> ChannelList:
        context = contact_forms.context(request)
        return await request.state.service.channels.remove_exactly(context, uuid, number)

    return await attempt(request, FormState("remove", request.form, number), write, "removed")


async def _patch(
    request: ConsoleRequest, kind: str, read: Callable[[], Patch], done: str
) -> ApiResponse:
    uuid, number = uuid_of(request), _number(request)

    def write() -> Awaitable[ChannelList]:
        context = contact_forms.context(request)
        return request.state.service.channels.patch(context, uuid, number, read())

    return await attempt(request, FormState(kind, request.form, number), write, done)


def _number(request: ConsoleRequest) -> int:
    text = request.path("channel")
    if not (text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS):
        raise _no_channel()
    return int(text)


def _no_channel() -> Refusal:
    return Refusal(
        Reason.NO_CHANNEL,
        "The contact has no such channel; it may have been deleted meanwhile. Open the contact to "
        "see its channels.",
    )
