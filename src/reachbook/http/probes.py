"""Is the process alive, can it serve, and what has it counted (contract section 9)."""

from __future__ import annotations

import asyncio

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST

from reachbook.errors import Reason, Refusal
from reachbook.http.desk import Desk
from reachbook.http.message import Answer

READY_SECONDS = 1.5


async def health(_desk: Desk) -> Answer:
    """GET /healthz → 200 while the process runs."""
    return Answer(200, msgspec.json.encode({"status": "ok"}))


async def ready(desk: Desk) -> Answer:
    """GET /readyz → 200 when the store answers at our schema, else 503 with the reason."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await desk.service.ready()
    except TimeoutError:
        raise Refusal(
            Reason.STORE_UNAVAILABLE,
            f"The store did not answer within {READY_SECONDS} s.",
            retry_after=1,
        ) from None
    return Answer(200, msgspec.json.encode({"status": "ready"}))


async def metrics(desk: Desk) -> Answer:
    """GET /metrics → what all workers have counted, for Prometheus."""
    return Answer(200, desk.measures.text(), content_type=CONTENT_TYPE_LATEST.encode())
