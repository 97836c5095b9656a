"""An inconsistency that doctor found."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from reachbook.domain.channel import ContactChannel


class Kind(StrEnum):
    """The kind of an inconsistency."""

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
    NAMES = "names"
    UNOPENED = "unopened_secret"
    PREVIOUS_KEY = "previous_key"
    LIVE_SECRETS = "live_secrets"
    FEED = "feed"
    MISSING_INDEX = "missing_index"


class Finding(Struct, frozen=True):
    """An inconsistency: where it is, a sentence that describes it, and its repair, if any.

    `team_id` is None if it concerns the whole store. `contact_id` is the contact's UUID, and
    `number` its integer id, which a repair uses, or 0 if the inconsistency concerns no contact.
    """

    kind: Kind
    team_id: int | None
    message: str
    contact_id: str | None = None
    repair: str | None = None
    number: int = 0


def named(channel: ContactChannel | int) -> str:
    """Returns the id of a channel as clients see it."""
    return f"ch_{channel if isinstance(channel, int) else channel.id:03d}"
