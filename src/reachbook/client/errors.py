"""The exceptions that the client raises for error responses.

There is a class for each `Kind`, and a subclass for each reason that has further fields or that
callers often handle separately. A broken connection or a timeout raises the exception of httpx.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET

from reachbook.domain.errors import Kind, Reason
from reachbook.wire.models.errors import (
    AddressTaken,
    AmbiguousAddress,
    ErrorBody,
    OwnershipConflict,
    SeveralStringIds,
)
from reachbook.wire.models.v2 import StringIdsChannel

REASONS = {reason.code: reason for reason in Reason}


class ReachbookError(Exception):
    """The base of all exceptions that a response raises.

    `status` is the HTTP status, `message` a sentence for a person, `request_id` the id to look for
    in the server's log. `code` is the `error_code` of the response, or "" if it has none.
    `reason` is the same as a `Reason`, or None if this release does not know the code. `fields`
    maps each wrong field of the request to a description. `retry_after` is in seconds, or None.
    """

    kind: ClassVar[Kind | None] = None

    def __init__(self, status: int, body: ErrorBody, retry_after: float | None = None) -> None:
        super().__init__(status, body, retry_after)
        self.status: int = status
        self.message: str = body.message
        self.code: str = body.error_code
        self.reason: Reason | None = REASONS.get(body.error_code)
        self.fields: dict[str, str] = {} if body.fields is UNSET else body.fields
        self.request_id: str = body.request_id
        self.retry_after: float | None = retry_after

    def __str__(self) -> str:
        return f"{self.message} ({self.status} {self.code})" if self.code else self.message


class UnexpectedResponseError(ReachbookError):
    """The response is not one of the API: a proxy sent it, or a server of another kind."""


class BadDataError(ReachbookError):
    """The request is malformed, or a value is not accepted (400, 415)."""

    kind: ClassVar[Kind | None] = Kind.BAD_DATA


class AmbiguousAddressError(BadDataError):
    """The digits could be two phone numbers; `readings` has both."""

    def __init__(
        self, status: int, body: AmbiguousAddress, retry_after: float | None = None
    ) -> None:
        super().__init__(status, body, retry_after)
        self.readings: list[str] = body.readings


class UnauthorizedError(ReachbookError):
    """The credential is missing, unknown, revoked or expired (401)."""

    kind: ClassVar[Kind | None] = Kind.UNAUTHORIZED


class DeniedError(ReachbookError):
    """The credential may not do this, because it is read-only for example (403)."""

    kind: ClassVar[Kind | None] = Kind.DENIED


class NotFoundError(ReachbookError):
    """There is no such route, contact or channel (404)."""

    kind: ClassVar[Kind | None] = Kind.NOT_FOUND


class NoContactError(NotFoundError):
    """The team has no such contact."""


class NoChannelError(NotFoundError):
    """The contact has no such channel."""


class MethodNotAllowedError(ReachbookError):
    """The path has other methods (405)."""

    kind: ClassVar[Kind | None] = Kind.METHOD_NOT_ALLOWED


class ConflictError(ReachbookError):
    """The request conflicts with the state of the server (409)."""

    kind: ClassVar[Kind | None] = Kind.CONFLICT


class OwnershipConflictError(ConflictError):
    """Another contact has the value; `conflicting_contact_id` is its UUID."""

    def __init__(
        self, status: int, body: OwnershipConflict, retry_after: float | None = None
    ) -> None:
        super().__init__(status, body, retry_after)
        self.conflicting_contact_id: str = body.conflicting_contact_id


class AddressTakenError(OwnershipConflictError):
    """Another channel has the address.

    `conflicting_channel_id` is the id of that channel, and `channel_id` the address as it is
    stored.
    """

    def __init__(self, status: int, body: AddressTaken, retry_after: float | None = None) -> None:
        super().__init__(status, body, retry_after)
        self.conflicting_channel_id: str = str(body.conflicting_channel_id)
        self.channel_id: str = body.channel_id


class SeveralChannelsError(ConflictError):
    """The contact has several channels of the type; `channels` has them."""

    def __init__(
        self, status: int, body: SeveralStringIds, retry_after: float | None = None
    ) -> None:
        super().__init__(status, body, retry_after)
        self.channels: list[StringIdsChannel] = body.channels


class InProgressError(ConflictError):
    """A request with the same Idempotency-Key has not ended."""


class GoneError(ReachbookError):
    """What the request asks for does not exist any more (410)."""

    kind: ClassVar[Kind | None] = Kind.GONE


class ErasedError(GoneError):
    """The contact was erased, and its history with it."""


class FeedRestartedError(GoneError):
    """The store was restored: discard what was built from the feed, and begin again from 0."""


class PreconditionFailedError(ReachbookError):
    """The contact has changed since the revision that the request names (412)."""

    kind: ClassVar[Kind | None] = Kind.PRECONDITION_FAILED


class IdempotencyMismatchError(ReachbookError):
    """The Idempotency-Key was used for another request (422)."""

    kind: ClassVar[Kind | None] = Kind.IDEMPOTENCY_MISMATCH


class TooLargeError(ReachbookError):
    """The body is larger than the server reads (413)."""

    kind: ClassVar[Kind | None] = Kind.TOO_LARGE


class RateLimitedError(ReachbookError):
    """The requests that the credential may send in a minute are used up (429)."""

    kind: ClassVar[Kind | None] = Kind.RATE_LIMITED


class ServerError(ReachbookError):
    """An error in the server (500)."""

    kind: ClassVar[Kind | None] = Kind.SERVER_ERROR


class UnavailableError(ReachbookError):
    """The server cannot handle the request now (503)."""

    kind: ClassVar[Kind | None] = Kind.UNAVAILABLE


OF_KIND: dict[Kind, type[ReachbookError]] = {
    Kind.BAD_DATA: BadDataError,
    Kind.UNAUTHORIZED: UnauthorizedError,
    Kind.DENIED: DeniedError,
    Kind.NOT_FOUND: NotFoundError,
    Kind.METHOD_NOT_ALLOWED: MethodNotAllowedError,
    Kind.CONFLICT: ConflictError,
    Kind.GONE: GoneError,
    Kind.PRECONDITION_FAILED: PreconditionFailedError,
    Kind.IDEMPOTENCY_MISMATCH: IdempotencyMismatchError,
    Kind.TOO_LARGE: TooLargeError,
    Kind.RATE_LIMITED: RateLimitedError,
    Kind.SERVER_ERROR: ServerError,
    Kind.UNAVAILABLE: UnavailableError,
}
OF_REASON: dict[Reason, type[ReachbookError]] = {
    Reason.AMBIGUOUS: AmbiguousAddressError,
    Reason.NO_CONTACT: NoContactError,
    Reason.NO_CHANNEL: NoChannelError,
    Reason.ADDRESS_TAKEN: AddressTakenError,
    Reason.UUID_TAKEN: OwnershipConflictError,
    Reason.EXTERNAL_ID_TAKEN: OwnershipConflictError,
    Reason.SEVERAL: SeveralChannelsError,
    Reason.IN_PROGRESS: InProgressError,
    Reason.ERASED: ErasedError,
    Reason.FEED_RESTARTED: FeedRestartedError,
}


def error_class(reason: Reason) -> type[ReachbookError]:
    """Returns the class of the exception for a reason."""
    return OF_REASON.get(reason, OF_KIND[reason.kind])
