"""What a connection needs beside its requests: flow control, and refusals as bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from uvicorn.protocols.http import flow_control
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from reachbook.credential import Representation
from reachbook.errors import Refusal
from reachbook.wire import refusal


class FlowControl(flow_control.FlowControl):
    """Uvicorn's flow control, which does not resume reading while it is held."""

    is_held = False

    def hold_reading(self) -> None:
        """Stop reading until `is_held` is false and reading is resumed."""
        self.is_held = True
        self.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading, unless it is held."""
        if not self.is_held:
            super().resume_reading()


class ResponseTransport:
    """As much of a transport as a response needs; `close` is called instead of closing it."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def refusal_response(no: Refusal, request_id: str) -> bytes:
    """Return the bytes of a response that refuses a request and ends the connection."""
    body = msgspec.json.encode(refusal.body(no, Representation.STRING_IDS, request_id))
    headers: list[tuple[str, Any]] = [
        ("content-type", "application/json"),
        ("content-length", len(body)),
        ("x-request-id", request_id),
        ("connection", "close"),
    ]
    if no.retry_after is not None:
        headers.append(("retry-after", no.retry_after))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return STATUS_LINE[refusal.STATUS[no.reason.kind]] + head.encode() + b"\r\n" + body
