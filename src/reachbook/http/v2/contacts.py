"""One contact, the team and its inboxes (contract section 6)."""

from __future__ import annotations

from typing import Literal

from reachbook.domain.contact import Contact
from reachbook.domain.errors import Reason
from reachbook.domain.user import User
from reachbook.http.declarations import (
    BAD_NEW_ADDRESS,
    CONTACT,
    NO_CONTACT,
    ON_CONFLICT,
    OVERWRITE,
    constant,
)
from reachbook.http.openapi.examples import ADD_EMAIL, ADD_PHONE
from reachbook.http.operation import RequestBody, Success, reads, writes
from reachbook.http.request import RequestContext
from reachbook.http.response import ApiResponse
from reachbook.service import Team
from reachbook.wire import render
from reachbook.wire.models.v2 import ContactRequest, Inboxes, Member, TeamBody
from reachbook.wire.parse import contact_input, contact_uuid, locating_address

DELETED = "contact deleted"
EXAMPLE_TEAM = TeamBody(1, "My team", [Member(7, "dana@example.com", "admin")])


def render_team(request: RequestContext, found: tuple[Team, list[User]]) -> ApiResponse:
    """Returns a team's id and name, and its users."""
    team, users = found
    return request.json(render.team(team.team_id, team.name, users))


@writes(
    request_body=RequestBody(
        ContactRequest, {"Alice": {"first": "Alice", "contact_channels": [ADD_PHONE, ADD_EMAIL]}}
    ),
    success=CONTACT,
    etag=True,
    errors=(
        *BAD_NEW_ADDRESS,
        Reason.TOO_MANY,
        Reason.ADDRESS_TAKEN,
        Reason.EXTERNAL_ID_TAKEN,
    ),
    parameters=(ON_CONFLICT,),
)
async def create(request: RequestContext) -> Contact:
    """Create a contact.

    `phone` and `email` are short forms of a channel of that type.
    """
    wanted = contact_input(await request.body(), request.caller.default_region)
    with locating_address(wanted):
        return await request.service.contacts.create(request.context(), wanted)


@reads(success=CONTACT, etag=True, errors=NO_CONTACT)
async def get(request: RequestContext) -> Contact:
    """Retrieve a contact."""
    uuid = contact_uuid(request.path("contactID"))
    return await request.service.contacts.get(request.context(), uuid)


@writes(
    request_body=RequestBody(
        ContactRequest, {"Alice": {"first": "Alice", "email": "alice@example.com"}}
    ),
    success=CONTACT,
    etag=True,
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
async def update(request: RequestContext) -> Contact:
    """Update a contact.

    A field that is left out stays as it is. `phone` and `email` are the addresses of the primary
    channels of those types: setting them changes the channels. `custom` is merged unless
    `overwrite` is true.
    """
    uuid = contact_uuid(request.path("contactID"))
    wanted = contact_input(await request.body(), request.caller.default_region)
    context, overwrite = request.context(), request.options.overwrite
    with locating_address(wanted):
        return await request.service.contacts.update(context, uuid, wanted, overwrite=overwrite)


@writes(
    success=Success(
        "The contact is deleted.",
        (Literal["contact deleted"],),
        {"deleted": DELETED},
        render=constant(DELETED),
    ),
    errors=(*NO_CONTACT, Reason.STALE_REVISION),
)
async def delete(request: RequestContext) -> Contact:
    """Delete a contact.

    It is hidden, and other contacts can have its addresses.
    """
    uuid = contact_uuid(request.path("contactID"))
    return await request.service.contacts.delete(request.context(), uuid)


@reads(
    success=Success("The team.", (TeamBody,), {"team": EXAMPLE_TEAM}, render=render_team),
    errors=(Reason.NO_TEAM,),
)
async def team(request: RequestContext) -> tuple[Team, list[User]]:
    """Retrieve the team that the credential belongs to, and its users."""
    return await request.service.team(request.context())


@reads(success=Success("An empty list.", (Inboxes,), {"none": []}))
async def inboxes(_request: RequestContext) -> list[object]:
    """List the inboxes of the team; the list is always empty.

    Reachbook does not store conversations. Integrations call this to test a credential.
    """
    return []
