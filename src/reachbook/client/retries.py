"""Which failed requests are sent again, and when."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import httpx
from msgspec import Struct
from tenacity import RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

from reachbook.client.errors import (
    InProgressError,
    RateLimitedError,
    ReachbookError,
    UnavailableError,
)

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
JITTER_SECONDS = 0.5
"""Added to a Retry-After, so that clients that were refused together do not return together."""

_pause = wait_random_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS)


class Retries(Struct, frozen=True):
    """The bounds of retries: at most `attempts`, the last of which begins within `seconds`."""

    attempts: int = 5
    seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts must be at least 1; got {self.attempts}.")
        if self.seconds < 0:
            raise ValueError(f"seconds must not be negative; got {self.seconds}.")

    def options(self, *, repeatable: bool) -> dict[str, Any]:
        """Returns the arguments of `tenacity.Retrying`, for requests that are repeatable or not."""
        return {
            "retry": retry_if_exception(partial(is_retryable, repeatable=repeatable)),
            "wait": pause,
            "stop": stop_after_attempt(self.attempts) | stop_before_delay(self.seconds),
            "reraise": True,
        }


def is_retryable(error: BaseException, *, repeatable: bool) -> bool:
    """Returns whether a request that failed in this way may be sent again.

    A 429 is sent before a request is executed, so it can always be sent again. A request that
    ended in any other way may have been executed, unless it is repeatable. A timeout is not
    retried: the caller has waited as long as it wanted.
    """
    if isinstance(error, RateLimitedError):
        return True
    passing = (UnavailableError, InProgressError, httpx.NetworkError, httpx.RemoteProtocolError)
    return repeatable and isinstance(error, passing)


def pause(state: RetryCallState) -> float:
    """Returns the seconds until the next attempt: those of a Retry-After, or exponential."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ReachbookError) and error.retry_after is not None:
        return error.retry_after + random.uniform(0, JITTER_SECONDS)
    return _pause(state)


DEFAULT_RETRIES = Retries()
DEFAULT_TIMEOUT = httpx.Timeout(5.0, read=70.0)
"""In seconds. A server may take 60 for a request of many contacts."""
