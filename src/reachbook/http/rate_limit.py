"""The limit of requests a minute of each credential (contract section 5)."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.types import Scope

from reachbook import logs
from reachbook.domain.errors import Reason, Refusal
from reachbook.settings import BadSettingError, Settings

if TYPE_CHECKING:
    from valkey.asyncio import BlockingConnectionPool

MINUTE = 60
WAIT_SECONDS = 0.1
PAUSE_SECONDS = 1.0
WARN_EVERY_SECONDS = 60
MAX_CONNECTIONS = 32
KEY_PREFIX = "reachbook"

# Redis and Valkey speak one protocol, so Valkey's client serves both.
_PLAIN, _OVER_TLS = ("redis", "valkey"), ("rediss", "valkeys")

Count = tuple[bool, float, int]

log: Final = logs.EventLogger()


class RateLimiter:
    """Counts the requests of each credential; there is no limit if `per_minute` is 0.

    Without a `url` each process counts for itself; with `redis://` or `valkey://` workers and hosts
    share a counter. If the shared counter cannot be reached, requests are accepted: the limit
    protects the service, and must not make it unavailable. No request waits longer than
    `WAIT_SECONDS` for the counter, and for `PAUSE_SECONDS` after a failure it is not used.
    """

    def __init__(self, per_minute: int, url: str = "") -> None:
        self._item = RateLimitItemPerMinute(per_minute) if per_minute else None
        self._pool = _pool(url) if url else None
        self._limiter = SlidingWindowCounterRateLimiter(
            _shared_storage(self._pool) if self._pool else MemoryStorage()
        )
        self._paused_until = self._quiet_until = -math.inf
        self._late: set[asyncio.Task[Count]] = set()

    async def check(self, credential_id: str, scope: Scope) -> None:
        """Count one request; raises if none is left. Puts the response headers into `scope`."""
        # After a failure the counter is not used for a while: if 1,000 requests each waited for a
        # counter that cannot be reached, the service would be unavailable.
        if self._item is None or time.monotonic() < self._paused_until:
            return
        counting = self._count(self._item, credential_id)
        try:
            allowed, reset, left = await (self._in_time(counting) if self._pool else counting)
        except Exception as error:  # noqa: BLE001 - each backend has errors of its own
            self._pause(error)
            return
        seconds = max(1, math.ceil(reset - time.time()))
        scope["rate_limit_headers"] = self._headers(left, seconds)
        if not allowed:
            raise Refusal(
                Reason.TOO_MANY_REQUESTS,
                f"This credential may make {self._item.amount} requests a minute; "
                f"try again in {seconds} s.",
                retry_after=seconds,
            )

    async def clear(self) -> None:
        """Forget the requests that were counted; a shared count is left as it is."""
        if self._pool is None:
            await self._limiter.storage.reset()

    async def close(self) -> None:
        """Close the connections to the shared counter."""
        if self._pool:
            await asyncio.gather(*self._late, return_exceptions=True)
            await self._pool.disconnect()

    async def _count(self, item: RateLimitItem, credential_id: str) -> Count:
        allowed = await self._limiter.hit(item, credential_id)
        reset, left = await self._limiter.get_window_stats(item, credential_id)
        return allowed, reset, left

    async def _in_time(self, counting: Coroutine[Any, Any, Count]) -> Count:
        """Returns the count; raises `TimeoutError` if the storage does not respond in time.

        The count is made in a task of its own: the client can take long to close a connection that
        hangs, and the request must not wait for that either.
        """
        task = asyncio.create_task(counting)
        self._late.add(task)
        task.add_done_callback(self._ended)
        try:
            if not (await asyncio.wait({task}, timeout=WAIT_SECONDS))[0]:
                raise TimeoutError
        finally:
            # Also when the caller is cancelled: the task must not outlive the request.
            task.cancel()
        return task.result()

    def _ended(self, task: asyncio.Task[Count]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # marked as retrieved: no request waits for it, so it is not logged

    def _pause(self, error: Exception) -> None:
        """Stop using the counter for `PAUSE_SECONDS`, and log that at most once a minute."""
        now = time.monotonic()
        self._paused_until = now + PAUSE_SECONDS
        if now >= self._quiet_until:
            self._quiet_until = now + WARN_EVERY_SECONDS
            log.warning("the shared rate limit is out of reach", **logs.where(error))

    def _headers(self, left: int, seconds: int) -> list[tuple[bytes, bytes]]:
        """Returns the fields of the IETF draft "RateLimit header fields for HTTP"."""
        amount = self._item.amount if self._item else 0
        return [
            (b"ratelimit-policy", f'"credential";q={amount};w={MINUTE}'.encode()),
            (b"ratelimit", f'"credential";r={max(0, left)};t={seconds}'.encode()),
        ]


def startup_warning(settings: Settings) -> str | None:
    """Returns a warning if each worker counts for itself; raises if the URL is wrong."""
    if settings.rate_limit_url:
        _pool(settings.rate_limit_url)
    elif settings.rate_limit and settings.workers > 1:
        most = settings.rate_limit * settings.workers
        return (
            f"The limit of {settings.rate_limit} requests a minute is counted in each of the "
            f"{settings.workers} workers, so a credential may make up to {most}; "
            "REACHBOOK_RATE_LIMIT_URL shares one count."
        )
    return None


def _shared_storage(pool: BlockingConnectionPool) -> RedisStorage:
    options: dict[str, Any] = {"connection_pool": pool}
    return RedisStorage("async+valkey://", key_prefix=KEY_PREFIX, **options)


def _pool(url: str) -> BlockingConnectionPool:
    """Returns a pool of connections to the shared counter; it connects when it is first used."""
    try:
        # Imported only here: the package is an extra, and the import takes 0.1 s.
        from valkey.asyncio import BlockingConnectionPool
    except ImportError:
        raise BadSettingError(
            "REACHBOOK_RATE_LIMIT_URL needs the client library of Redis and Valkey; "
            "install it with: pip install 'reachbook[redis]'."
        ) from None
    scheme = urlsplit(url).scheme
    if scheme not in (*_PLAIN, *_OVER_TLS):
        raise BadSettingError(
            "REACHBOOK_RATE_LIMIT_URL begins with redis://, rediss://, valkey:// or valkeys://."
        )
    options: dict[str, Any] = {
        "max_connections": MAX_CONNECTIONS,
        "socket_timeout": PAUSE_SECONDS,
        **({"ssl_check_hostname": True} if scheme in _OVER_TLS else {}),
    }
    try:
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(url, **options)
        pool.make_connection()  # type: ignore[no-untyped-call] # this reads the options of the URL; it does not connect
    except Exception:  # noqa: BLE001 - its text can quote the URL, and with it the password
        raise BadSettingError(
            "REACHBOOK_RATE_LIMIT_URL cannot be read; it is like valkey://user:password@host:6379/0."
        ) from None
    return pool
