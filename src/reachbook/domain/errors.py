"""The errors of requests, in one list of reasons.

A `Refusal` has a reason, a sentence that a person can act on, and the facts that a program needs.
Nothing here depends on HTTP: `wire` maps a `Kind` to a status and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum


class Kind(StrEnum):
    """The class of an error: `error` in the body of a response."""

    BAD_DATA = "bad_data"
    UNAUTHORIZED = "unauthorized"
    DENIED = "denied"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    CONFLICT = "conflict"
    GONE = "gone"
    PRECONDITION_FAILED = "precondition_failed"
    IDEMPOTENCY_MISMATCH = "idempotency_mismatch"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    UNAVAILABLE = "unavailable"


class Reason(Enum):
    """The exact reason: the `error_code` of a response, its kind, and its meaning."""

    MALFORMED_JSON = "malformed_json", Kind.BAD_DATA, "the body is not UTF-8 JSON"
    UNSUPPORTED_ENCODING = (
        "unsupported_encoding",
        Kind.BAD_DATA,
        "the body has a Content-Encoding other than identity",
    )
    MALFORMED_REQUEST = "malformed_request", Kind.BAD_DATA, "the bytes are not an HTTP request"
    MISSING_FIELD = "missing_field", Kind.BAD_DATA, "a required field is missing"
    WRONG_TYPE = "wrong_type", Kind.BAD_DATA, "a field has the wrong JSON type"
    BAD_VALUE = (
        "bad_value",
        Kind.BAD_DATA,
        "a field or parameter has a value that is not accepted",
    )
    UNKNOWN_NAME = "unknown_name", Kind.BAD_DATA, "a key or parameter is unknown"
    BAD_CURSOR = "bad_cursor", Kind.BAD_DATA, "the cursor was not made by this server"
    DATE_TOO_COARSE = "date_too_coarse", Kind.BAD_DATA, "too many contacts share the date sent"
    TOO_MANY = "too_many", Kind.BAD_DATA, "the request or the contact would have too many entries"
    BAD_UUID = "bad_uuid", Kind.BAD_DATA, "the contact ID in the path is not a UUID"
    BAD_CHANNEL_TYPE = "bad_channel_type", Kind.BAD_DATA, "the channel type is not a valid name"
    BAD_PHONE = "bad_phone", Kind.BAD_DATA, "the value is not a phone number with its country code"
    BAD_EMAIL = "bad_email", Kind.BAD_DATA, "the value is not an email address"
    BAD_CHANNEL_ID = (
        "bad_channel_id",
        Kind.BAD_DATA,
        "the value is not valid as the id of an integration",
    )
    AMBIGUOUS = "ambiguous", Kind.BAD_DATA, "the digits could be two different phone numbers"
    MISSING_CREDENTIAL = "missing_credential", Kind.UNAUTHORIZED, "no bearer token was sent"
    MALFORMED_TOKEN = "malformed_token", Kind.UNAUTHORIZED, "the bearer token cannot be read"
    WRONG_ALGORITHM = "wrong_algorithm", Kind.UNAUTHORIZED, "the JWT is not signed with HS256"
    BAD_CREDENTIAL = "bad_credential", Kind.UNAUTHORIZED, "no live credential matches the token"
    EXPIRED = "expired", Kind.UNAUTHORIZED, "the JWT has expired"
    NOT_YET_VALID = "not_yet_valid", Kind.UNAUTHORIZED, "the JWT is not valid yet"
    READ_ONLY = "read_only", Kind.DENIED, "the credential is read-only"
    NOT_LOCAL = (
        "not_local",
        Kind.DENIED,
        "a route of the sandbox was called by a web page or by the name of another host",
    )
    NO_ROUTE = "no_route", Kind.NOT_FOUND, "there is no such path"
    NO_CONTACT = "no_contact", Kind.NOT_FOUND, "the team has no such contact"
    NO_CHANNEL = "no_channel", Kind.NOT_FOUND, "the contact has no such channel"
    NO_SUPPRESSION = (
        "no_suppression",
        Kind.NOT_FOUND,
        "the address has no such suppression",
    )
    NO_TEAM = "no_team", Kind.NOT_FOUND, "there is no such team"
    NO_USER = "no_user", Kind.NOT_FOUND, "there is no such user of the web console"
    NO_SNAPSHOT = "no_snapshot", Kind.NOT_FOUND, "the sandbox has no such snapshot"
    NO_CREDENTIAL = "no_credential", Kind.NOT_FOUND, "there is no such API secret or API key"
    WRONG_METHOD = "method_not_allowed", Kind.METHOD_NOT_ALLOWED, "the path has other methods"
    ADDRESS_TAKEN = "address_taken", Kind.CONFLICT, "another contact of the team owns the address"
    SEVERAL = "several", Kind.CONFLICT, "the contact has several channels of that type"
    UUID_TAKEN = "uuid_taken", Kind.CONFLICT, "the team already has a contact with that UUID"
    EXTERNAL_ID_TAKEN = "external_id_taken", Kind.CONFLICT, "another contact has that external id"
    TWO_LIVE_SECRETS = "two_live_secrets", Kind.CONFLICT, "the team has two live API secrets"
    USER_EXISTS = "user_exists", Kind.CONFLICT, "the team has a user with that email address"
    LAST_ADMIN = "last_admin", Kind.CONFLICT, "the team would have no admin"
    ALREADY_REVOKED = "already_revoked", Kind.CONFLICT, "the credential was revoked before"
    IN_PROGRESS = "in_progress", Kind.CONFLICT, "a request with the same key has not ended"
    ERASED = "erased", Kind.GONE, "the contact was erased, with its history"
    FEED_RESTARTED = (
        "feed_restarted",
        Kind.GONE,
        "the store was restored; followers must begin the feed again",
    )
    STALE_REVISION = (
        "stale_revision",
        Kind.PRECONDITION_FAILED,
        "the contact does not have the revision in If-Match",
    )
    KEY_REUSED = "key_reused", Kind.IDEMPOTENCY_MISMATCH, "the key was used for another request"
    BODY_TOO_LARGE = "body_too_large", Kind.TOO_LARGE, "the body is over 1 MiB"
    TOO_MANY_REQUESTS = (
        "too_many_requests",
        Kind.RATE_LIMITED,
        "the limit of requests a minute is reached",
    )
    BUG = "server_error", Kind.SERVER_ERROR, "an error in the server"
    STORE_UNAVAILABLE = (
        "store_unavailable",
        Kind.UNAVAILABLE,
        "the store cannot be reached, or is full",
    )
    CONTENDED = "contended", Kind.UNAVAILABLE, "too many requests change the same contact"
    TOO_MANY_CONNECTIONS = "too_many_connections", Kind.UNAVAILABLE, "no connection is free"
    STOPPING = "stopping", Kind.UNAVAILABLE, "the process ends before the request does"
    STORE_UNFIT = "store_unfit", Kind.UNAVAILABLE, "this program cannot serve the store"

    def __init__(self, code: str, kind: Kind, meaning: str) -> None:
        self.code = code
        self.kind = kind
        self.meaning = meaning


MAX_MESSAGE_CHARACTERS = 2000


def shortened(text: str, most: int = MAX_MESSAGE_CHARACTERS) -> str:
    """Returns the text, cut to `most` characters with `...` at its end if it is longer."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


class Refusal(Exception):  # noqa: N818 - the name that the contract uses
    """The error of a request: its reason, one sentence, and facts that a program can use.

    `fields` names the wrong fields of the request; `facts` are further values for the body of the
    response, as values of the domain (such as a `ContactChannel`), which `wire` renders.
    `retry_after` is in seconds. Names and sentences are shortened, because they can quote the
    request.
    """

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        fields: Mapping[str, str] | None = None,
        facts: Mapping[str, object] | None = None,
        retry_after: int | None = None,
    ) -> None:
        message = shortened(message)
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.fields: dict[str, str] = {
            shortened(name): shortened(why) for name, why in (fields or {}).items()
        }
        self.facts: dict[str, object] = dict(facts or {})
        self.retry_after = retry_after
