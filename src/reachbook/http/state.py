"""The state of the application, made once when a process starts."""

from __future__ import annotations

from msgspec import Struct

from reachbook.domain.incarnation import Incarnation
from reachbook.http.rate_limit import RateLimiter
from reachbook.metrics import Metrics
from reachbook.service import Service
from reachbook.service.authentication import Authenticator


class AppState(Struct, frozen=True):
    """The use cases, who may use them, how often, and the incarnation of the store.

    `console` is the state of the web console, which only the console knows; None if it is off.
    """

    service: Service
    access: Authenticator
    rate_limiter: RateLimiter
    metrics: Metrics
    incarnation: Incarnation
    console: object = None
