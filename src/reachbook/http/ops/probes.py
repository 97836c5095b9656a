"""Is the process alive, can it serve, and what has it counted (contract section 9)."""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST

from reachbook.domain.errors import Reason, Refusal
from reachbook.http.operation import Gives, Header, Visit, opens
from reachbook.http.request import Answer

READY_SECONDS = 1.5
RETRY_AFTER = 1

NEVER_CACHED = Header(
    "Cache-Control",
    Literal["no-store"],
    "What a probe is told is never cached.",
    always=True,
    refusals=True,
)


class Alive(Struct):
    """The process runs."""

    status: Literal["ok"] = "ok"


class Ready(Struct):
    """It can serve."""

    status: Literal["ready"] = "ready"


@opens(gives=Gives("It does.", (Alive,), {"alive": Alive()}), headers=(NEVER_CACHED,))
async def health(_visit: Visit) -> Answer:
    """Ask whether the process runs."""
    return Answer(200, msgspec.json.encode(Alive()))


@opens(
    gives=Gives("It can.", (Ready,), {"ready": Ready()}),
    refuses=(Reason.STORE_UNAVAILABLE, Reason.STORE_UNFIT),
    headers=(NEVER_CACHED,),
)
async def ready(visit: Visit) -> Answer:
    """Ask whether requests can be served.

    They can when the store answers, and has the schema that this program knows.
    """
    try:
        async with asyncio.timeout(READY_SECONDS):
            await visit.desk.service.ready()
    except TimeoutError:
        raise Refusal(
            Reason.STORE_UNAVAILABLE,
            f"The store did not answer within {READY_SECONDS} s.",
            retry_after=RETRY_AFTER,
        ) from None
    except Refusal as no:
        # At the terminal an unfit store is final; here it may be migrated at any moment.
        no.retry_after = no.retry_after or RETRY_AFTER
        raise
    return Answer(200, msgspec.json.encode(Ready()))


@opens(
    gives=Gives("The measures.", (str,), content_types=("text/plain",)),
    headers=(NEVER_CACHED,),
)
async def metrics(visit: Visit) -> Answer:
    """Read what all workers have counted, for Prometheus."""
    # In another thread: with many workers there are many files to read.
    text = await asyncio.to_thread(visit.desk.measures.text)
    return Answer(200, text, content_type=CONTENT_TYPE_LATEST.encode())
