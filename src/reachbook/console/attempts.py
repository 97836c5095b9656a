"""Limits of the attempts to sign in with a password."""

from __future__ import annotations

import ipaddress
import time

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

WINDOW_MINUTES = 15
MAX_PER_ACCOUNT = 10
MAX_PER_ADDRESS = 50


class SignInAttempts:
    """Counts attempts by account and by the client's address, in this process.

    An account that does not exist is counted as well, so that the limit does not tell which exist.
    """

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._account = RateLimitItemPerMinute(MAX_PER_ACCOUNT, WINDOW_MINUTES)
        self._address = RateLimitItemPerMinute(MAX_PER_ADDRESS, WINDOW_MINUTES)

    async def seconds_to_wait(self, account: str, address: str) -> int:
        """Count an attempt; returns 0 if it is allowed, else the seconds until one is."""
        waits = [
            await self._count(self._account, f"account {account}"),
            await self._count(self._address, f"address {_network(address)}"),
        ]
        return max(waits)

    async def forget(self, account: str) -> None:
        """Forget the attempts for an account, after one that succeeded."""
        await self._limiter.clear(self._account, f"account {account}")

    async def _count(self, item: RateLimitItem, key: str) -> int:
        if await self._limiter.hit(item, key):
            return 0
        stats = await self._limiter.get_window_stats(item, key)
        return max(1, round(stats.reset_time - time.time()))


def _network(address: str) -> str:
    """Returns an IPv4 address, or the network of an IPv6 address: one client has all of a /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address  # not a socket of the internet
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))  # noqa: PLR2004
