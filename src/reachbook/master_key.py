"""The key that API secrets are sealed under: from the environment, or a file that we make once."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from reachbook.credential import MASTER_KEY_BYTES, unseal
from reachbook.settings import BadSettingError, Settings, decode_master_key
from reachbook.storage import Store

FILE_NAME = "master.key"
OWNER_ONLY = 0o600
_OTHERS = 0o077


async def open_master_key(settings: Settings, store: Store) -> bytes:
    """The master key, tried on a secret of the store; a wrong one is refused before it is used."""
    sealed = await store.any_sealed()
    path = settings.directory / FILE_NAME
    if settings.master_key:
        key, where = decode_master_key(settings.master_key), "REACHBOOK_MASTER_KEY"
    elif path.exists() or sealed is None:
        key, where = _read_or_make(path), str(path)
    else:
        raise BadSettingError(
            f"The store holds sealed API secrets, and there is no key: neither "
            f"REACHBOOK_MASTER_KEY nor {path}. Bring the key that sealed them."
        )
    if sealed and unseal(key, *sealed) is None:
        raise BadSettingError(
            f"{where} is not the master key that sealed this store's API secrets; "
            "bring the one that did."
        )
    return key


def _read_or_make(path: Path) -> bytes:
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & _OTHERS:
            raise BadSettingError(
                f"{path} can be read by others than its owner; run: chmod 600 {path}"
            )
        return decode_master_key(path.read_text("ascii", "replace"), str(path))
    except OSError as error:
        raise BadSettingError(f"The key file {path}: {error.strerror}.") from None


def _make(path: Path) -> None:
    """Write a whole file beside it and link it into place: of two first starts, one wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{FILE_NAME}.{secrets.token_hex(8)}")
    key = base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES))
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        file.write(key + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
