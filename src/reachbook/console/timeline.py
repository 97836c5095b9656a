"""A contact's history in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from reachbook.console.presentation import custom_text, type_name
from reachbook.domain.address.display import readable
from reachbook.domain.errors import shortened
from reachbook.domain.event import ChannelSnapshot, EventRecord
from reachbook.domain.event_kind import Kind
from reachbook.domain.user import ACTOR_PREFIX
from reachbook.service.history import EventPage

MAX_LINES = 30
MAX_VALUE_CHARACTERS = 300

ACTORS = {
    "command line": "the command line",
    "first run": "the first start of the server",
    "doctor": "the check of the database",
}

FIELDS = {
    "first": "First name",
    "last": "Last name",
    "display_name": "Display name",
    "external_id": "External id",
    "avatar": "Picture",
    "assigned_user_id": "Assigned user",
    "is_opted_out": "Opted out",
    "tags": "Tags",
}

CHANNEL_FIELDS = {
    "label": "label",
    "channel_handle": "handle",
    "info_channel": "info channel",
}

KINDS = {
    Kind.CONTACT_CREATED: "Contact created",
    Kind.CONTACT_DELETED: "Contact deleted; its addresses and its external id can be used again",
    Kind.ERASED: "Contact erased: names, addresses and earlier values are gone",
    Kind.REPAIRED: "Contact repaired: the stored values contradicted each other",
}
"""The first line of an event of these kinds."""

WITHOUT_VALUES = {
    Kind.CONTACT_UPDATED: "Contact changed",
    Kind.CHANNEL_ADDED: "Channel added",
    Kind.CHANNEL_UPDATED: "Channel changed",
    Kind.CHANNEL_REMOVED: "Channel removed",
    Kind.CHANNEL_MOVED_HERE: "Address moved here",
    Kind.CHANNEL_MOVED_AWAY: "Address moved to another contact",
}
"""The line of an event whose values were erased, or cannot be read."""


class Line(Struct, frozen=True):
    """A sentence of texts and quoted values, by turns.

    `moved` is an address that another contact has taken, to search for.
    """

    parts: tuple[str, ...]
    moved: str = ""


class Entry(Struct, frozen=True):
    """An event: when, by whom, its first changes, and how many `more` there are.

    `at` is in microseconds since the epoch.
    """

    at: int
    actor: str
    lines: list[Line]
    more: int = 0


def entries(page: EventPage) -> list[Entry]:
    """Returns the events of a page, in its order."""
    return [_entry(event, page.labels) for event in page.events]


def _entry(event: EventRecord, labels: Mapping[str, str]) -> Entry:
    lines = _lines(event)
    more = max(0, len(lines) - MAX_LINES)
    return Entry(event.at, _actor(event.actor, labels), lines[:MAX_LINES], more)


def _actor(actor: str, labels: Mapping[str, str]) -> str:
    if actor.startswith(ACTOR_PREFIX):
        return labels.get(actor, "a former user")
    return labels.get(actor) or ACTORS.get(actor, f"credential {actor}")


def _lines(event: EventRecord) -> list[Line]:
    kind = Kind(event.kind) if event.kind in list(Kind) else None
    first = [Line((KINDS[kind],))] if kind in KINDS else []
    try:
        before, after = _snapshot(event.before), _snapshot(event.after)
        changes = [*_channels(kind, before, after), *_fields(before, after)]
    except (msgspec.MsgspecError, AttributeError, TypeError):
        changes = []
    return [*first, *changes] or [
        Line((WITHOUT_VALUES.get(kind, "Changed") if kind else "Changed",))
    ]


def _snapshot(text: str | None) -> dict[str, Any]:
    return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])


# ── channels ─────────────────────────────────────────────────────────────────────────────────


def _channels(
    kind: Kind | None, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Line]:
    old, new = _by_id(before), _by_id(after)
    for number in [*old, *(number for number in new if number not in old)]:
        was, now = old.get(number), new.get(number)
        if was and now:
            yield from _changed(was, now)
        elif now:
            verb = "moved here from another contact" if kind is Kind.CHANNEL_MOVED_HERE else "added"
            yield Line((f"{type_name(now.channel_type)}", _address(now), verb))
            yield from _details(now)
        elif was and kind is Kind.CHANNEL_MOVED_AWAY:
            parts = (type_name(was.channel_type), _address(was), "moved to another contact")
            yield Line(parts, _address(was))
        elif was:
            yield Line((type_name(was.channel_type), _address(was), "removed"))


def _by_id(snapshot: Mapping[str, Any]) -> dict[int, ChannelSnapshot]:
    channels = msgspec.convert(snapshot.get("channels", []), list[ChannelSnapshot])
    return {channel.id: channel for channel in channels}


def _changed(was: ChannelSnapshot, now: ChannelSnapshot) -> Iterator[Line]:
    name = type_name(now.channel_type)
    if was.channel_id != now.channel_id:
        yield Line((f"{name} changed from", _address(was), "to", _address(now)))
    for field, label in CHANNEL_FIELDS.items():
        yield from _change(
            f"{label[0].upper()}{label[1:]} of {name}", getattr(was, field), getattr(now, field)
        )
    if was.held_reason != now.held_reason:
        yield _hold(now)
    if was.consent != now.consent:
        yield _consent(now)
    elif was.consent_source != now.consent_source:
        yield from _change(
            f"Source of the consent of {name}", was.consent_source, now.consent_source
        )
    if now.primary is True and was.primary is not True:
        yield Line((name, _address(now), "made primary"))


def _details(channel: ChannelSnapshot) -> Iterator[Line]:
    """Yields the fields that a new channel has besides its address."""
    if channel.held_reason is not None:
        yield _hold(channel)
    if channel.consent != "unknown":
        yield _consent(channel)


def _hold(channel: ChannelSnapshot) -> Line:
    name = type_name(channel.channel_type)
    if channel.held_reason is None:
        return Line((name, _address(channel), "released: messages may be sent again"))
    return Line((name, _address(channel), f"held: {_words(channel.held_reason)}"))


def _consent(channel: ChannelSnapshot) -> Line:
    given = f"has the consent: {_words(channel.consent)}"
    parts = (type_name(channel.channel_type), _address(channel), given)
    if not channel.consent_source:
        return Line(parts)
    return Line((*parts[:2], f"{given}, source", channel.consent_source))


def _address(channel: ChannelSnapshot) -> str:
    return readable(channel.channel_type, channel.channel_id)


# ── fields of the contact ────────────────────────────────────────────────────────────────────


def _fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Line]:
    for field, label in FIELDS.items():
        if field in after:
            yield from _change(label, _text(before.get(field)), _text(after[field]))
    if "custom" in after:
        was, now = before.get("custom") or {}, after["custom"] or {}
        for key in dict.fromkeys([*was, *now]):
            old = custom_text(was[key]) if key in was else ""
            new = custom_text(now[key]) if key in now else ""
            if key not in now or key not in was or old != new:
                yield from _custom_change(key, old, new if key in now else None)


def _custom_change(key: str, old: str, new: str | None) -> Iterator[Line]:
    if new is None:
        yield Line(("Custom field", key, "removed; it was", _cut(old)))
    elif old:
        yield Line(("Custom field", key, "changed from", _cut(old), "to", _cut(new)))
    else:
        yield Line(("Custom field", key, "set to", _cut(new)))


def _change(label: str, old: str, new: str) -> Iterator[Line]:
    """Yields the line of a text if it has changed; an empty text is shown as not set."""
    if old == new:
        return
    if old and new:
        yield Line((f"{label} changed from", _cut(old), "to", _cut(new)))
    elif new:
        yield Line((f"{label} set to", _cut(new)))
    else:
        yield Line((f"{label} removed; it was", _cut(old)))


def _text(value: object) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else ""
    return str(value)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _cut(text: str) -> str:
    return shortened(text, MAX_VALUE_CHARACTERS)
