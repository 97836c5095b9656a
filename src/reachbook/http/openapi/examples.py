"""Examples of the OpenAPI document: the contact of the vendor documents, and real errors.

The examples are made by the code that serves requests: bodies by `wire`, errors by the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import Raw
from msgspec.structs import replace as with_fields

from reachbook.domain import channel as channel_lists
from reachbook.domain import channel_rules, event, jwt
from reachbook.domain import contact as contacts
from reachbook.domain import credential as credentials
from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.parsing import Address
from reachbook.domain.channel import ChannelList, ChannelSelector, ContactChannel
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.consent import SuppressionReason
from reachbook.domain.contact import Contact
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.event import EventRecord
from reachbook.domain.jwt import Token
from reachbook.domain.list_cursor import Precision, date_too_coarse
from reachbook.service.history import feed_restarted
from reachbook.wire import bulk as wire_bulk
from reachbook.wire import errors, events, extensions, render
from reachbook.wire.models.v2 import BulkBody, BulkRow, ChannelRequest, ListRequest
from reachbook.wire.models.x import (
    BatchBody,
    ExportBody,
    FeedBody,
    HistoryBody,
    ResolvedBody,
    SuppressionBody,
)
from reachbook.wire.parse import contact_from, contact_uuid, decode
from reachbook.wire.query import ResolveQuery, parse_options, parse_strict_query

REQUEST_ID = "8434932a-cd0b-49f1-b5ce-3613cd445555"

# The times at which Alice's phone and email were added, by seed 000, in microseconds.
_PHONE_ADDED = 1_705_312_800_000_000
_EMAIL_ADDED = 1_705_313_100_000_000

ADD_EMAIL = {"channel_type": "email", "channel_id": "alice@example.com"}
ADD_PHONE = {"channel_type": "phone", "channel_id": "14155551234"}
NEW_EMAIL = {"channel_type": "email", "channel_id": "newemail@example.com"}


def _channel(number: int, kind: str, value: str, added: int) -> ContactChannel:
    address = addresses.parse(addresses.channel_type(kind), value)
    return ContactChannel(
        id=number,
        channel_type=address.channel_type,
        channel_id=address.channel_id,
        scope="",
        identity=address.identity,
        channel_handle="",
        info_channel="",
        made_primary=None,
        created=added,
        updated=added,
    )


PHONE = _channel(1, "phone", "15105553344", _PHONE_ADDED)
EMAIL = _channel(2, "email", "alice@example.com", _EMAIL_ADDED)
SECOND_PHONE = _channel(3, "phone", "14155551234", _EMAIL_ADDED)

ALICE = Contact(
    team_id=1,
    id=1,
    uuid="a1b2c3d4-e5f6-7890-abcd-ef1234567890",
    rev=2,
    created=_PHONE_ADDED,
    updated=_EMAIL_ADDED,
    channels=(PHONE, EMAIL),
    first="Alice",
)


def in_both(render_as: Callable[[Representation], object]) -> dict[str, object]:
    """Returns a body in each representation, by the name of the representation."""
    return {representation.value: render_as(representation) for representation in Representation}


# ── bulk writes, resolve, and events ─────────────────────────────────────────────────────────


def bulk(representation: Representation) -> BulkBody:
    """Returns the result of a bulk write of two rows, one of which is refused."""
    row = b'{"first": "Bob", "phone": "+1 510"}'
    refusal = _refusal_of(partial(contact_from, decode(row, BulkRow), None))
    failed = wire_bulk.failed_row(1, Raw(row), refusal, representation)
    return BulkBody([render.contact(ALICE, representation)], [failed])


TYPED = "+1 510 555 3344"
FOUND = ResolvedBody(
    render.contact_with_string_ids(ALICE), extensions.channel_detail(ALICE, PHONE), created=False
)
EXPLAINED = with_fields(
    FOUND,
    explain=extensions.explanation(TYPED, addresses.parse(PHONE.channel_type, TYPED), PHONE),
)
NO_OWNER = ResolvedBody(None, None, created=False)
SUPPRESSED = with_fields(
    NO_OWNER,
    suppressed=SuppressionBody(SuppressionReason.OPTED_OUT, "2024-01-15T10:00:00.000000Z"),
)


def batch() -> BatchBody:
    """Returns a batch of an address with an owner, one without, and one that cannot be read."""
    return BatchBody(
        [FOUND, NO_OWNER, extensions.bad_address(_refusal_of(partial(_parse, "phone", "+1 510")))]
    )


def _email_added() -> EventRecord:
    """Returns the second event of Alice, which is also the second of her team."""
    before = ChannelList(ALICE.team_id, ALICE.id, ALICE.uuid, 1, _PHONE_ADDED, (PHONE,))
    after = ChannelList(ALICE.team_id, ALICE.id, ALICE.uuid, 2, _EMAIL_ADDED, ALICE.channels)
    change = event.change(before, after)
    old, new = event.diff(change)
    return EventRecord(
        ALICE.uuid, after.rev, change.kind, old, new, _ACTOR, REQUEST_ID, _EMAIL_ADDED, seq=2
    )


_ACTOR = "rbk_1_0123456789abcdef"
_LABELS = {_ACTOR: "support desk"}
EVENT = events.event(ALICE.team_id, _email_added(), _LABELS)
HISTORY = HistoryBody([EVENT], events.cursor(ALICE.uuid, 2))
FEED = FeedBody(
    [events.event_of_feed(ALICE.team_id, _email_added(), _LABELS)], 2, "5f0c1e2a9b7d4836"
)
EXPORT = ExportBody(
    render.contact_with_string_ids(ALICE), None, extensions.channel_details(ALICE), [EVENT]
)

# ── refusals ─────────────────────────────────────────────────────────────────────────────────


def error_body(reason: Reason) -> dict[str, object]:
    """Returns the body of an error with a reason; its message is that of the code if possible."""
    refusal = _refusal_of(_CALLS[reason]) if reason in _CALLS else _by_meaning(reason)
    return errors.body(refusal, Representation.STRING_IDS, REQUEST_ID)


def _refusal_of(call: Callable[[], object]) -> Refusal:
    try:
        call()
    except Refusal as refusal:
        return refusal
    raise AssertionError("an example of a refusal was not refused")


def _by_meaning(reason: Reason) -> Refusal:
    return Refusal(reason, f"{reason.meaning[0].upper()}{reason.meaning[1:]}.")


def _parse(kind: str, value: str, region: str | None = None) -> Address:
    return addresses.parse(addresses.channel_type(kind), value, region)


def _raise_ambiguous() -> None:
    channel_rules.add_channel(
        ALICE, ChannelInput(_parse("phone", "(646) 555-0123", "US")), _EMAIL_ADDED
    )


def _raise_several() -> None:
    with_two = with_fields(ALICE, channels=(*ALICE.channels, SECOND_PHONE))
    channel_rules.remove_channel(with_two, ChannelSelector(PHONE.channel_type), _EMAIL_ADDED)


def _raise_address_taken() -> None:
    raise channel_lists.address_taken(ALICE.uuid, PHONE)


def _raise_too_many() -> None:
    wire_bulk.list_query(ListRequest(limit=wire_bulk.MAX_PAGE + 1))


def _raise_date_too_coarse() -> None:
    raise date_too_coarse(_PHONE_ADDED, Precision.SECOND)


def _raise_erased() -> None:
    raise contacts.erased_error(ALICE.uuid)


def _raise_feed_restarted() -> None:
    raise feed_restarted("after", "beyond the newest event")


def _raise_external_id_taken() -> None:
    raise Refusal(
        Reason.EXTERNAL_ID_TAKEN,
        f"Contact {ALICE.uuid} already has this external_id; a team gives each only once.",
        fields={"external_id": "already in use"},
        facts={"conflicting_contact_id": ALICE.uuid},
    )


def _raise_expired() -> None:
    token = Token("rbs_1_0123456789abcdef", b"", b"", 0, None, None)
    raise jwt.check_expiry(token, jwt.TOKEN_LIFE + 40, seen=True)


# The call that raises each error: the example is the message of the code itself.
_CALLS: dict[Reason, Callable[[], object]] = {
    Reason.MALFORMED_JSON: partial(decode, b'{"channel_type": ', ChannelRequest),
    Reason.MISSING_FIELD: partial(decode, b'{"channel_type": "phone"}', ChannelRequest),
    Reason.WRONG_TYPE: partial(
        decode, b'{"channel_type": "phone", "channel_id": 15105553344}', ChannelRequest
    ),
    Reason.BAD_VALUE: partial(parse_options, b"representation=strings"),
    Reason.UNKNOWN_NAME: partial(parse_strict_query, b"explian=true", ResolveQuery),
    Reason.BAD_CURSOR: partial(events.revision, ALICE.uuid, "2"),
    Reason.DATE_TOO_COARSE: _raise_date_too_coarse,
    Reason.TOO_MANY: _raise_too_many,
    Reason.ERASED: _raise_erased,
    Reason.FEED_RESTARTED: _raise_feed_restarted,
    Reason.BAD_UUID: partial(contact_uuid, "1"),
    Reason.BAD_CHANNEL_TYPE: partial(addresses.channel_type, "Phone"),
    Reason.BAD_PHONE: partial(_parse, "phone", "+1 510"),
    Reason.BAD_EMAIL: partial(_parse, "email", "alice"),
    Reason.BAD_CHANNEL_ID: partial(_parse, "facebook", ""),
    Reason.AMBIGUOUS: _raise_ambiguous,
    Reason.MISSING_CREDENTIAL: partial(credentials.bearer, None),
    Reason.MALFORMED_TOKEN: partial(credentials.bearer, "Basic YWxpY2U6"),
    Reason.EXPIRED: _raise_expired,
    Reason.NO_CONTACT: partial(channel_lists.require_contact, None),
    Reason.NO_CHANNEL: partial(
        channel_lists.select_channel, ALICE, ChannelSelector(addresses.channel_type("facebook"))
    ),
    Reason.ADDRESS_TAKEN: _raise_address_taken,
    Reason.SEVERAL: _raise_several,
    Reason.EXTERNAL_ID_TAKEN: _raise_external_id_taken,
}
