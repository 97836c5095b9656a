"""The bodies of errors (contract section 3)."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from reachbook.domain.errors import Kind
from reachbook.wire.models.fields import Address, Readings, Uuid, WrongFields
from reachbook.wire.models.v2 import IntegerIdsChannel, StringIdsChannel


class ErrorBody(Struct, kw_only=True):
    """A refusal: `error` is its class, `error_code` the exact reason."""

    error: Kind
    error_code: str
    message: Annotated[str, Meta(description="One sentence that a person can act on.")]
    fields: WrongFields | UnsetType = UNSET
    request_id: Annotated[str, Meta(description="The X-Request-Id; the log has it too.")]


class AmbiguousAddress(ErrorBody):
    """Digits that could be two phone numbers, with both readings."""

    readings: Readings


class OwnershipConflict(ErrorBody):
    """A value that only one contact of a team can have, and the contact that has it."""

    conflicting_contact_id: Uuid


class AddressTaken(OwnershipConflict):
    """An address, the contact that owns it, and the channel there."""

    conflicting_channel_id: str | int
    channel_id: Address


class SeveralStringIds(ErrorBody):
    """The channels that could be meant, with string ids."""

    channels: list[StringIdsChannel]


class SeveralIntegerIds(ErrorBody):
    """The channels that could be meant, with integer ids."""

    channels: list[IntegerIdsChannel]
