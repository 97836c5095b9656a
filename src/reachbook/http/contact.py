"""Contacts, as far as channels need them, and the team (contract section 6)."""

from __future__ import annotations

from reachbook.http.message import Answer, Request
from reachbook.wire import answer
from reachbook.wire.request import contact_uuid, wanted_contact


async def create(request: Request) -> Answer:
    """POST /v2/contact → the new Contact."""
    wanted = wanted_contact(await request.body(), request.caller.default_region)
    contact = await request.service.create_contact(request.asking, wanted)
    return request.answer(answer.contact(contact, request.representation))


async def get(request: Request) -> Answer:
    """GET /v2/contact/{contactID} → the Contact."""
    uuid = contact_uuid(request.path("contactID"))
    contact = await request.service.contact(request.asking, uuid)
    return request.answer(answer.contact(contact, request.representation))


async def delete(request: Request) -> Answer:
    """DELETE /v2/contact/{contactID} → "contact deleted"."""
    uuid = contact_uuid(request.path("contactID"))
    await request.service.delete_contact(request.asking, uuid)
    return request.answer("contact deleted")


async def team(request: Request) -> Answer:
    """GET /v1/team → the team that the credential belongs to."""
    found = await request.service.team(request.asking)
    return request.answer(answer.team(found.team_id, found.name))
