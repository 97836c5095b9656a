"""The probes /healthz and /readyz, and /metrics (contract section 9)."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST

from reachbook.domain.errors import Reason, Refusal
from reachbook.http.operation import Header, PublicRequest, Success, public
from reachbook.http.response import ApiResponse

READY_SECONDS = 1.5
RETRY_AFTER = 1

NEVER_CACHED = Header(
    "Cache-Control",
    Literal["no-store"],
    "Responses of probes must not be cached.",
    always=True,
    refusals=True,
)


class Health(Struct):
    """The process is running."""

    status: Literal["ok"] = "ok"


class Readiness(Struct):
    """The service can handle requests."""

    status: Literal["ready"] = "ready"


@public(
    success=Success("The process is running.", (Health,), {"alive": Health()}),
    headers=(NEVER_CACHED,),
)
async def health(_request: PublicRequest) -> ApiResponse:
    """Returns 200 while the process is running."""
    return ApiResponse(200, msgspec.json.encode(Health()))


@public(
    success=Success("The service can handle requests.", (Readiness,), {"ready": Readiness()}),
    errors=(Reason.STORE_UNAVAILABLE, Reason.STORE_UNFIT),
    headers=(NEVER_CACHED,),
)
async def ready(request: PublicRequest) -> ApiResponse:
    """Returns 200 if the service can handle requests.

    The store must respond within 1.5 s, have the schema of this release or a newer one, and
    have been migrated to the identity rules of this release.
    """
    try:
        async with asyncio.timeout(READY_SECONDS):
            await request.state.service.ready()
    except TimeoutError:
        raise Refusal(
            Reason.STORE_UNAVAILABLE,
            f"The store did not answer within {READY_SECONDS} s.",
            retry_after=RETRY_AFTER,
        ) from None
    except Refusal as refusal:
        # The store may be migrated at any time, so this refusal is a reason to try again.
        refusal.retry_after = refusal.retry_after or RETRY_AFTER
        raise
    return ApiResponse(200, msgspec.json.encode(Readiness()))


@public(
    success=Success("The metrics.", (str,), content_types=("text/plain",)),
    headers=(NEVER_CACHED,),
)
async def metrics(request: PublicRequest) -> ApiResponse:
    """Returns the metrics of all workers, for Prometheus."""
    # In another thread: with many workers there are many files to read.
    text = await asyncio.to_thread(request.state.metrics.text)
    return ApiResponse(200, text, content_type=CONTENT_TYPE_LATEST.encode())
