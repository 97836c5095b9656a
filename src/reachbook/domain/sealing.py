"""Secrets sealed under a master key: the secret keys of API secrets, and the teams' keys."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from reachbook.domain.credential import new_secret_id, new_secret_key

_NONCE_BYTES = 12
MASTER_KEY_BYTES = 32


def seal(master_key: bytes, secret_id: str, secret_key: str) -> bytes:
    """Returns a secret key encrypted with AES-256-GCM; its id is authenticated with it.

    It is encrypted and not hashed, because HMAC needs the plain key.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(master_key).encrypt(nonce, secret_key.encode(), secret_id.encode())


def unseal(master_key: bytes, secret_id: str, sealed: bytes) -> str | None:
    """Returns the plain secret key, or None if this master key did not seal it."""
    nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return AESGCM(master_key).decrypt(nonce, text, secret_id.encode()).decode()
    except (InvalidTag, ValueError):
        return None


def unseal_any(keys: tuple[bytes, ...], secret_id: str, sealed: bytes) -> str | None:
    """Returns the plain secret key, or None if no master key opens it.

    Every master key is tried, so that the time does not reveal which of them sealed it.
    """
    opened = [unseal(key, secret_id, sealed) for key in keys]
    return next((plain for plain in opened if plain is not None), None)


def seal_team_key(master_key: bytes, team_id: int, team_key: str | None = None) -> bytes:
    """Returns a team's suppression key, sealed. Makes a new key if `team_key` is None."""
    return seal(master_key, f"suppression_key_{team_id}", team_key or new_secret_key())


def unseal_team_key(keys: tuple[bytes, ...], team_id: int, sealed: bytes) -> bytes | None:
    """Returns a team's suppression key, or None if no master key opens it."""
    opened = unseal_any(keys, f"suppression_key_{team_id}", sealed)
    return None if opened is None else opened.encode()


def new_decoy(master_key: bytes) -> tuple[str, bytes]:
    """Returns an id and a sealed key of no team, to unseal in place of an unknown secret."""
    secret_id = new_secret_id(0)
    return secret_id, seal(master_key, secret_id, new_secret_key())
