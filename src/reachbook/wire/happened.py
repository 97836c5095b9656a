"""What happened, as `/x` shows it: events, pages of them, and the cursor between pages."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from reachbook import moment
from reachbook.errors import Reason, Refusal
from reachbook.event import Happened, ToldChannel
from reachbook.event import Kind as Event
from reachbook.wire.answer import Moment, StringIdsContact, Tag, Uuid
from reachbook.wire.own import KnownChannel, told_channel

EventKind = Annotated[str, Meta(extra_json_schema={"enum": list(Event)})]

_CURSOR = b"rev:"


class Actor(Struct):
    """Who did it: a credential with its label, or the command line."""

    credential_id: str
    label: str


class EventBody(Struct):
    """One change of one contact. `before` and `after` hold what it touched, null once erased."""

    kind: EventKind
    contact_id: Uuid
    rev: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    actor: Actor
    request_id: str
    at: Moment
    seq: Annotated[int, Meta(ge=1, description="Told by the feed only.")] | UnsetType = UNSET


class HistoryBody(Struct):
    """A page of a contact's history, newest first."""

    events: list[EventBody]
    next: str | None


class FeedBody(Struct):
    """A page of a team's feed; `next` is what to pass as `after`."""

    events: list[EventBody]
    next: int


class ExportBody(Struct):
    """All that is held about one contact."""

    contact: StringIdsContact
    deleted: Moment | None
    channels: list[KnownChannel]
    events: list[EventBody]


def event(team_id: int, one: Happened, labels: dict[str, str]) -> EventBody:
    """An event, spelled for people who read JSON."""
    return EventBody(
        kind=one.kind,
        contact_id=one.contact_uuid,
        rev=one.rev,
        before=_told(team_id, one.contact_uuid, one.before),
        after=_told(team_id, one.contact_uuid, one.after),
        actor=Actor(one.actor, labels.get(one.actor, "")),
        request_id=one.request_id,
        at=moment.exact(one.at),
        seq=UNSET if one.seq is None else one.seq,
    )


def cursor(rev: int | None) -> str | None:
    """Where the next page of a history begins, as an opaque text."""
    if rev is None:
        return None
    return base64.urlsafe_b64encode(_CURSOR + str(rev).encode()).decode().rstrip("=")


def revision(text: str | None) -> int | None:
    """The revision in a cursor of ours."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        number = raw.removeprefix(_CURSOR).decode()
    except (binascii.Error, ValueError):
        raw, number = b"", ""
    if not raw.startswith(_CURSOR) or not number.isascii() or not number.isdigit():
        raise _bad_cursor()
    if len(number) > len(str(2**63)) - 1:
        raise _bad_cursor()
    return int(number)


def _told(team_id: int, uuid: str, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    told: dict[str, Any] = msgspec.json.decode(text)
    channels = msgspec.convert(told.pop("channels", []), list[ToldChannel])
    for name in ("deleted", "erased"):
        if told.get(name) is not None:
            told[name] = moment.exact(told[name])
    if "tags" in told:
        told["tags"] = [Tag(number) for number in told["tags"]]
    shown = [told_channel(team_id, uuid, one, primary=one.primary) for one in channels]
    return {"channels": shown, **told}


def _bad_cursor() -> Refusal:
    return Refusal(
        Reason.BAD_CURSOR,
        "This cursor is not one of ours; pass back the `next` of the page before, as it was.",
        fields={"cursor": "not one of ours"},
    )
