"""The page of a contact, as it is and as it is shown again after a form was refused."""

from __future__ import annotations

from reachbook.console import contact_forms, presentation, timeline
from reachbook.console.contact_forms import FormState
from reachbook.console.request import ConsoleRequest, Values
from reachbook.domain.address.search_text import KNOWN_TYPES
from reachbook.domain.consent import Consent, HeldReason
from reachbook.domain.contact import Contact
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.response import ApiResponse
from reachbook.service.history import EventPage
from reachbook.wire import parse

HISTORY_EVENTS = 25
CHANNELS = 20
"""The channels that the page shows at a time: each has three forms, which take time to render."""

MAX_REVISION_DIGITS = 18
MAX_PLACE_DIGITS = 6
NOT_FOUND, GONE = 404, 410


def uuid_of(request: ConsoleRequest) -> str:
    """Returns the UUID in the path; raises `no_contact` if it is not a UUID."""
    try:
        return parse.contact_uuid(request.path("uuid"))
    except Refusal:
        raise Refusal(
            Reason.NO_CONTACT, "There is no contact at this address. Search for it by its name."
        ) from None


async def show(
    request: ConsoleRequest, form: FormState | None = None, status: int = 200
) -> ApiResponse:
    """Returns the page of a contact, with a form that was refused if there is one.

    Reads the contact, a page of its history and the labels of actors, a statement each.
    """
    before = request.query("before")
    is_revision = before.isascii() and before.isdecimal() and len(before) <= MAX_REVISION_DIGITS
    contact, events = await request.state.service.history.with_contact(
        request.team_id,
        uuid_of(request),
        before_rev=int(before) if is_revision else None,
        limit=HISTORY_EVENTS,
    )
    form = form or FormState()
    shown = {
        **_history(request, events),
        **_channel_page(request, contact, form),
        "is_first_page": not is_revision,
    }
    if contact.deleted is not None:
        values = {"contact": contact, "title": _former_title(contact), "form": form, **shown}
        return request.page("contact_gone.html", values, GONE if contact.erased else NOT_FOUND)
    return request.page("contact.html", {**values_of(contact, form), **shown}, status)


def values_of(contact: Contact, form: FormState) -> Values:
    """Returns the values of the forms of a contact."""
    return {
        "contact": contact,
        "title": presentation.title(contact),
        "has_name": bool(presentation.full_name(contact)),
        "form": form,
        "rev": contact.rev,
        "details": contact_forms.details_values(contact),
        "custom": contact_forms.custom_rows(form.of("details"), contact),
        "has_custom_rows": contact_forms.has_custom_rows(contact),
        "custom_json": presentation.custom_text(contact.custom),
        "shown_custom": {
            key: presentation.custom_text(contact.custom[key]) for key in contact.custom
        },
        **choices(),
    }


def choices() -> Values:
    """Returns the choices of the lists in forms."""
    return {
        "types": {kind: presentation.type_name(kind) for kind in KNOWN_TYPES},
        "held_reasons": [reason.value for reason in HeldReason],
        "consents": [consent.value for consent in Consent],
    }


def _channel_page(request: ConsoleRequest, contact: Contact, form: FormState) -> Values:
    """Returns the channels that a page shows: with the form that was refused, if there is one."""
    views = presentation.channel_views(contact)
    numbers = [view.channel.id for view in views]
    if form.channel in numbers:
        place = numbers.index(form.channel)
    else:
        text = request.query("channels")
        is_place = text.isascii() and text.isdecimal() and len(text) <= MAX_PLACE_DIGITS
        place = min(int(text), max(len(views) - 1, 0)) if is_place else 0
    start = place // CHANNELS * CHANNELS
    end = start + CHANNELS
    return {
        "channels": views[start:end],
        "channel_count": len(views),
        "channels_before": f"?channels={start - CHANNELS}" if start else None,
        "channels_after": f"?channels={end}" if end < len(views) else None,
        "channels_shown": (start + 1, min(end, len(views))),
    }


def _history(request: ConsoleRequest, events: EventPage) -> Values:
    path = request.url(request.scope["path"].removeprefix(request.state.base_path))
    older = None if events.next is None else f"?before={events.next}#history"
    return {"entries": timeline.entries(events), "older": older, "own_path": path}


def _former_title(contact: Contact) -> str:
    name = presentation.full_name(contact)
    return name or ("An erased contact" if contact.erased else "A deleted contact")
