"""The kinds of events."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """The kind of a change."""

    # The values are stored in events and read by followers: none may ever be renamed.
    CONTACT_CREATED = "contact_created"
    CONTACT_UPDATED = "contact_updated"
    CONTACT_DELETED = "contact_deleted"
    CHANNEL_ADDED = "channel_added"
    CHANNEL_UPDATED = "channel_updated"
    CHANNEL_REMOVED = "channel_removed"
    CHANNEL_MOVED_HERE = "channel_moved_here"
    CHANNEL_MOVED_AWAY = "channel_moved_away"
    ERASED = "erased"
    REPAIRED = "repaired"
