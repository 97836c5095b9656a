"""The credentials of a client, and the `Authorization` header that each of them sends."""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct

from reachbook.client import arguments
from reachbook.domain.jwt import TOKEN_LIFE, sign

REUSE_SECONDS = TOKEN_LIFE * 4 // 5
"""How long a token is reused: the rest of its life is for a slow request and for clock skew."""


class ApiSecret(Struct, frozen=True):
    """An API secret, which signs a JWT; raises `ValueError` if a part stands in another's place."""

    secret_id: str
    secret_key: str

    def __post_init__(self) -> None:
        arguments.secret_id(self.secret_id)
        arguments.secret_key(self.secret_key)

    def __repr__(self) -> str:
        return f"ApiSecret({self.secret_id!r}, ...)"


class ApiKey(Struct, frozen=True):
    """An API key, which is sent as it is; raises `ValueError` if it cannot be one."""

    api_key: str

    def __post_init__(self) -> None:
        arguments.api_key(self.api_key)

    def __repr__(self) -> str:
        return "ApiKey(...)"


Credential = ApiSecret | ApiKey


class Authorization:
    """The `Authorization` header of a credential; threads may share it.

    A JWT is signed again when it is 4 minutes old, or when the clock was set back. `clock` returns
    Unix seconds.
    """

    def __init__(self, credential: Credential, clock: Callable[[], float] = time.time) -> None:
        if not isinstance(credential, ApiSecret | ApiKey):
            raise TypeError("credential must be an ApiKey or an ApiSecret.")
        self._credential = credential
        self._clock = clock
        self._signed = (0.0, "")  # one value, so that a thread never sees half of it

    def header(self) -> str:
        """Returns the value of the header for a request that is sent now."""
        if isinstance(self._credential, ApiKey):
            return f"Bearer {self._credential.api_key}"
        now = self._clock()
        issued, header = self._signed
        if not header or not 0 <= now - issued < REUSE_SECONDS:
            token = sign(self._credential.secret_id, self._credential.secret_key, now)
            header = f"Bearer {token}"
            self._signed = (now, header)
        return header
