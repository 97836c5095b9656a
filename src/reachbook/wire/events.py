"""Events as `/x` returns them: events, pages, and the cursor between pages."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from reachbook.domain import timestamps
from reachbook.domain.contact import Contact
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.event import ChannelSnapshot, EventRecord
from reachbook.wire.extensions import channel_details, channel_snapshot
from reachbook.wire.models.v2 import Tag
from reachbook.wire.models.x import Actor, EventBody, ExportBody, FeedEventBody
from reachbook.wire.render import contact_with_string_ids

_REVISION = re.compile("[0-9]{1,18}")


def event(team_id: int, record: EventRecord, labels: dict[str, str]) -> EventBody:
    """Returns an event as a body of a response."""
    return EventBody(**_event_fields(team_id, record, labels))


def event_of_feed(team_id: int, record: EventRecord, labels: dict[str, str]) -> FeedEventBody:
    """Returns an event of the feed, with its number."""
    return FeedEventBody(**_event_fields(team_id, record, labels), seq=record.seq or 0)


def export(contact: Contact) -> ExportBody:
    """Returns the export of a contact, without its events."""
    return ExportBody(
        contact_with_string_ids(contact),
        None if contact.deleted is None else timestamps.format_micros(contact.deleted),
        channel_details(contact),
        [],
    )


def cursor(uuid: str, rev: int | None) -> str | None:
    """Returns the cursor of the next page of a contact's history, as an opaque text."""
    if rev is None:
        return None
    return base64.urlsafe_b64encode(f"{uuid}:{rev}".encode()).decode().rstrip("=")


def revision(uuid: str, text: str | None) -> int | None:
    """Returns the revision in a cursor; raises `bad_cursor` if it is not one of this contact."""
    if text is None:
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        of, _, number = raw.decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        of, number = "", ""
    if of != uuid or not _REVISION.fullmatch(number):
        raise _bad_cursor()
    return int(number)


def _event_fields(team_id: int, record: EventRecord, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "kind": record.kind,
        "contact_id": record.contact_uuid,
        "rev": record.rev,
        "before": _snapshot(team_id, record.contact_uuid, record.before),
        "after": _snapshot(team_id, record.contact_uuid, record.after),
        "actor": Actor(record.actor, labels.get(record.actor, "")),
        "request_id": record.request_id,
        "at": timestamps.format_micros(record.at),
    }


def _snapshot(team_id: int, uuid: str, text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    snapshot: dict[str, Any] = msgspec.json.decode(text)
    channels = msgspec.convert(snapshot.pop("channels", []), list[ChannelSnapshot])
    for name in ("deleted", "erased"):
        if snapshot.get(name) is not None:
            snapshot[name] = timestamps.format_micros(snapshot[name])
    if "tags" in snapshot:
        snapshot["tags"] = [Tag(number) for number in snapshot["tags"]]
    shown = [
        channel_snapshot(team_id, uuid, channel, primary=channel.primary) for channel in channels
    ]
    return {"channels": shown, **snapshot}


def _bad_cursor() -> Refusal:
    return Refusal(
        Reason.BAD_CURSOR,
        "This cursor does not belong to this history; pass back the `next` of the page before, "
        "as it was.",
        fields={"cursor": "not a cursor of this history"},
    )
