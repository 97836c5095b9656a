"""One contact, the team and its inboxes (contract section 6): decode, ask, encode, return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from reachbook.domain.errors import Reason
from reachbook.http.openapi.examples import ADD_EMAIL, ADD_PHONE, ALICE, in_both
from reachbook.http.operation import Gives, Parameter, Takes, reads, writes
from reachbook.http.request import Answer, Request
from reachbook.http.v2.channels import BAD_NEW_ADDRESS, NO_CONTACT, ON_CONFLICT
from reachbook.wire import render
from reachbook.wire.parse import ContactRequest, blaming_address, contact_uuid, wanted_contact
from reachbook.wire.render import Inboxes, IntegerIdsContact, StringIdsContact, TeamBody

CONTACT = Gives(
    "The contact.",
    (StringIdsContact, IntegerIdsContact),
    in_both(lambda spelled: render.contact(ALICE, spelled)),
)
CONTACTS = Gives(
    "The contacts.",
    (list[StringIdsContact], list[IntegerIdsContact]),
    in_both(lambda spelled: [render.contact(ALICE, spelled)]),
)
OVERWRITE = Parameter(
    "overwrite", bool, "Whether `custom` is replaced; otherwise it is merged, key by key."
)
DELETED = "contact deleted"


@writes(
    takes=Takes(
        ContactRequest, {"Alice": {"first": "Alice", "contact_channels": [ADD_PHONE, ADD_EMAIL]}}
    ),
    gives=CONTACT,
    tagged=True,
    refuses=(
        *BAD_NEW_ADDRESS,
        Reason.TOO_MANY,
        Reason.ADDRESS_TAKEN,
        Reason.EXTERNAL_ID_TAKEN,
    ),
    parameters=(ON_CONFLICT,),
)
async def create(request: Request) -> Answer:
    """Create a contact.

    `phone` and `email` are short for a channel of that type.
    """
    wanted = wanted_contact(await request.body(), request.caller.default_region)
    asking = request.asking(encode(request))
    with blaming_address(wanted):
        return encode(request)(await request.service.contacts.create(asking, wanted))


@reads(gives=CONTACT, tagged=True, refuses=NO_CONTACT)
async def get(request: Request) -> Answer:
    """Retrieve a contact."""
    uuid = contact_uuid(request.path("contactID"))
    return encode(request)(await request.service.contacts.get(request.asking(), uuid))


@writes(
    takes=Takes(ContactRequest, {"Alice": {"first": "Alice", "email": "alice@example.com"}}),
    gives=CONTACT,
    tagged=True,
    refuses=(
        *NO_CONTACT,
        *BAD_NEW_ADDRESS,
        Reason.TOO_MANY,
        Reason.ADDRESS_TAKEN,
        Reason.EXTERNAL_ID_TAKEN,
        Reason.STALE_REVISION,
    ),
    parameters=(ON_CONFLICT, OVERWRITE),
)
async def update(request: Request) -> Answer:
    """Update a contact.

    What is left out stays as it is. `phone` and `email` are the primary channels of those types,
    and writing them writes the channel; `custom` is merged unless `overwrite` is true.
    """
    uuid = contact_uuid(request.path("contactID"))
    wanted = wanted_contact(await request.body(), request.caller.default_region)
    asking, overwrite = request.asking(encode(request)), request.options.overwrite
    with blaming_address(wanted):
        return encode(request)(
            await request.service.contacts.update(asking, uuid, wanted, overwrite=overwrite)
        )


@writes(
    gives=Gives("It is deleted.", (Literal["contact deleted"],), {"deleted": DELETED}),
    refuses=(*NO_CONTACT, Reason.STALE_REVISION),
)
async def delete(request: Request) -> Answer:
    """Delete a contact.

    It is hidden, and its addresses are free for others.
    """
    uuid = contact_uuid(request.path("contactID"))

    def said(_after: object) -> Answer:
        return request.answer(DELETED)

    return said(await request.service.contacts.delete(request.asking(said), uuid))


@reads(
    gives=Gives("The team.", (TeamBody,), {"team": render.team(1, "My team")}),
    refuses=(Reason.NO_TEAM,),
)
async def team(request: Request) -> Answer:
    """Retrieve the team that the credential belongs to."""
    found = await request.service.team(request.asking())
    return request.answer(render.team(found.team_id, found.name))


@reads(gives=Gives("An empty list.", (Inboxes,), {"none": []}))
async def inboxes(request: Request) -> Answer:
    """List the inboxes of the team; the list is always empty.

    Reachbook does not store conversations. Integrations call this to test a credential.
    """
    return request.answer([])


def encode(request: Request) -> Callable[[Any], Answer]:
    """How a contact is answered, with its ETag."""
    return lambda one: request.tagged(one, render.contact(one, request.representation))
