"""Examples of the OpenAPI document: the contact of the vendor documents, and real errors.

Nothing here is written twice: answers come from `wire`, refusals from the rules that refuse.
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
from reachbook.wire.query import ResolveQuery, parse_options
from reachbook.wire.query import parse_strict_query as own_query

REQUEST_ID = "8434932a-cd0b-49f1-b5ce-3613cd445555"

# When seed 000 says that Alice's phone and then her email were added, in microseconds.
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


def in_both(spell: Callable[[Representation], object]) -> dict[str, object]:
    """An answer in each representation, under its name."""
    return {representation.value: spell(representation) for representation in Representation}


# ── bulk writes, resolve, and events ─────────────────────────────────────────────────────────


def bulk(representation: Representation) -> BulkBody:
    """A bulk write of two rows, one of them bad."""
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
NOBODY = ResolvedBody(None, None, created=False)
SUPPRESSED = with_fields(
    NOBODY,
    suppressed=SuppressionBody(SuppressionReason.OPTED_OUT, "2024-01-15T10:00:00.000000Z"),
)


def batch() -> BatchBody:
    """One address that is found, one that nobody owns, one that cannot be read."""
    return BatchBody(
        [FOUND, NOBODY, extensions.bad_address(_refusal_of(partial(_parse, "phone", "+1 510")))]
    )


def _email_added() -> EventRecord:
    """The second event of Alice, which is also her team's second."""
    before = ChannelList(ALICE.team_id, ALICE.id, ALICE.uuid, 1, _PHONE_ADDED, (PHONE,))
    after = ChannelList(ALICE.team_id, ALICE.id, ALICE.uuid, 2, _EMAIL_ADDED, ALICE.channels)
    change = event.change(before, after)
    was, now = event.diff(change)
    return EventRecord(
        ALICE.uuid, after.rev, change.kind, was, now, _ACTOR, REQUEST_ID, _EMAIL_ADDED, seq=2
    )


_ACTOR = "rbk_1_0123456789abcdef"
_LABELS = {_ACTOR: "support desk"}
TOLD = events.event(ALICE.team_id, _email_added(), _LABELS)
HISTORY = HistoryBody([TOLD], events.cursor(ALICE.uuid, 2))
FEED = FeedBody(
    [events.event_of_feed(ALICE.team_id, _email_added(), _LABELS)], 2, "5f0c1e2a9b7d4836"
)
EXPORT = ExportBody(
    render.contact_with_string_ids(ALICE), None, extensions.channel_details(ALICE), [TOLD]
)

# ── refusals ─────────────────────────────────────────────────────────────────────────────────


def refused(reason: Reason) -> dict[str, object]:
    """A refusal as it reads on the wire; where a rule can be asked to refuse, it says it."""
    refusal = _refusal_of(_CALLS[reason]) if reason in _CALLS else _meant(reason)
    return errors.body(refusal, Representation.STRING_IDS, REQUEST_ID)


def _refusal_of(call: Callable[[], object]) -> Refusal:
    try:
        call()
    except Refusal as refusal:
        return refusal
    raise AssertionError("an example of a refusal was not refused")


def _meant(reason: Reason) -> Refusal:
    return Refusal(reason, f"{reason.meaning[0].upper()}{reason.meaning[1:]}.")


def _parse(kind: str, value: str, region: str | None = None) -> Address:
    return addresses.parse(addresses.channel_type(kind), value, region)


def _add_ambiguous() -> None:
    channel_rules.add_channel(
        ALICE, ChannelInput(_parse("phone", "(646) 555-0123", "US")), _EMAIL_ADDED
    )


def _remove_one_of_two() -> None:
    with_two = with_fields(ALICE, channels=(*ALICE.channels, SECOND_PHONE))
    channel_rules.remove_channel(with_two, ChannelSelector(PHONE.channel_type), _EMAIL_ADDED)


def _take() -> None:
    raise channel_lists.address_taken(ALICE.uuid, PHONE)


def _ask_for_a_longer_page() -> None:
    wire_bulk.list_query(ListRequest(limit=wire_bulk.MAX_PAGE + 1))


def _list_after_a_crowded_second() -> None:
    raise date_too_coarse(_PHONE_ADDED, Precision.SECOND)


def _look_back_at_the_erased() -> None:
    raise contacts.erased_error(ALICE.uuid)


def _follow_beyond_the_end() -> None:
    raise feed_restarted("after", "beyond the newest event")


def _take_external_id() -> None:
    raise Refusal(
        Reason.EXTERNAL_ID_TAKEN,
        f"Contact {ALICE.uuid} already has this external_id; a team gives each only once.",
        fields={"external_id": "already in use"},
        facts={"conflicting_contact_id": ALICE.uuid},
    )


def _expire() -> None:
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
    Reason.UNKNOWN_NAME: partial(own_query, b"explian=true", ResolveQuery),
    Reason.BAD_CURSOR: partial(events.revision, ALICE.uuid, "2"),
    Reason.DATE_TOO_COARSE: _list_after_a_crowded_second,
    Reason.TOO_MANY: _ask_for_a_longer_page,
    Reason.ERASED: _look_back_at_the_erased,
    Reason.FEED_RESTARTED: _follow_beyond_the_end,
    Reason.BAD_UUID: partial(contact_uuid, "1"),
    Reason.BAD_CHANNEL_TYPE: partial(addresses.channel_type, "Phone"),
    Reason.BAD_PHONE: partial(_parse, "phone", "+1 510"),
    Reason.BAD_EMAIL: partial(_parse, "email", "alice"),
    Reason.BAD_CHANNEL_ID: partial(_parse, "facebook", ""),
    Reason.AMBIGUOUS: _add_ambiguous,
    Reason.MISSING_CREDENTIAL: partial(credentials.bearer, None),
    Reason.MALFORMED_TOKEN: partial(credentials.bearer, "Basic YWxpY2U6"),
    Reason.EXPIRED: _expire,
    Reason.NO_CONTACT: partial(channel_lists.require_contact, None),
    Reason.NO_CHANNEL: partial(
        channel_lists.select_channel, ALICE, ChannelSelector(addresses.channel_type("facebook"))
    ),
    Reason.ADDRESS_TAKEN: _take,
    Reason.SEVERAL: _remove_one_of_two,
    Reason.EXTERNAL_ID_TAKEN: _take_external_id,
}
