"""How many requests a minute one credential may make (contract section 5)."""

from __future__ import annotations

import math
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from reachbook.errors import Reason, Refusal


class Allowance:
    """Counts the requests of each credential in this process; `per_minute` 0 counts nothing."""

    def __init__(self, per_minute: int) -> None:
        self._item = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def spend(self, credential_id: str) -> None:
        """Count one request, or refuse it with the seconds to wait."""
        if self._item is None or self._limiter.hit(self._item, credential_id):
            return
        reset = self._limiter.get_window_stats(self._item, credential_id).reset_time
        seconds = max(1, math.ceil(reset - time.time()))
        raise Refusal(
            Reason.TOO_MANY_REQUESTS,
            f"This credential may make {self._item.amount} requests a minute; "
            f"try again in {seconds} s.",
            retry_after=seconds,
        )
