"""How many requests a minute one credential may make (contract section 5)."""

from __future__ import annotations

import math
import time

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string
from starlette.types import Scope

from reachbook import logs
from reachbook.errors import Reason, Refusal
from reachbook.settings import BadSettingError

IN_THIS_PROCESS = "async+memory://"
MINUTE = 60

log = structlog.get_logger()


class Allowance:
    """Counts the requests of each credential; `per_minute` 0 counts nothing.

    Without a `url` each process counts for itself; `redis://` or `valkey://` shares the count
    between workers and hosts. When the shared counter is out of reach, requests are let through:
    an allowance protects, and must not be what takes the service down.
    """

    def __init__(self, per_minute: int, url: str = "") -> None:
        self._item = RateLimitItemPerMinute(per_minute) if per_minute else None
        try:
            storage = storage_from_string(f"async+{url}" if url else IN_THIS_PROCESS)
        except Exception as error:  # noqa: BLE001 - each backend has errors of its own
            raise BadSettingError(f"REACHBOOK_RATE_LIMIT_URL: {error}.") from None
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def spend(self, credential_id: str, scope: Scope) -> None:
        """Count one request, or refuse it with the seconds to wait; `scope` learns what is left."""
        if self._item is None:
            return
        try:
            allowed = await self._limiter.hit(self._item, credential_id)
            reset, left = await self._limiter.get_window_stats(self._item, credential_id)
        except Exception as error:  # noqa: BLE001 - each backend has errors of its own
            log.warning("the shared rate limit is out of reach", **logs.where(error))
            return
        seconds = max(1, math.ceil(reset - time.time()))
        scope["allowance"] = self._headers(left, seconds)
        if not allowed:
            raise Refusal(
                Reason.TOO_MANY_REQUESTS,
                f"This credential may make {self._item.amount} requests a minute; "
                f"try again in {seconds} s.",
                retry_after=seconds,
            )

    def _headers(self, left: int, seconds: int) -> list[tuple[bytes, bytes]]:
        """The fields of the IETF draft "RateLimit header fields for HTTP"."""
        amount = self._item.amount if self._item else 0
        return [
            (b"ratelimit-policy", f'"credential";q={amount};w={MINUTE}'.encode()),
            (b"ratelimit", f'"credential";r={max(0, left)};t={seconds}'.encode()),
        ]
