"""Requests that come through a proxy: the client's address, and the address of the proxy itself."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from reachbook.http.headers import PEER


class TrustedProxies:
    """Middleware that uses `X-Forwarded-For` and `X-Forwarded-Proto` of trusted proxies.

    It keeps the address of the socket's peer in the scope, under `PEER`. `addresses` are those of
    the proxies, separated by commas, as in `REACHBOOK_TRUSTED_PROXIES`.
    """

    def __init__(self, app: ASGIApp, addresses: str) -> None:
        self._app = ProxyHeadersMiddleware(app, addresses)  # type: ignore[arg-type] # the same protocol, typed twice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        client = scope.get("client")
        scope[PEER] = client[0] if client else ""
        await self._app(scope, receive, send)  # type: ignore[arg-type]


def trusts(addresses: str) -> Callable[[str], bool]:
    """Returns a function that tells whether an address is that of a trusted proxy."""
    hosts = ProxyHeadersMiddleware(_no_app, addresses).trusted_hosts  # type: ignore[arg-type]
    return hosts.__contains__


async def _no_app(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError
