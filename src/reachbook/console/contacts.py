"""The list of contacts, the search, and the form of a new contact."""

from __future__ import annotations

from msgspec.structs import replace

from reachbook.console import contact_forms, contact_page, presentation
from reachbook.console.contact_forms import FormState
from reachbook.console.contact_writes import SHOWN_AGAIN, note_refusal
from reachbook.console.request import ConsoleRequest, Values
from reachbook.domain.address.display import readable
from reachbook.domain.contact import ContactInput
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.list_cursor import END_OF_TIME, ListCursor, ListQuery, Precision
from reachbook.domain.names import prefixes
from reachbook.domain.on_conflict import OnConflict
from reachbook.http.response import ApiResponse
from reachbook.service.search import MAX_CHARACTERS, ReadAddress, SearchPage
from reachbook.wire import errors

PAGE = 50
MAX_TIME_DIGITS = 18


async def index(request: ConsoleRequest) -> ApiResponse:
    """Show the contacts that a search finds, or all of them, newest change first."""
    text = request.query("q").strip()[:MAX_CHARACTERS]
    values = await _found(request, text) if text else await _listed(request)
    return request.page("contacts.html", {"q": text, **values})


async def _listed(request: ConsoleRequest) -> Values:
    """Returns a page of all contacts: before or after a time of change, or the newest."""
    before, after = _time(request.query("before")), _time(request.query("after"))
    is_ascending = before is None and after is not None
    time = after if is_ascending else before
    # A time with microseconds names its contact however many have changed in the same second.
    cursor = ListCursor(END_OF_TIME if time is None else time, Precision.MICROSECOND)
    query = ListQuery(PAGE, cursor, ascending=is_ascending)
    found = await request.state.service.contacts.page(request.team_id, query)
    is_full = len(found) >= PAGE
    if is_ascending:
        found.reverse()
    has_newer = is_full if is_ascending else time is not None
    has_older = is_ascending or is_full
    return {
        "rows": [presentation.row(contact) for contact in found],
        "newer": f"?after={found[0].updated}" if found and has_newer else None,
        "older": f"?before={found[-1].updated}" if found and has_older else None,
        "is_first": time is None,
    }


async def _found(request: ConsoleRequest, text: str) -> Values:
    cursor = request.query("cursor") or None
    page = await request.state.service.search.page(request.team, text, cursor)
    rows = [presentation.row(owner.contact, owner.channel) for owner in page.owners]
    rows += [presentation.row(contact) for contact in page.named.contacts]
    return {
        "rows": rows,
        "read": [_read_address(each) for each in page.addresses],
        "refusal": contact_forms.in_words(page.refusal) if page.refusal else "",
        "words": prefixes(text),
        "cursor": page.named.cursor,
        "is_cut": page.named.is_cut,
        "new": _offer(page, text),
        "is_first": cursor is None,
    }


def _read_address(found: ReadAddress) -> Values:
    address = found.reading.address
    return {
        "type": "phone number" if address.channel_type == "phone" else "email address",
        "address": readable(address.channel_type, address.channel_id),
        "explanation": found.reading.explanation,
        "is_owned": found.is_owned,
        "suppressed": found.suppressed,
    }


def _offer(page: SearchPage, text: str) -> Values:
    """Returns the prefilled fields of a new contact, if the search text can be one."""
    free = [each.reading.address for each in page.addresses if not each.is_owned]
    if free:
        address = readable(free[0].channel_type, free[0].channel_id)
        return {"address": address, "type": free[0].channel_type} if len(free) == 1 else {}
    if page.addresses or page.refusal:
        return {}
    first, _, last = text.partition(" ")
    return {"first": first[:255], "last": last.strip()[:255]}


# ── a new contact ────────────────────────────────────────────────────────────────────────────


async def new(request: ConsoleRequest) -> ApiResponse:
    """Show the form of a new contact; parameters of the query fill fields in."""
    names = ("first", "last", "address", "type")
    values = {name: request.query(name) for name in names if request.query(name)}
    values.setdefault("type", "email" if "@" in values.get("address", "") else "phone")
    return _form(request, FormState("new", values))


async def create(request: ConsoleRequest) -> ApiResponse:
    """Create a contact, or show the form again with the errors."""
    form = FormState("new", request.form)
    conflict = OnConflict.MOVE if request.form.get("move") else OnConflict.REFUSE
    try:
        context = request.context(None, conflict)
        made = await request.state.service.contacts.create(context, _wanted(request))
    except Refusal as refusal:
        if refusal.reason.kind not in SHOWN_AGAIN:
            raise
        await note_refusal(request, form, refusal)
        return _form(request, form, errors.status(refusal.reason))
    return request.redirect(f"/console/contact/{made.uuid}", {"done": "created"})


def _wanted(request: ConsoleRequest) -> ContactInput:
    wanted = contact_forms.details(request)
    if request.form.get("address", "").strip():
        return replace(wanted, channels=(contact_forms.new_channel(request),))
    typed = ("first", "last", "display_name", "external_id")
    if not any(request.form.get(name, "").strip() for name in typed):
        raise Refusal(
            Reason.BAD_VALUE,
            "Type a name or an address, so that the contact can be found again.",
            fields={"first": "missing"},
        )
    return wanted


def _form(request: ConsoleRequest, form: FormState, status: int = 200) -> ApiResponse:
    values = {"form": form, "values": form.values, **contact_page.choices()}
    return request.page("contact_new.html", values, status)


def _time(text: str) -> int | None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_TIME_DIGITS
    return int(text) if is_number else None
