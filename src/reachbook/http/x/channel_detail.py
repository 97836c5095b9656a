"""One channel, exactly: what we know of it beyond the nine keys (`/x`)."""

from __future__ import annotations

from reachbook.domain.channel import Reach, by_number
from reachbook.domain.errors import Reason
from reachbook.http.openapi.examples import ALICE, PHONE
from reachbook.http.operation import Gives, Parameter, Takes, reads, writes
from reachbook.http.request import READ_SECONDS, Answer, Request
from reachbook.http.v2.channels import NO_CONTACT, UNREACHABLE
from reachbook.wire import extensions
from reachbook.wire.parse import contact_uuid, decode
from reachbook.wire.query import AsOfQuery, NoQuery, explaining_plus, moment
from reachbook.wire.render import Moment

KNOWN = Gives(
    "The channel.", (extensions.KnownChannel,), {"phone": extensions.known_channel(ALICE, PHONE)}
)
ALL_KNOWN = Gives(
    "The contact's whole list, oldest first.",
    (list[extensions.KnownChannel],),
    {"alice": extensions.known_channels(ALICE)},
)
AS_OF = Parameter(
    "as_of", Moment, "Answer as of this moment (RFC 3339), events at that very instant included."
)
NO_CHANNEL = (*NO_CONTACT, Reason.BAD_VALUE, Reason.NO_CHANNEL)


@reads(
    compressible=True,
    gives=ALL_KNOWN,
    tagged=True,
    refuses=(*NO_CONTACT, Reason.ERASED),
    parameters=(AS_OF,),
    query=AsOfQuery,
)
async def list_all(request: Request) -> Answer:
    """List the channels of a contact with all that we know of each, now or at a moment."""
    uuid = contact_uuid(request.path("contactID"))
    as_of = request.query(AsOfQuery).as_of
    if as_of is not None:
        past = await _as_of(request, uuid, as_of)
        return request.answer(extensions.known_channels(past))
    reach = await request.service.channels.all(request.asking(), uuid)
    return request.tagged(reach, extensions.known_channels(reach))


@reads(
    gives=KNOWN,
    tagged=True,
    refuses=(*NO_CHANNEL, Reason.ERASED),
    parameters=(AS_OF,),
    query=AsOfQuery,
)
async def get(request: Request) -> Answer:
    """Retrieve one channel by its id, now or at a moment."""
    uuid, number = (
        contact_uuid(request.path("contactID")),
        extensions.channel_number(request.path("id")),
    )
    as_of = request.query(AsOfQuery).as_of
    if as_of is not None:
        past = await _as_of(request, uuid, as_of)
        return request.answer(extensions.known_channel(past, by_number(past, number)))
    reach, channel = await request.service.channels.exactly(request.asking(), uuid, number)
    return request.tagged(reach, extensions.known_channel(reach, channel))


@writes(
    takes=Takes(
        extensions.PatchRequest,
        {"bounced": {"held": True, "held_reason": "bounced"}, "consent": {"consent": "opted_in"}},
    ),
    gives=KNOWN,
    tagged=True,
    refuses=(*NO_CHANNEL, Reason.UNKNOWN_NAME, Reason.ADDRESS_TAKEN, Reason.STALE_REVISION),
    query=NoQuery,
)
async def patch(request: Request) -> Answer:
    """Set what is known of one channel; what is left out stays as it is."""
    uuid, number = (
        contact_uuid(request.path("contactID")),
        extensions.channel_number(request.path("id")),
    )
    wanted = extensions.patch(decode(await request.body(), extensions.PatchRequest))

    def encode(after: Reach) -> Answer:
        return request.tagged(after, extensions.known_channel(after, by_number(after, number)))

    return encode(
        await request.service.channels.patch(request.asking(encode), uuid, number, wanted)
    )


@writes(gives=KNOWN, tagged=True, refuses=(*NO_CHANNEL, Reason.STALE_REVISION), query=NoQuery)
async def make_primary(request: Request) -> Answer:
    """Make one channel the primary one of its type."""
    uuid, number = (
        contact_uuid(request.path("contactID")),
        extensions.channel_number(request.path("id")),
    )

    def encode(after: Reach) -> Answer:
        return request.tagged(after, extensions.known_channel(after, by_number(after, number)))

    return encode(await request.service.channels.make_primary(request.asking(encode), uuid, number))


@writes(
    compressible=True,
    gives=ALL_KNOWN,
    tagged=True,
    refuses=(*NO_CHANNEL, Reason.STALE_REVISION),
    headers=(UNREACHABLE,),
    query=NoQuery,
)
async def remove(request: Request) -> Answer:
    """Remove one channel by its id, for good; the answer is the list that is left."""
    uuid, number = (
        contact_uuid(request.path("contactID")),
        extensions.channel_number(request.path("id")),
    )

    def encode(after: Reach) -> Answer:
        unreachable = [] if after.channels else [(b"x-contact-reachable", b"false")]
        return request.tagged(after, extensions.known_channels(after), unreachable)

    return encode(
        await request.service.channels.remove_exactly(request.asking(encode), uuid, number)
    )


async def _as_of(request: Request, uuid: str, as_of: str) -> Reach:
    with explaining_plus(request.scope["query_string"]):
        at = moment("as_of", as_of)
    await request.take_time(READ_SECONDS)  # all of the contact's events may have to be read
    return await request.service.history.reach_as_of(request.caller.team_id, uuid, at)
