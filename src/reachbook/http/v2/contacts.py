"""One contact, the team and its inboxes (contract section 6): decode, ask, encode, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from reachbook.domain.errors import Reason
from reachbook.http.openapi.examples import ADD_EMAIL, ADD_PHONE, ALICE, in_both
from reachbook.http.operation import Parameter, RequestBody, Success, reads, writes
from reachbook.http.request import ApiResponse, RequestContext
from reachbook.http.v2.channels import BAD_NEW_ADDRESS, NO_CONTACT, ON_CONFLICT
from reachbook.wire import render
from reachbook.wire.parse import ContactRequest, blame_address, contact_input, contact_uuid
from reachbook.wire.render import Inboxes, IntegerIdsContact, StringIdsContact, TeamBody

CONTACT = Success(
    "The contact.",
    (StringIdsContact, IntegerIdsContact),
    in_both(lambda spelled: render.contact(ALICE, spelled)),
)
CONTACTS = Success(
    "The contacts.",
    (list[StringIdsContact], list[IntegerIdsContact]),
    in_both(lambda spelled: [render.contact(ALICE, spelled)]),
)
OVERWRITE = Parameter(
    "overwrite", bool, "Whether `custom` is replaced; otherwise it is merged, key by key."
)
DELETED = "contact deleted"


@writes(
    request_body=RequestBody(
        ContactRequest, {"Alice": {"first": "Alice", "contact_channels": [ADD_PHONE, ADD_EMAIL]}}
    ),
    success=CONTACT,
    tagged=True,
    errors=(
        *BAD_NEW_ADDRESS,
        Reason.TOO_MANY,
        Reason.ADDRESS_TAKEN,
        Reason.EXTERNAL_ID_TAKEN,
    ),
    parameters=(ON_CONFLICT,),
)
async def create(request: RequestContext) -> ApiResponse:
    """Create a contact.

    `phone` and `email` are short for a channel of that type.
    """
    wanted = contact_input(await request.body(), request.caller.default_region)
    context = request.context(encode(request))
    with blame_address(wanted):
        return encode(request)(await request.service.contacts.create(context, wanted))


@reads(success=CONTACT, tagged=True, errors=NO_CONTACT)
async def get(request: RequestContext) -> ApiResponse:
    """Retrieve a contact."""
    uuid = contact_uuid(request.path("contactID"))
    return encode(request)(await request.service.contacts.get(request.context(), uuid))


@writes(
    request_body=RequestBody(
        ContactRequest, {"Alice": {"first": "Alice", "email": "alice@example.com"}}
    ),
    success=CONTACT,
    tagged=True,
    errors=(
        *NO_CONTACT,
        *BAD_NEW_ADDRESS,
        Reason.TOO_MANY,
        Reason.ADDRESS_TAKEN,
        Reason.EXTERNAL_ID_TAKEN,
        Reason.STALE_REVISION,
    ),
    parameters=(ON_CONFLICT, OVERWRITE),
)
async def update(request: RequestContext) -> ApiResponse:
    """Update a contact.

    A field that is left out stays as it is. `phone` and `email` are the primary channels of those
    types, and writing them writes the channel; `custom` is merged unless `overwrite` is true.
    """
    uuid = contact_uuid(request.path("contactID"))
    wanted = contact_input(await request.body(), request.caller.default_region)
    context, overwrite = request.context(encode(request)), request.options.overwrite
    with blame_address(wanted):
        return encode(request)(
            await request.service.contacts.update(context, uuid, wanted, overwrite=overwrite)
        )


@writes(
    success=Success("It is deleted.", (Literal["contact deleted"],), {"deleted": DELETED}),
    errors=(*NO_CONTACT, Reason.STALE_REVISION),
)
async def delete(request: RequestContext) -> ApiResponse:
    """Delete a contact.

    It is hidden, and its addresses are free for others.
    """
    uuid = contact_uuid(request.path("contactID"))

    def said(_after: object) -> ApiResponse:
        return request.answer(DELETED)

    return said(await request.service.contacts.delete(request.context(said), uuid))


@reads(
    success=Success("The team.", (TeamBody,), {"team": render.team(1, "My team")}),
    errors=(Reason.NO_TEAM,),
)
async def team(request: RequestContext) -> ApiResponse:
    """Retrieve the team that the credential belongs to."""
    found = await request.service.team(request.context())
    return request.answer(render.team(found.team_id, found.name))


@reads(success=Success("An empty list.", (Inboxes,), {"none": []}))
async def inboxes(request: RequestContext) -> ApiResponse:
    """List the inboxes of the team; the list is always empty.

    Reachbook does not store conversations. Integrations call this to test a credential.
    """
    return request.answer([])


def encode(request: RequestContext) -> Callable[[Any], ApiResponse]:
    """How a contact is answered, with its ETag."""
    return lambda contact: request.tagged(contact, render.contact(contact, request.representation))
