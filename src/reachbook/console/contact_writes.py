"""The responses to forms that change a contact, after a success and after an error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from reachbook.console import contact_page, presentation, timeline
from reachbook.console.contact_forms import FormState, Holder
from reachbook.console.contact_page import uuid_of
from reachbook.console.request import ConsoleRequest
from reachbook.domain.address.display import readable
from reachbook.domain.channel import ChannelList
from reachbook.domain.contact import Contact
from reachbook.domain.errors import Kind, Reason, Refusal
from reachbook.http.response import ApiResponse
from reachbook.service.history import EventPage
from reachbook.wire import errors

MAX_CHANGES_SHOWN = 20
SHOWN_AGAIN = frozenset({Kind.BAD_DATA, Kind.CONFLICT})

Write = Callable[[], Awaitable[ChannelList]]


class Difference(Struct, frozen=True):
    """A field whose stored value is shown beside the one that was typed."""

    label: str
    stored: str
    typed: str


async def attempt(request: ConsoleRequest, form: FormState, write: Write, done: str) -> ApiResponse:
    """Returns the response to a form: a redirect to the contact, or a page with the errors.

    If the contact has changed since the form was shown, the page has both versions.
    """
    try:
        after = await write()
    except Refusal as refusal:
        return await _refused(request, form, refusal)
    if isinstance(after, Contact) and after.deleted is not None:
        return request.redirect("/console/contacts", {"done": done})
    if str(after.rev) == request.form.get("rev"):
        done = "same"
    elif request.form.get("move"):
        done = "moved"
    return request.redirect(f"/console/contact/{after.uuid}", {"done": done})


async def note_refusal(request: ConsoleRequest, form: FormState, refusal: Refusal) -> None:
    """Note in a form why it was refused, and which contact has its address or external id."""
    form.refuse(refusal)
    uuid = refusal.facts.get("conflicting_contact_id")
    if not isinstance(uuid, str) or uuid == request.scope["path_params"].get("uuid"):
        return
    try:
        holder = await request.state.service.contacts.get(request.context(), uuid)
    except Refusal:  # it was deleted meanwhile
        return
    is_address = refusal.reason is Reason.ADDRESS_TAKEN
    form.holder = Holder(uuid, presentation.title(holder), is_address)
    form.refuse(refusal, f"Another contact has this {'address' if is_address else 'external id'}.")


async def _refused(request: ConsoleRequest, form: FormState, refusal: Refusal) -> ApiResponse:
    if refusal.reason in (Reason.STALE_REVISION, Reason.NO_CHANNEL):
        return await _stale(request, form)
    if refusal.reason is Reason.NO_CONTACT:
        return await contact_page.show(request, form)
    if refusal.reason.kind not in SHOWN_AGAIN:
        raise refusal
    await note_refusal(request, form, refusal)
    return await contact_page.show(request, form, errors.status(refusal.reason))


async def _stale(request: ConsoleRequest, form: FormState) -> ApiResponse:
    """Returns the page of a contact that has changed meanwhile, with the text of the form."""
    state = request.state.service
    contact, events = await state.history.with_contact(
        request.team_id, uuid_of(request), before_rev=None, limit=MAX_CHANGES_SHOWN
    )
    if contact.deleted is not None:
        return await contact_page.show(request, form)
    seen = request.form.get("rev", "")
    since = [event for event in events.events if not seen.isdecimal() or event.rev > int(seen)]
    views = {view.channel.id: view for view in presentation.channel_views(contact)}
    values = {
        **contact_page.values_of(contact, form),
        "changes": timeline.entries(EventPage(since, None, events.labels)),
        "view": views.get(form.channel or 0),
        "is_lost": form.channel is not None and form.channel not in views,
        "differences": differences(contact, form),
    }
    return request.page("contact_stale.html", values, errors.status(Reason.STALE_REVISION))


def differences(contact: Contact, form: FormState) -> list[Difference]:
    """Returns the fields of a form with their stored values."""
    if form.kind == "details":
        return _of_details(contact, form)
    channel = next((each for each in contact.channels if each.id == form.channel), None)
    if channel is None:
        return []
    stored = {
        "address": readable(channel.channel_type, channel.channel_id),
        "label": channel.label,
        "handle": channel.channel_handle,
        "info_channel": channel.info_channel,
        "reason": channel.held_reason or "not held",
        "consent": channel.consent,
        "source": channel.consent_source,
    }
    return [
        Difference(name.replace("_", " ").capitalize(), text, form.values[name])
        for name, text in stored.items()
        if name in form.values
    ]


def _of_details(contact: Contact, form: FormState) -> list[Difference]:
    stored = contact_page.values_of(contact, form)
    shown = [
        Difference(timeline.FIELDS[name], text, form.values.get(name, ""))
        for name, text in stored["details"].items()
    ]
    if "custom_json" in form.values:
        return [
            *shown,
            Difference("Custom fields", stored["custom_json"], form.values["custom_json"]),
        ]
    typed = {row.key: row.value for row in stored["custom"] if row.key}
    shown += [
        Difference(f"Custom field {key}", stored["shown_custom"].get(key, ""), typed.get(key, ""))
        for key in dict.fromkeys([*stored["shown_custom"], *typed])
    ]
    return shown
