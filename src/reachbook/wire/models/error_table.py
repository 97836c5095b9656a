"""The table of errors: the server looks up the status of a reason, and a client the reverse."""

from __future__ import annotations

from reachbook.domain.errors import Kind, Reason
from reachbook.wire.models.errors import (
    AddressTaken,
    AmbiguousAddress,
    ErrorBody,
    OwnershipConflict,
    SeveralIntegerIds,
    SeveralStringIds,
)

STATUS = {
    Kind.BAD_DATA: 400,
    Kind.UNAUTHORIZED: 401,
    Kind.DENIED: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD_NOT_ALLOWED: 405,
    Kind.CONFLICT: 409,
    Kind.GONE: 410,
    Kind.PRECONDITION_FAILED: 412,
    Kind.TOO_LARGE: 413,
    Kind.IDEMPOTENCY_MISMATCH: 422,
    Kind.RATE_LIMITED: 429,
    Kind.SERVER_ERROR: 500,
    Kind.UNAVAILABLE: 503,
}
STATUS_OF_REASON = {Reason.UNSUPPORTED_ENCODING: 415}
"""The reasons for which HTTP has a more exact status than that of their kind."""


def status(reason: Reason) -> int:
    """Returns the HTTP status of a refusal."""
    return STATUS_OF_REASON.get(reason, STATUS[reason.kind])


KIND = {status(reason): reason.kind for reason in Reason}


SHAPES: dict[Reason, tuple[type[ErrorBody], ...]] = {
    Reason.AMBIGUOUS: (AmbiguousAddress,),
    Reason.ADDRESS_TAKEN: (AddressTaken,),
    Reason.SEVERAL: (SeveralStringIds, SeveralIntegerIds),
    Reason.UUID_TAKEN: (OwnershipConflict,),
    Reason.EXTERNAL_ID_TAKEN: (OwnershipConflict,),
}
"""The refusals that carry more than every refusal does: with string ids first."""
