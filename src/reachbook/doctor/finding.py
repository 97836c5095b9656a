"""An inconsistency that doctor found."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from reachbook.domain.channel import ContactChannel


class Kind(StrEnum):
    """What is wrong."""

    TWO_OWNERS = "two_owners"
    ORPHAN_CHANNEL = "orphan_channel"
    ORPHAN_EVENT = "orphan_event"
    NO_TEAM = "no_team"
    ADDRESS = "address"
    IDENTITY = "identity"
    SHARED_ADDRESS = "shared_address"
    SCOPE = "scope"
    REVISION = "revision"
    MISSING_EVENT = "missing_event"
    REPLAY = "replay"
    TIMES = "times"
    BAD_JSON = "bad_json"
    UNOPENED = "unopened_secret"
    PREVIOUS_KEY = "previous_key"
    LIVE_SECRETS = "live_secrets"
    FEED = "feed"
    MISSING_INDEX = "missing_index"


class Finding(Struct, frozen=True):
    """One fault: where it is, what it is, and what a repair would do if one is known.

    `team_id` is null for what is not of one team; `contact_id` is the contact's UUID, and `number`
    its integer id, by which a repair finds it, 0 for what is of no contact.
    """

    kind: Kind
    team_id: int | None
    what: str
    contact_id: str | None = None
    repair: str | None = None
    number: int = 0


def named(channel: ContactChannel | int) -> str:
    """A channel as clients know it."""
    return f"ch_{channel if isinstance(channel, int) else channel.id:03d}"
