"""What every handler works with, made once when a process starts."""

from __future__ import annotations

from msgspec import Struct

from reachbook.access import Access
from reachbook.http.allowance import Allowance
from reachbook.incarnation import Incarnation
from reachbook.measures import Measures
from reachbook.service import Service


class Desk(Struct, frozen=True):
    """The use cases, who may use them, how often, and the incarnation of the store."""

    service: Service
    access: Access
    allowance: Allowance
    measures: Measures
    incarnation: Incarnation
