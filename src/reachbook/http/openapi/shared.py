"""The parameters, headers and errors of the OpenAPI document that many operations share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta
from msgspec.json import schema_components
from starlette.routing import Route

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Kind, Reason
from reachbook.http.operation import (
    Endpoint,
    Header,
    Operation,
    OperationSpec,
    Parameter,
    RequestBody,
)
from reachbook.wire.errors import STATUS
from reachbook.wire.errors import status as status_of
from reachbook.wire.models.fields import ChannelType, Uuid

PART = re.compile(r"{(\w+)")

ChannelRecord = Annotated[str, Meta(pattern="^(ch_)?[0-9]{1,18}$", examples=["ch_001"])]

OF_EVERY_PATH = (
    *(Reason.MALFORMED_REQUEST, Reason.BUG),
    *(Reason.TOO_MANY_CONNECTIONS, Reason.STOPPING),
)
OF_PATHS_WITH_PARTS = (Reason.NO_ROUTE, Reason.WRONG_METHOD)
OF_EVERY_CALLER = (
    *(reason for reason in Reason if reason.kind is Kind.UNAUTHORIZED),
    *(Reason.BAD_VALUE, Reason.MALFORMED_JSON, Reason.UNSUPPORTED_ENCODING),
    Reason.BODY_TOO_LARGE,
    *(Reason.TOO_MANY_REQUESTS, Reason.STORE_UNAVAILABLE, Reason.STORE_UNFIT),
)
OF_WRITES = (Reason.READ_ONLY, Reason.CONTENDED)
OF_IDEMPOTENCY_KEYS = (Reason.IN_PROGRESS, Reason.KEY_REUSED)
OF_EXTENSIONS = (Reason.UNKNOWN_NAME, Reason.WRONG_TYPE)
OF_BODIES = (Reason.WRONG_TYPE,)
OF_REQUIRED_KEYS = (Reason.MISSING_FIELD,)

PATH_PARTS = {
    "contactID": Parameter("contactID", Uuid, "The UUID of the contact.", "path"),
    "channelType": Parameter("channelType", ChannelType, "The type of the channel.", "path"),
    "id": Parameter("id", ChannelRecord, "The id of the channel.", "path"),
}
HeaderText = Annotated[str, Meta(pattern="^[ -~]*$")]

REQUEST_ID = Parameter(
    "X-Request-Id",
    HeaderText,
    "Your own id for the request: 1 to 128 visible ASCII characters. Without it, or if it is not "
    "accepted, the server makes an id.",
    "header",
)
REPRESENTATION = Parameter(
    "representation", Representation, "The form of ids in this response, whatever the credential."
)

IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    Annotated[str, Meta(min_length=1, max_length=255, pattern="^[!-~]+$")],
    "A key of your own for this request, visible ASCII. If the same request is sent again with the "
    "same key within 24 hours, it has no further effect, and the response is the same.",
    "header",
)
IF_MATCH = Parameter(
    "If-Match",
    HeaderText,
    "The ETag that the contact must still have: its revision is compared.",
    "header",
)
IF_NONE_MATCH = Parameter(
    "If-None-Match", HeaderText, "The ETag that you have: 304 when it is still true.", "header"
)

ETAG = Header(
    "ETag",
    str,
    "Names a revision of the contact, a representation and an incarnation of the store.",
)
CONTENT_ENCODING = Header(
    "Content-Encoding",
    Literal["gzip"],
    "Sent with a list of over 1 KiB if the request accepts gzip.",
)
REPLAYED = Header(
    "Idempotent-Replayed", Literal["true"], "Sent with a response that was stored for the key."
)
X_REQUEST_ID = Header("X-Request-Id", str, "The id of the request, yours or ours.", always=True)
X_REPRESENTATION = Header("X-Representation", Representation, "The form of ids.", always=True)
X_REPRESENTATION_IF_KNOWN = Header(
    "X-Representation", Representation, "The form of ids, if it is known."
)
RETRY_AFTER = Header(
    "Retry-After", Annotated[int, Meta(ge=1)], "Try again in so many seconds.", always=True
)
WWW_AUTHENTICATE = Header("WWW-Authenticate", str, "`Bearer`.", always=True)
ACCEPT_ENCODING = Header(
    "Accept-Encoding", Literal["identity"], "The accepted coding.", always=True
)
ALLOW = Header("Allow", str, "The methods that this path takes.", always=True)
RATE_LIMIT = (
    Header("RateLimit", str, "The requests that are left of this minute, if there is a limit."),
    Header("RateLimit-Policy", str, "The rate limit, if there is one."),
)
OF_STATUS = {
    STATUS[Kind.UNAUTHORIZED]: (WWW_AUTHENTICATE,),
    STATUS[Kind.METHOD_NOT_ALLOWED]: (ALLOW,),
    status_of(Reason.UNSUPPORTED_ENCODING): (ACCEPT_ENCODING,),
    STATUS[Kind.RATE_LIMITED]: (RETRY_AFTER,),
    STATUS[Kind.UNAVAILABLE]: (RETRY_AFTER,),
}
WITHOUT_REPRESENTATION = {STATUS[kind] for kind in (Kind.METHOD_NOT_ALLOWED, Kind.SERVER_ERROR)}
DENIED = STATUS[Kind.DENIED]
WITHOUT_RATE_LIMIT = {
    STATUS[kind]
    for kind in (Kind.UNAUTHORIZED, Kind.DENIED, Kind.METHOD_NOT_ALLOWED, Kind.SERVER_ERROR)
}


def refusals(route: Route, operation: Operation[Any]) -> dict[int, list[Reason]]:
    """Returns the errors of an operation by status: its own reasons and the shared ones."""
    spec = operation.spec
    reasons = {*spec.errors, *OF_EVERY_PATH}
    if PART.findall(route.path):
        reasons |= {*OF_PATHS_WITH_PARTS}
    if isinstance(route.endpoint, Endpoint):
        reasons |= {*OF_EVERY_CALLER}
    if spec.may_write:
        reasons |= {*OF_WRITES, *OF_IDEMPOTENCY_KEYS}
    if spec.query:
        reasons |= {*OF_EXTENSIONS}
    if spec.request_body:
        reasons |= {*OF_BODIES, *(OF_REQUIRED_KEYS if _requires_a_key(spec.request_body) else ())}
    by_status: dict[int, list[Reason]] = {}
    for reason in Reason:
        if reason in reasons:
            by_status.setdefault(status_of(reason), []).append(reason)
    return dict(sorted(by_status.items()))


def _requires_a_key(request_body: RequestBody) -> bool:
    _, named = schema_components([request_body.type])
    return any(schema.get("required") for schema in named.values())


def parameters(route: Route, operation: Operation[Any]) -> Iterable[Parameter]:
    """Yields the parameters of the path, then the others of the operation, then shared ones."""
    own = {parameter.name: parameter for parameter in operation.spec.parameters}
    yield from (own.get(name) or PATH_PARTS[name] for name in PART.findall(route.path))
    yield from (parameter for parameter in own.values() if parameter.where != "path")
    yield from _conditions(operation.spec)
    if isinstance(route.endpoint, Endpoint) and operation.spec.query is None:
        yield REPRESENTATION
    yield REQUEST_ID


def _conditions(spec: OperationSpec[Any]) -> Iterable[Parameter]:
    if spec.may_write:
        yield IDEMPOTENCY_KEY
    if Reason.STALE_REVISION in spec.errors:
        yield IF_MATCH
    if spec.etag and not spec.writes:
        yield IF_NONE_MATCH


def headers_of_success(route: Route, spec: OperationSpec[Any]) -> Iterable[Header]:
    """Yields the headers of a 200."""
    yield X_REQUEST_ID
    yield from spec.headers
    if spec.etag:
        yield ETAG
    if spec.compressible:
        yield CONTENT_ENCODING
    if spec.may_write:
        yield REPLAYED
    if isinstance(route.endpoint, Endpoint):
        yield from (X_REPRESENTATION, *RATE_LIMIT)


def headers_of_304() -> Iterable[Header]:
    """Returns the headers of a 304."""
    return (X_REQUEST_ID, ETAG, X_REPRESENTATION, *RATE_LIMIT)


def headers_of_refusal(route: Route, status: int, spec: OperationSpec[Any]) -> Iterable[Header]:
    """Yields the headers of an error with a status."""
    yield X_REQUEST_ID
    yield from OF_STATUS.get(status, ())
    yield from (header for header in spec.headers if header.refusals)
    if isinstance(route.endpoint, Endpoint):
        if status not in WITHOUT_REPRESENTATION:
            yield X_REPRESENTATION_IF_KNOWN
        if status not in WITHOUT_RATE_LIMIT or (spec.writes_if and status == DENIED):
            yield from RATE_LIMIT
