"""What every handler works with, made once when a process starts."""

from __future__ import annotations

from msgspec import Struct

from reachbook.domain.incarnation import Incarnation
from reachbook.http.rate_limit import Allowance
from reachbook.metrics import Measures
from reachbook.service import Service
from reachbook.service.authentication import Access


class Desk(Struct, frozen=True):
    """The use cases, who may use them, how often, and the incarnation of the store."""

    service: Service
    access: Access
    allowance: Allowance
    measures: Measures
    incarnation: Incarnation
