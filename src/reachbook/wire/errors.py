"""The bodies of errors, and the table of their statuses, as the server uses them."""

from __future__ import annotations

from reachbook.domain.channel import ChannelList
from reachbook.domain.credential import Representation
from reachbook.domain.errors import Refusal
from reachbook.wire import render
from reachbook.wire.models.error_table import KIND, SHAPES, STATUS, status

__all__ = ["KIND", "SHAPES", "STATUS", "body", "facts", "status"]


def body(refusal: Refusal, representation: Representation, request_id: str) -> dict[str, object]:
    """Returns the body of the response for a refusal."""
    common: dict[str, object] = {
        "error": refusal.reason.kind,
        "error_code": refusal.reason.code,
        "message": refusal.message,
    }
    if refusal.fields:
        common["fields"] = refusal.fields
    return {**common, **facts(refusal, representation), "request_id": request_id}


def facts(refusal: Refusal, representation: Representation) -> dict[str, object]:
    """Returns the facts of a refusal in the caller's representation."""
    return {
        name: _represented(name, value, representation) for name, value in refusal.facts.items()
    }


def _represented(name: str, value: object, representation: Representation) -> object:
    if isinstance(value, ChannelList):
        return render.channels(value, representation)
    if name == "conflicting_channel_id" and isinstance(value, int):
        return render.channel_id(value, representation)
    return value
