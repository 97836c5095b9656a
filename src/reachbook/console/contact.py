"""The page of a contact, and the forms of its names, tags and custom fields."""

from __future__ import annotations

from reachbook.console import contact_forms, contact_page, presentation
from reachbook.console.contact_forms import FormState
from reachbook.console.contact_page import uuid_of
from reachbook.console.contact_writes import attempt
from reachbook.console.request import ConsoleRequest
from reachbook.domain.contact import Contact
from reachbook.http.response import ApiResponse


async def show(request: ConsoleRequest) -> ApiResponse:
    """Show a contact, its channels and its history."""
    return await contact_page.show(request)


async def back(request: ConsoleRequest) -> ApiResponse:
    """Go to the page of the contact, if the address of a form is opened by itself."""
    return request.redirect(f"/console/contact/{uuid_of(request)}")


async def edit(request: ConsoleRequest) -> ApiResponse:
    """Save the names, the tags and the custom fields of a contact."""
    uuid = uuid_of(request)
    contacts = request.state.service.contacts

    async def write() -> Contact:
        contact = await contacts.get(request.context(), uuid)
        wanted = contact_forms.details(request, contact)
        context = contact_forms.context(request)
        return await contacts.update(context, uuid, wanted, overwrite=True)

    return await attempt(request, FormState("details", request.form), write, "saved")


async def confirm_delete(request: ConsoleRequest) -> ApiResponse:
    """Ask before a contact is deleted."""
    contact = await request.state.service.contacts.get(request.context(), uuid_of(request))
    values = {"contact": contact, "title": presentation.title(contact)}
    return request.page("contact_delete.html", values)


async def delete(request: ConsoleRequest) -> ApiResponse:
    """Delete a contact."""
    uuid = uuid_of(request)
    contacts = request.state.service.contacts

    async def write() -> Contact:
        return await contacts.delete(contact_forms.context(request), uuid)

    return await attempt(request, FormState("delete", request.form), write, "deleted")
