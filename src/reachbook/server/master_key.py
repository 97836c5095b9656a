"""The master keys, under which API secrets are sealed: the current key and the previous one.

They come from the environment, or from a file that is created at the first start. Both keys open
secrets, so the key can be rotated while servers run.
"""

from __future__ import annotations

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reachbook.domain.sealing import MASTER_KEY_BYTES, unseal_any
from reachbook.service.team_keys import unopened, unopened_teams
from reachbook.settings import BadSettingError, Settings, decode_master_key
from reachbook.storage import Store

FILE_NAME = "master.key"
PREVIOUS_NAME = "master.key.previous"
OWNER_ONLY = 0o600
_OTHERS = 0o077
MAX_TEAMS_SHOWN = 10

Keys = tuple[bytes, ...]


async def open_master_key(settings: Settings, store: Store) -> bytes:
    """Returns the current master key, which seals; raises as `open_master_keys` does."""
    return (await open_master_keys(settings, store))[0]


async def open_master_keys(settings: Settings, store: Store) -> Keys:
    """Returns the master keys, the current one first; creates a key file for a new store.

    Raises `BadSettingError` if there is no key, or if none opens a secret of the store.
    """
    sealed = await store.any_sealed()
    path = settings.directory / FILE_NAME
    holds_keys = sealed is not None or bool(await store.suppression_keys())
    if not holds_keys and not settings.master_key and not path.exists():
        _create(path)
    keys = known_keys(settings)
    if not keys:
        raise BadSettingError(
            f"The store has sealed API secrets, and there is no master key: neither "
            f"REACHBOOK_MASTER_KEY nor {path}. Set the key that sealed them."
        )
    if sealed and unseal_any(keys, *sealed) is None:
        where = "REACHBOOK_MASTER_KEY" if settings.master_key else str(path)
        raise BadSettingError(
            f"{where} is not the master key that sealed this store's API secrets; "
            "set the key that sealed them."
        )
    return keys


async def require_team_keys(store: Store, keys: Keys) -> None:
    """Raises `BadSettingError` if no master key opens the suppression key of a team."""
    teams = await unopened_teams(store, keys)
    if teams:
        raise BadSettingError(unopened([team_id for team_id, _ in teams[:MAX_TEAMS_SHOWN]]))


def known_keys(settings: Settings) -> Keys:
    """Returns the configured master keys, without a check, and without creating one."""
    path, previous = (settings.directory / name for name in (FILE_NAME, PREVIOUS_NAME))
    if settings.master_key:
        keys = [decode_master_key(settings.master_key)]
    else:
        keys = [_read(path)] if path.exists() else []
        keys += [_read(previous)] if keys and previous.exists() else []
    if keys and settings.master_key_previous:
        keys.append(decode_master_key(settings.master_key_previous))
    return tuple(dict.fromkeys(keys))


def reread(settings: Settings) -> Keys:
    """Returns the configured master keys, or an empty tuple if they cannot be read."""
    try:
        return known_keys(settings)
    except BadSettingError:
        return ()


async def reread_later(settings: Settings) -> Keys:
    """The same as `reread`, as an asynchronous function."""
    return reread(settings)


class ChangedKeys:
    """A callable that returns the master keys if their files have changed since the last call.

    It returns an empty tuple if nothing has changed, or if the files cannot be read. It only calls
    `os.stat` twice, so it can be called whenever a secret is read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._paths = [settings.directory / name for name in (FILE_NAME, PREVIOUS_NAME)]
        self._seen: list[tuple[int, ...] | None] = []

    def __call__(self) -> Keys:
        """Returns the master keys if they have changed, else an empty tuple."""
        if self._settings.master_key:  # the environment of a process does not change
            return ()
        found = [_mark(path) for path in self._paths]
        if found == self._seen:
            return ()
        # Recorded before the files are read, so that the next call sees a later change.
        self._seen = found
        return reread(self._settings)


def rotate_key_file(settings: Settings) -> Path:
    """Create a new key file, and keep the old one as the previous key; returns the old one's path.

    Raises `BadSettingError` if the key is not in a file, or if an earlier rotation is not complete.
    """
    path, previous = (settings.directory / name for name in (FILE_NAME, PREVIOUS_NAME))
    if settings.master_key:
        raise BadSettingError(
            "The master key comes from REACHBOOK_MASTER_KEY, not from a file: set a new one there "
            "and this one as REACHBOOK_MASTER_KEY_PREVIOUS, for every server, then run: "
            "reachbook rekey"
        )
    try:
        with _exclusive(path.parent):
            old = _read(path)
            # If both files have the same key, an earlier rotation was interrupted after its first
            # step.
            if previous.exists() and _read(previous) != old:
                raise BadSettingError(
                    f"{previous} is left from an earlier rotation; run reachbook rekey, and remove "
                    "the file when reachbook doctor finds no previous_key."
                )
            if not previous.exists():
                previous.hardlink_to(path)
            _write(path).replace(path)
            _sync(path.parent)
    except OSError as error:
        raise BadSettingError(f"The key file {path}: {error.strerror}.") from None
    return previous


def _mark(path: Path) -> tuple[int, ...] | None:
    """Returns a value that differs between two states of a file, or None if there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - takes half the time of Path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & _OTHERS:
            raise BadSettingError(
                f"{path} can be read by others than its owner; run: chmod 600 {path}"
            )
        return decode_master_key(path.read_text("ascii", "replace"), str(path))
    except OSError as error:
        raise BadSettingError(f"The key file {path}: {error.strerror}.") from None


def _create(path: Path) -> None:
    """Create the key file, unless another process creates it first."""
    # The key is written to another file, which is then linked: the key file is always complete.
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = _write(path)
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    except OSError as error:
        raise BadSettingError(f"The key file {path}: {error.strerror}.") from None


def _write(path: Path) -> Path:
    """Write a new key to a file with a random name beside `path`; returns that file."""
    fresh = path.with_name(f"{FILE_NAME}.{secrets.token_hex(8)}")
    key = base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES))
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "wb") as file:
        file.write(key + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return fresh


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Lock a folder, so that only one process rotates its key."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
