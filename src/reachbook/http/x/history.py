"""History, event feed, export and erasure."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from reachbook.domain.errors import Reason
from reachbook.http.declarations import NO_CONTACT, constant
from reachbook.http.openapi import examples
from reachbook.http.operation import Parameter, Success, reads, writes
from reachbook.http.request import RequestContext
from reachbook.http.response import READ_SECONDS, ApiResponse, streamed
from reachbook.service.history import EventPage, feed_restarted
from reachbook.wire import events as wire_events
from reachbook.wire.models.x import EventBody, Export, FeedBody, FeedPage, HistoryBody, HistoryPage
from reachbook.wire.parse import contact_uuid
from reachbook.wire.query import FeedQuery, HistoryQuery, NoQuery

LIMIT = Parameter(
    "limit", Annotated[int, Meta(ge=1, le=500)], "The maximum number of events; without it 50."
)
FEED_LIMIT = Parameter(
    "limit", Annotated[int, Meta(ge=1, le=1000)], "The maximum number of events; without it 100."
)
CURSOR = Parameter("cursor", str, "The `next` of the previous page, unchanged.")
AFTER = Parameter(
    "after",
    Annotated[int, Meta(ge=0, le=2**53 - 1)],
    "The `next` of the previous page; 0 begins at the first event.",
)
INCARNATION = Parameter(
    "incarnation",
    str,
    "The `incarnation` of the previous page. After a restore of the store the response is 410.",
)
PAST = (*NO_CONTACT, Reason.ERASED)
ERASED = "contact erased"
END = b"]}"  # the end of an export: its last key is the list of events


@reads(
    compressible=True,
    success=Success(
        "A page of the contact's events, newest first.",
        (HistoryPage,),
        {"alice": examples.HISTORY},
    ),
    errors=(*PAST, Reason.BAD_CURSOR, Reason.UNKNOWN_NAME),
    parameters=(LIMIT, CURSOR),
    query=HistoryQuery,
)
async def of_contact(request: RequestContext) -> HistoryBody:
    """List the events of a contact, newest first; a deleted contact still has its history."""
    uuid, query = contact_uuid(request.path("contactID")), request.query(HistoryQuery)
    page = await request.service.history.of_contact(
        request.caller.team_id,
        uuid,
        before_rev=wire_events.revision(uuid, query.cursor),
        limit=query.limit,
    )
    events = _events(request, page)
    return HistoryBody(events, wire_events.cursor(uuid, page.next))


@reads(
    compressible=True,
    success=Success("A page of the team's events, in order.", (FeedPage,), {"one": examples.FEED}),
    errors=(Reason.UNKNOWN_NAME, Reason.FEED_RESTARTED),
    parameters=(AFTER, FEED_LIMIT, INCARNATION),
    query=FeedQuery,
    seconds=READ_SECONDS,
)
async def feed(request: RequestContext) -> FeedBody:
    """Follow the team's events, which are numbered from 1 without gaps.

    For the next page, pass `next` as `after`. A follower does not miss an event, however commits
    interleave. Pass `incarnation`, too: after a restore of the store the response is 410, and the
    follower must begin again from 0.
    """
    query = request.query(FeedQuery)
    incarnation = request.incarnation.current
    if query.incarnation not in (None, incarnation):
        raise feed_restarted("incarnation", "not that of the store")
    page = await request.service.history.feed(request.caller.team_id, query.after, query.limit)
    team_id = request.caller.team_id
    events = [wire_events.event_of_feed(team_id, event, page.labels) for event in page.events]
    return FeedBody(events, page.next or 0, incarnation)


@reads(
    success=Success("All data about the contact.", (Export,), {"alice": examples.EXPORT}),
    errors=PAST,
    query=NoQuery,
    seconds=READ_SECONDS,
)
async def export(request: RequestContext) -> ApiResponse:
    """Export all data about a contact, as one JSON document.

    A long export is sent in chunks, while its events are read. If they cannot be read, the
    connection is closed before the end of the document. A contact that is erased meanwhile is
    exported with null values in the events that were not sent yet.
    """
    uuid = contact_uuid(request.path("contactID"))
    request.query(NoQuery)
    team_id = request.caller.team_id

    async def pieces() -> AsyncGenerator[bytes, None]:
        exported = await request.service.history.export(team_id, uuid)
        yield msgspec.json.encode(wire_events.export(exported.contact)).removesuffix(END)
        # A JSON array has no trailing comma, so a comma is sent before each page but the first.
        between = b""
        async with aclosing(exported.pages) as pages:
            async for page in pages:
                events = (wire_events.event(team_id, each, exported.labels) for each in page)
                yield between + b",".join(map(msgspec.json.encode, events))
                between = b","
        yield END

    return await streamed(request.scope, pieces)


@writes(
    success=Success(
        "The contact is erased.",
        (Literal["contact erased"],),
        {"erased": ERASED},
        render=constant(ERASED),
    ),
    errors=(*PAST, Reason.STALE_REVISION),
    query=NoQuery,
    seconds=READ_SECONDS,
)
async def erase(request: RequestContext) -> None:
    """Erase a person from contacts, channels, events and stored responses.

    The UUID remains without personal data, with an event `erased`, so that followers can delete
    their copies, too.
    """
    uuid = contact_uuid(request.path("contactID"))
    request.query(NoQuery)
    await request.service.history.erase(request.context(), uuid)


def _events(request: RequestContext, page: EventPage) -> list[EventBody]:
    team_id = request.caller.team_id
    return [wire_events.event(team_id, event, page.labels) for event in page.events]
