"""The incarnation of a store: a random token that changes when the store is restored.

A store that is restored to an earlier state assigns revisions and feed numbers a second time. ETags
and the feed contain the token, which distinguishes them.
"""

from __future__ import annotations

import secrets

from msgspec import Struct

TOKEN_BYTES = 8


class Incarnation(Struct, frozen=True):
    """The current token of a store, and its first one.

    ETags that older releases sent have no token. They count as ETags of the first incarnation.
    """

    current: str
    first: str


def new_token() -> str:
    """Returns a random token of 16 hexadecimal digits."""
    return secrets.token_hex(TOKEN_BYTES)
