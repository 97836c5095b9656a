"""Faults that a test queues: the next requests to a route fail or are slow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from starlette.types import ASGIApp, Message, Receive, Scope

from reachbook.domain.credential import Representation
from reachbook.domain.errors import Reason, Refusal
from reachbook.http.response import error_response
from reachbook.sandbox.journal import Recorder
from reachbook.wire.parse import decode

MAX_FAULTS = 100
MAX_TIMES = 1000
MAX_MILLISECONDS = 60_000
HANG_SECONDS = 60
ABORT_SECONDS = 5
ABORT = "reachbook.abort"
"""The key of the function in the scope that closes a connection without a response."""

ACCEPTED = (
    'A fault is {"fault": "401", "409", "429", "500", "503", "hang", "disconnect", '
    '"disconnect_after" or "slow"}, with optional "method" like "POST", "path" with * for any text '
    f'like "/v2/contact/*/channel", "times" from 1 to {MAX_TIMES}, and for "slow" "milliseconds" '
    f"from 1 to {MAX_MILLISECONDS}."
)

_REFUSALS = {
    "401": (Reason.EXPIRED, None),
    "409": (Reason.IN_PROGRESS, None),
    "429": (Reason.TOO_MANY_REQUESTS, 1),
    "500": (Reason.BUG, None),
    "503": (Reason.STORE_UNAVAILABLE, 1),
}


FaultKind = Literal[
    "401", "409", "429", "500", "503", "hang", "disconnect", "disconnect_after", "slow"
]


class Fault(Struct, forbid_unknown_fields=True):
    """A failure of the next `times` requests with a method and a path."""

    fault: FaultKind
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] | None = None
    path: Annotated[str, Meta(min_length=1, max_length=500)] = "*"
    times: Annotated[int, Meta(ge=1, le=MAX_TIMES)] = 1
    milliseconds: Annotated[int, Meta(ge=1, le=MAX_MILLISECONDS)] = 1000

    def matches(self, scope: Scope) -> bool:
        """Returns whether the fault is for a request."""
        return self.method in {None, scope["method"]} and has_form(scope["path"], self.path)


def has_form(text: str, pattern: str) -> bool:
    """Returns whether a text has the form of a pattern, in which `*` is any text.

    The time is in proportion to the lengths, which is not so for a regular expression.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    if not text.startswith(first):
        return False
    *middle, last = rest
    position = len(first)
    for part in middle:
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return position + len(last) <= len(text) and text.endswith(last)


class Faults(Struct):
    """The queued faults, at most `MAX_FAULTS`; the oldest that matches a request is used."""

    queued: list[Fault] = field(default_factory=list)

    def add(self, body: bytes) -> Fault:
        """Queue a fault from JSON; raises a `Refusal` that says what is accepted."""
        with _saying_what_is_accepted():
            fault = decode(body, Fault)
            _check_path(fault.path)
        if len(self.queued) >= MAX_FAULTS:
            raise Refusal(
                Reason.TOO_MANY,
                f"At most {MAX_FAULTS} faults can be queued; DELETE /sandbox/faults drops them.",
            )
        self.queued.append(fault)
        return fault

    def take(self, scope: Scope) -> Fault | None:
        """Returns the fault of a request, which is then used once."""
        for number, fault in enumerate(self.queued):
            if fault.matches(scope):
                fault.times -= 1
                if not fault.times:
                    del self.queued[number]
                return fault
        return None


def _check_path(path: str) -> None:
    """Raises a refusal of a path that no request to the API can have."""
    is_of_api = path.startswith(("/", "*")) and not path.startswith("/sandbox")
    if is_of_api and not {"{", "?", "#", "%"}.intersection(path):
        return
    raise Refusal(
        Reason.BAD_VALUE,
        "path must begin with / or *, must have * in the place of {contactID}, must have no query "
        "and no % (it is compared after decoding), and must not be under /sandbox.",
        fields={"path": "must be a path of the API"},
    )


@contextmanager
def _saying_what_is_accepted() -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        message = f"{refusal.message} {ACCEPTED}"
        raise Refusal(refusal.reason, message, fields=refusal.fields) from None


async def execute_and_disconnect(api: ASGIApp, scope: Scope, recorder: Recorder) -> None:
    """Execute a request, and close its connection in place of the response.

    The entry in the journal has the status of the response that is not sent.
    """

    async def lose(message: Message) -> None:
        if message["type"] == "http.response.start":
            recorder.entry.status = message["status"]
            scope[ABORT]()

    await api(scope, recorder.receive, lose)
    await _wait_for_disconnect(recorder.receive, ABORT_SECONDS)


async def apply(fault: Fault, scope: Scope, recorder: Recorder, aborted: asyncio.Event) -> bool:
    """Apply a fault; returns whether it was the response, and nothing more may be sent.

    `aborted` is set when the connection has been closed, and the store may be, too.
    """
    try:
        return await _apply(fault, scope, recorder, aborted)
    except asyncio.CancelledError:  # the server ends
        await _disconnect(scope, recorder)
        return True


async def _apply(fault: Fault, scope: Scope, recorder: Recorder, aborted: asyncio.Event) -> bool:
    if fault.fault == "slow":
        # A server that is slow has received the request, even if the client does not wait for it.
        await recorder.read_ahead()
        if not await _is_set_within(aborted, fault.milliseconds / 1000):
            return False
        await _wait_for_disconnect(recorder.receive, ABORT_SECONDS)
        return True
    if fault.fault in _REFUSALS:
        reason, retry_after = _REFUSALS[fault.fault]
        refusal = Refusal(
            reason, "A fault that was queued in the sandbox.", retry_after=retry_after
        )
        response = error_response(refusal, scope, Representation.STRING_IDS)
        response.headers.append((b"x-request-id", scope["request_id"].encode()))
        await response(scope, recorder.receive, recorder.send)
        return True
    await recorder.read_ahead()
    if fault.fault == "hang":
        await _wait_for_disconnect(recorder.receive, HANG_SECONDS)
    await _disconnect(scope, recorder)
    return True


async def _disconnect(scope: Scope, recorder: Recorder) -> None:
    scope[ABORT]()
    # uvicorn responds with 500 if the application returns while the connection is open.
    await _wait_for_disconnect(recorder.receive, ABORT_SECONDS)


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def _wait_for_disconnect(receive: Receive, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
