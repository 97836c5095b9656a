"""Measures latency in a separate process, which waits only for the server.

`python -m tests.support.latency PORT API_KEY PATH NUMBER` prints the seconds of its 99th
percentile.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from tests.support.clients import Client

PAUSE_SECONDS = 0.01
START_SECONDS = 60


async def p99(port: int, api_key: str, path: str, number: int) -> float:
    """Return the 99th percentile of a number of requests, in seconds."""
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.latency", str(port), api_key, path, str(number)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )
    async with asyncio.timeout(START_SECONDS):
        output, _ = await process.communicate()
    return float(output)


async def _measure(port: int, api_key: str, path: str, number: int) -> float:
    client = Client(port, api_key)
    durations = []
    for _ in range(number):
        start = time.perf_counter()
        response = await client.request("GET", path)
        durations.append(time.perf_counter() - start)
        assert response.status == 200, response
        await asyncio.sleep(PAUSE_SECONDS)
    client.close()
    return sorted(durations)[int(number * 0.99)]


if __name__ == "__main__":
    port, api_key, path, number = sys.argv[1:]
    print(asyncio.run(_measure(int(port), api_key, path, int(number))))  # noqa: T201 - to the other process
