"""A request as a value, and its result: everything of an exchange but the sending."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

import httpx
import msgspec
from msgspec import Struct

from reachbook.client import arguments, errors
from reachbook.client.credentials import Authorization
from reachbook.client.results import Parse
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Kind, Reason
from reachbook.wire.models.error_table import KIND, SHAPES
from reachbook.wire.models.errors import ErrorBody

MAX_QUOTED_CHARACTERS = 200

T = TypeVar("T")


class PreparedRequest(Struct, Generic[T], frozen=True):
    """A request to send: `parse` returns the result in a successful response.

    `body` is JSON. `is_write` is whether the request can change anything; its method does not say
    so, because some reads are a POST.
    """

    method: str
    path: str
    parse: Parse[T]
    query: Mapping[str, str] = {}
    body: bytes | None = None
    is_write: bool = False


class WriteOptions(Struct, frozen=True):
    """Headers of writes: a key instead of a random one, and the ETag that must still be true."""

    idempotency_key: str | None = None
    if_match: str | None = None


class AnyErrorBody(Struct):
    """As much of the body of an error as another server may send, too."""

    error: str = ""
    error_code: str = ""
    message: str = ""
    request_id: str = ""
    fields: dict[str, str] = {}


class Exchange:
    """The URLs and headers of requests to one server with one credential.

    `honours_keys` is whether the server is a Reachbook: the vendor is not known to honour an
    Idempotency-Key, nor to know the query parameter `representation`.
    """

    def __init__(
        self,
        authorization: Authorization,
        options: WriteOptions = WriteOptions(),  # noqa: B008 # it is immutable
        *,
        honours_keys: bool,
    ) -> None:
        self._authorization = authorization
        self._options = options
        self._honours_keys = honours_keys

    def with_options(self, idempotency_key: str | None, if_match: str | None) -> Exchange:
        """Returns an exchange with the same credential and other options for its writes."""
        if idempotency_key is not None:
            arguments.idempotency_key(idempotency_key)
        if if_match is not None:
            arguments.etag(if_match)
            if not self._honours_keys:
                raise ValueError(
                    "if_match must not be set for a server that may not know If-Match: it could "
                    "overwrite a newer revision."
                )
        options = WriteOptions(idempotency_key, if_match)
        return Exchange(self._authorization, options, honours_keys=self._honours_keys)

    def url(self, request: PreparedRequest[T]) -> str:
        """Returns the path and the query; under /v2 Reachbook is asked for string ids."""
        query = request.query
        if self._honours_keys and request.path.startswith("/v2/"):
            query = {**query, "representation": Representation.STRING_IDS}
        return f"{request.path}?{urlencode(query)}" if query else request.path

    def headers(self, request: PreparedRequest[T]) -> dict[str, str]:
        """Returns the headers that stay the same in all attempts of a request."""
        headers = {} if request.body is None else {"Content-Type": "application/json"}
        if request.is_write:
            headers["Idempotency-Key"] = self._options.idempotency_key or str(uuid4())
            if self._options.if_match is not None:
                headers["If-Match"] = self._options.if_match
        return headers

    def authorization(self) -> str:
        """Returns the `Authorization` header of an attempt; a token may expire between two."""
        return self._authorization.header()

    def is_repeatable(self, request: PreparedRequest[T]) -> bool:
        """Returns whether a request can be sent twice without a second effect."""
        return self._honours_keys or not request.is_write


def read_response(request: PreparedRequest[T], response: httpx.Response) -> T:
    """Returns the result in a response; raises a `ReachbookError` if there is none."""
    if not response.is_success:
        raise error_of(response)
    try:
        return request.parse(response)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"The body of the response cannot be read as that of {request.path}: {error}"
        raise _unexpected(response, message) from error


def error_of(response: httpx.Response) -> errors.ReachbookError:
    """Returns the exception for a response that is not a success."""
    retry_after = read_retry_after(response.headers.get("retry-after"))
    body = _any_body(response.content)
    if reason := errors.REASONS.get(body.error_code):
        return _of_reason(reason, response, body, retry_after)
    kind = _kind(response.status_code, body)
    if kind is None:
        message = (
            f"The response has the unexpected status {response.status_code}: {_text(response)}"
        )
        return _unexpected(response, message)
    return errors.OF_KIND[kind](response.status_code, _body(kind, response, body), retry_after)


def read_retry_after(value: str | None) -> float | None:
    """Returns the seconds of a Retry-After: a number of seconds, or a date (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date - datetime.now(UTC)).total_seconds()) if date.tzinfo else None


def _of_reason(
    reason: Reason, response: httpx.Response, sent: AnyErrorBody, retry_after: float | None
) -> errors.ReachbookError:
    [shape, *_] = SHAPES.get(reason, (ErrorBody,))
    try:
        body = msgspec.json.decode(response.content, type=shape)
    except msgspec.ValidationError:
        # Without the facts of its reason, it is still an error of its kind.
        body = _body(reason.kind, response, sent)
        return errors.OF_KIND[reason.kind](response.status_code, body, retry_after)
    return errors.error_class(reason)(response.status_code, body, retry_after)


def _any_body(body: bytes) -> AnyErrorBody:
    try:
        return msgspec.json.decode(body, type=AnyErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnyErrorBody()


def _kind(status: int, body: AnyErrorBody) -> Kind | None:
    # A later release may have a reason that this one does not know; its kind is known.
    if body.error_code and body.error in set(Kind):
        return Kind(body.error)
    return KIND.get(status)


def _body(kind: Kind, response: httpx.Response, body: AnyErrorBody) -> ErrorBody:
    """Returns the body of an error as Reachbook would have sent it."""
    return ErrorBody(
        error=kind,
        error_code=body.error_code,
        message=body.message or body.error or _text(response),
        fields=body.fields,
        request_id=body.request_id or response.headers.get("x-request-id", ""),
    )


def _text(response: httpx.Response) -> str:
    return response.text[:MAX_QUOTED_CHARACTERS] or response.reason_phrase


def _unexpected(response: httpx.Response, message: str) -> errors.UnexpectedResponseError:
    body = _body(Kind.SERVER_ERROR, response, AnyErrorBody(message=message))
    return errors.UnexpectedResponseError(response.status_code, body)
