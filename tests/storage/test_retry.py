"""The retry policy: attempts are bounded in number and in time, with a pause between two."""

from __future__ import annotations

import asyncio
import time

import pytest

from reachbook.storage import retry
from reachbook.storage.retry import Attempts

pytestmark = pytest.mark.anyio


async def test_the_number_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "MAX_ATTEMPTS", 3)

    assert [attempt async for attempt in Attempts()] == [0, 1, 2]


async def test_no_attempt_begins_late() -> None:
    attempts, made = Attempts(), []
    async for attempt in attempts:
        made.append(attempt)
        if attempt == 1:
            attempts._last_begin = time.monotonic() - 1

    assert made == [0, 1]


async def test_the_first_attempt_is_made_even_if_time_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retry, "RETRY_SECONDS", -1.0)

    assert [attempt async for attempt in Attempts()] == [0]


async def test_there_is_a_pause_before_each_further_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", note)
    async for attempt in Attempts():
        if attempt == 4:
            break

    assert len(pauses) == 4
    assert all(0 <= pause <= retry.JITTER_SECONDS for pause in pauses)
