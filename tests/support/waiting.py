"""Waits until a condition is true, for a bounded time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

POLL_SECONDS = 0.02

Found = TypeVar("Found")


def wait_until(
    condition: Callable[[], Found], seconds: float = 10, description: str = "it"
) -> Found:
    """Call a condition until it returns a true value, and return that value.

    Raises AssertionError, which names `description`, if that takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {description}"
        time.sleep(POLL_SECONDS)
    return found


async def wait_until_async(
    condition: Callable[[], Found], seconds: float = 10, description: str = "it"
) -> Found:
    """Do the same as `wait_until`, and let other tasks run meanwhile."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {description}"
        await asyncio.sleep(POLL_SECONDS)
    return found
