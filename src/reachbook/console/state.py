"""The state of the console, made once when a process starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from msgspec import Struct
from starlette.types import Scope

from reachbook.console.attempts import SignInAttempts
from reachbook.domain import timestamps
from reachbook.http.state import AppState
from reachbook.service import Service
from reachbook.service.administration import Administration


class ConsoleState(Struct, frozen=True):
    """The use cases of the console, and the settings that concern it.

    `master_key` returns the key that seals new API secrets. `clock` returns microseconds since the
    epoch. `base_path` is the path under which a
    proxy serves Reachbook. `user_header` is the name of the header in which a proxy names its user,
    in lower case (empty: none), and `is_trusted` says whether an address is that of such a proxy.
    """

    service: Service
    administration: Administration
    master_key: Callable[[], Awaitable[bytes]]
    attempts: SignInAttempts
    clock: Callable[[], int] = timestamps.now
    base_path: str = ""
    user_header: str = ""
    is_trusted: Callable[[str], bool] = lambda _address: False


def state_of(scope: Scope) -> ConsoleState:
    """Returns the state of the console that serves a request."""
    state: AppState = scope["app"].state.state
    return cast("ConsoleState", state.console)
