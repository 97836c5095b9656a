"""The headers of a request."""

from __future__ import annotations

import random
import re

from starlette.types import Scope

HEADERS = "reachbook.headers"
PEER = "reachbook.peer"
"""The key of the address of the socket's peer in a scope, before X-Forwarded-For replaces it."""

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]{1,128}")
Headers = list[tuple[bytes, bytes]]


def header(scope: Scope, name: bytes) -> str | None:
    """Returns the value of a header, or None; `name` must be in lower case.

    If the header was sent on several lines, their values are joined by commas.
    """
    # A request looks up as many as ten headers, so the list is made into a dict once.
    if HEADERS not in scope:
        scope[HEADERS] = _by_name(scope["headers"])
    # Latin-1 decodes any byte, so this cannot fail. The code that uses a header checks its value.
    value: bytes | None = scope[HEADERS].get(name)
    return None if value is None else value.decode("latin-1")


def request_id(scope: Scope) -> str:
    """Returns the X-Request-Id of a request; a new id if it has none, or one that is not valid."""
    given = header(scope, b"x-request-id")
    return given if given and _VISIBLE_ASCII.fullmatch(given) else _new_id()


def _new_id() -> str:
    """Returns a random UUID."""
    # Not uuid4: its system call and its object cost more than the rest of this function.
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _by_name(pairs: Headers) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for name, padded in pairs:
        value = padded.strip(b" \t")
        found[name] = found[name] + b", " + value if name in found else value
    return found
