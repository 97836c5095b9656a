"""The enumerations of consent, holds and suppressions."""

from __future__ import annotations

from enum import StrEnum


class Consent(StrEnum):
    """Whether the person agreed to be messaged at an address."""

    # The values of this module are stored and are part of the contract: none may be renamed.
    OPTED_IN = "opted_in"
    OPTED_OUT = "opted_out"
    UNKNOWN = "unknown"


class HeldReason(StrEnum):
    """Why nothing should be sent to an address for now."""

    BOUNCED = "bounced"
    WRONG_PERSON = "wrong_person"
    RECYCLED = "recycled"
    OTHER = "other"


class SuppressionReason(StrEnum):
    """The reasons not to send to an address."""

    OPTED_OUT = "opted_out"
    BOUNCED = "bounced"
