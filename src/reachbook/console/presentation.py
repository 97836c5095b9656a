"""How contacts and channels are shown: names, order, and numbers with their spaces."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from reachbook.domain.address.display import readable
from reachbook.domain.address.search_text import KNOWN_TYPES
from reachbook.domain.channel import ContactChannel, primaries, primary_order
from reachbook.domain.contact import Contact

NAMELESS = "Contact without a name"
MAX_LISTED = 3

TYPE_NAMES = {
    "sms": "SMS",
    "whatsapp": "WhatsApp",
    "rcs": "RCS",
    "line": "LINE",
    "tiktok": "TikTok",
}
"""The types whose names are not their first letter in upper case."""

_RANK = {kind: rank for rank, kind in enumerate(KNOWN_TYPES)}


class ChannelView(Struct, frozen=True):
    """A channel as it is shown. `address` has the spaces of a phone number."""

    channel: ContactChannel
    address: str
    type_name: str
    is_primary: bool


class ContactRow(Struct, frozen=True):
    """A contact in a list: the primary channels, and how many further channels it has.

    `match` is the channel that was looked for.
    """

    contact: Contact
    title: str
    channels: list[ChannelView]
    further: int
    match: ContactChannel | None = None


def full_name(contact: Contact) -> str:
    """Returns the name of a contact, or an empty text."""
    names = (contact.first.strip(), contact.last.strip())
    return contact.display_name.strip() or " ".join(filter(None, names))


def title(contact: Contact) -> str:
    """Returns the name of a contact, or one of its addresses if it has no name."""
    views = [] if full_name(contact) else channel_views(contact)
    return full_name(contact) or (views[0].address if views else NAMELESS)


def type_name(kind: str) -> str:
    """Returns a channel type as people write it."""
    return TYPE_NAMES.get(kind, kind[:1].upper() + kind[1:])


def channel_view(channel: ContactChannel, *, is_primary: bool) -> ChannelView:
    """Returns a channel as it is shown."""
    address = readable(channel.channel_type, channel.channel_id)
    return ChannelView(channel, address, type_name(channel.channel_type), is_primary)


def channel_views(contact: Contact) -> list[ChannelView]:
    """Returns the channels of a contact by type, the primary one of each type first."""
    first = {channel.id for channel in primaries(contact)}

    def order(channel: ContactChannel) -> tuple[object, ...]:
        kind = channel.channel_type
        return _RANK.get(kind, len(_RANK)), kind, primary_order(channel)

    return [
        channel_view(channel, is_primary=channel.id in first)
        for channel in sorted(contact.channels, key=order)
    ]


def row(contact: Contact, match: ContactChannel | None = None) -> ContactRow:
    """Returns a contact as a list shows it, with the channel that was looked for first."""
    views = channel_views(contact)
    shown = [view for view in views if view.is_primary and view.channel != match][:MAX_LISTED]
    if match is not None:
        shown = [channel_view(match, is_primary=False), *shown[: MAX_LISTED - 1]]
    return ContactRow(contact, title(contact), shown, len(views) - len(shown), match)


def custom_text(value: object) -> str:
    """Returns the value of a custom field as a text: itself, or its JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
