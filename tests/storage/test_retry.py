"""The retry policy: attempts are bounded in number and in time, with a pause between them."""

from __future__ import annotations

import asyncio
import time

import pytest

from reachbook.storage import retry
from reachbook.storage.retry import Attempts

pytestmark = pytest.mark.anyio


async def test_the_number_of_attempts_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 3)

    assert [attempt async for attempt in Attempts()] == [0, 1, 2]


async def test_no_attempt_starts_after_the_time_limit() -> None:
    attempts, made = Attempts(), []
    async for attempt in attempts:
        made.append(attempt)
        if attempt == 1:
            attempts._last_begin = time.monotonic() - 1

    assert made == [0, 1]


async def test_the_first_attempt_is_made_after_the_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", -1.0)

    assert [attempt async for attempt in Attempts()] == [0]


async def test_there_is_a_pause_before_each_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def record_pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", record_pause)
    async for attempt in Attempts():
        if attempt == 4:
            break

    assert len(pauses) == 4
    assert all(0 <= pause <= retry.JITTER_SECONDS for pause in pauses)
