"""One table of errors: read from left to right by the server, from right to left by a client."""

from __future__ import annotations

from reachbook.contact_channel import Reach
from reachbook.credential import Representation
from reachbook.errors import Kind, Refusal
from reachbook.wire import answer

STATUS = {
    Kind.BAD_DATA: 400,
    Kind.UNAUTHORIZED: 401,
    Kind.DENIED: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD_NOT_ALLOWED: 405,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.RATE_LIMITED: 429,
    Kind.SERVER_ERROR: 500,
    Kind.UNAVAILABLE: 503,
}
KIND = {status: kind for kind, status in STATUS.items()}


def body(no: Refusal, representation: Representation, request_id: str) -> dict[str, object]:
    """The body of an answer that says no."""
    said: dict[str, object] = {
        "error": no.reason.kind,
        "error_code": no.reason.code,
        "message": no.message,
    }
    if no.fields:
        said["fields"] = no.fields
    for name, value in no.facts.items():
        said[name] = _spelled(name, value, representation)
    return {**said, "request_id": request_id}


def _spelled(name: str, value: object, representation: Representation) -> object:
    if isinstance(value, Reach):
        return answer.channels(value, representation)
    if name == "conflicting_channel_id" and isinstance(value, int):
        return answer.channel_id(value, representation)
    return value
