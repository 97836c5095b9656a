"""The state of the application, made once when a process starts."""

from __future__ import annotations

from msgspec import Struct

from reachbook.domain.incarnation import Incarnation
from reachbook.http.rate_limit import RateLimiter
from reachbook.metrics import Metrics
from reachbook.service import Service
from reachbook.service.authentication import Authenticator


class AppState(Struct, frozen=True):
    """The use cases, and the objects that check and count requests.

    `incarnation` is that of the store. `console` is the state of the web console, whose type only
    the console knows; None if the console is off.
    """

    service: Service
    authenticator: Authenticator
    rate_limiter: RateLimiter
    metrics: Metrics
    incarnation: Incarnation
    console: object = None
