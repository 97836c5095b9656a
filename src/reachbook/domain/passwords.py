"""Passwords of users: their length, and their hashes under argon2id."""

from __future__ import annotations

import secrets
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from reachbook.domain.errors import Reason, Refusal

MIN_CHARACTERS = 12
MAX_CHARACTERS = 256

# RFC 9106, section 4, second recommended option, with half of its lanes: a hash takes 64 MiB and
# about 0.1 s.
_hasher = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=2)


def hashed(password: str) -> str:
    """Returns the hash of a new password; raises `bad_value` if it is too short or too long."""
    if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
        raise Refusal(
            Reason.BAD_VALUE,
            f"A password must have {MIN_CHARACTERS} to {MAX_CHARACTERS} characters.",
            fields={"password": f"not {MIN_CHARACTERS} to {MAX_CHARACTERS} characters"},
        )
    return _hasher.hash(password)


def is_correct(password: str, stored: str) -> bool:
    """Returns whether a password has a hash.

    It takes the same time if `stored` is empty: the time must not tell which accounts exist.
    """
    try:
        _hasher.verify(stored or _decoy(), password[: MAX_CHARACTERS + 1])
    except (VerificationError, InvalidHashError):
        return False
    return bool(stored)


@cache
def _decoy() -> str:
    return _hasher.hash(secrets.token_urlsafe())
