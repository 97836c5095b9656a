"""The settings: from flags, `REACHBOOK_*` variables and defaults, in this order.

The environment is not read on import, and there are no global settings.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct
from platformdirs import user_data_path

from reachbook.domain.sealing import MASTER_KEY_BYTES

Source = Literal["flag", "environment", "default"]

PREFIX = "REACHBOOK_"
HIDDEN = "********"
SQLITE_FILE = "reachbook.db"
MAX_PORT = 65535
LIMITS = {"port": (0, MAX_PORT), "workers": (1, 64), "rate_limit": (0, 10_000_000)}


_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_PASSWORD_PARAMETER = re.compile(r"([?&](?:password|passfile|sslpassword)=)[^&]*", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_HOST_AND_PORT = re.compile(r"[^\s/]+:[0-9]{1,5}")


class BadSettingError(Exception):
    """A flag or variable has a bad value; the message is one sentence for a person."""


class Settings(Struct, frozen=True):
    """The settings of the program.

    `database` is a URL (empty: SQLite in `data_dir`). `master_key` is base64 of 32 bytes (empty:
    the key file in `data_dir`); `master_key_previous` is the previous master key, which only opens
    secrets. `rate_limit` is the number of requests a minute of each credential (0: no limit), which
    is counted in each process unless `rate_limit_url` names a Redis or Valkey server. `metrics` is
    HOST:PORT of a separate address for /metrics (empty: it is served with the API). `base_path` is
    the path under which a proxy serves the program, and `trusted_proxies` are the addresses whose
    X-Forwarded-For is used. `console` is whether the web console is served, and
    `trusted_user_header` is the header in which a trusted proxy names its user (empty: none).
    """

    database: str = ""
    data_dir: str = ""
    master_key: str = ""
    master_key_previous: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    rate_limit: int = 0
    rate_limit_url: str = ""
    metrics: str = ""
    base_path: str = ""
    trusted_proxies: str = ""
    console: bool = True
    trusted_user_header: str = ""

    @property
    def directory(self) -> Path:
        """The data directory, of the SQLite store and the key file."""
        return Path(self.data_dir) if self.data_dir else user_data_path("reachbook")

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """The separate address on which /metrics is served, or None."""
        if not self.metrics:
            return None
        host, _, port = self.metrics.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def database_url(self) -> str:
        """The URL of the database; by default that of a SQLite file in the data directory."""
        if self.database:
            return self.database
        return "sqlite:///" + quote(str(self.directory.absolute() / SQLITE_FILE))


def read(
    flags: Mapping[str, object], environment: Mapping[str, str]
) -> tuple[Settings, dict[str, Source]]:
    """Returns the settings, and the source of each. A flag that is None was not given."""
    values: dict[str, object] = {}
    sources: dict[str, Source] = {}
    for name in Settings.__struct_fields__:
        variable = PREFIX + name.upper()
        if flags.get(name) is not None:
            values[name], sources[name] = flags[name], "flag"
        # An empty variable counts as unset, because Compose and systemd files often set it so.
        elif environment.get(variable):
            values[name], sources[name] = environment[variable], "environment"
        else:
            sources[name] = "default"
    try:
        # Not strict, because every value of the environment is text.
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise BadSettingError(_sentence(str(error))) from None
    _check(settings)
    return settings, sources


def shown(settings: Settings, sources: Mapping[str, Source]) -> dict[str, dict[str, object]]:
    """Returns each setting as `{value, source}`, with defaults filled in and secrets masked."""
    values = {
        **msgspec.structs.asdict(settings),
        "database": _without_password(settings.database_url),
        "data_dir": str(settings.directory),
        "master_key": HIDDEN if settings.master_key else "",
        "master_key_previous": HIDDEN if settings.master_key_previous else "",
        "rate_limit_url": _without_password(settings.rate_limit_url),
    }
    return {name: {"value": values[name], "source": sources[name]} for name in values}


def decode_master_key(text: str, where: str = "REACHBOOK_MASTER_KEY") -> bytes:
    """Returns the 32 bytes of a master key in base64; an error names `where` the key was read."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise BadSettingError(
            f"{where} must hold {MASTER_KEY_BYTES} random bytes in base64; "
            "one is made with: openssl rand -base64 32"
        )
    return key


def _check(settings: Settings) -> None:
    if settings.base_path and not _BASE_PATH.fullmatch(settings.base_path):
        raise BadSettingError("REACHBOOK_BASE_PATH begins with a / and does not end with one.")
    if settings.metrics and not _is_address(settings.metrics):
        raise BadSettingError("REACHBOOK_METRICS is HOST:PORT, like 127.0.0.1:9100.")
    if settings.trusted_user_header:
        _check_trusted_user_header(settings)
    # Decoded here only for the error, so that a wrong key is reported before a database is opened.
    if settings.master_key:
        decode_master_key(settings.master_key)
    if settings.master_key_previous:
        decode_master_key(settings.master_key_previous, "REACHBOOK_MASTER_KEY_PREVIOUS")
    if not settings.host.strip():
        raise BadSettingError("REACHBOOK_HOST names an address to listen on, like 127.0.0.1.")
    for name, (least, most) in LIMITS.items():
        if not least <= getattr(settings, name) <= most:
            raise BadSettingError(f"{PREFIX}{name.upper()} must be between {least} and {most}.")


def _check_trusted_user_header(settings: Settings) -> None:
    if not _HEADER_NAME.fullmatch(settings.trusted_user_header):
        raise BadSettingError(
            "REACHBOOK_TRUSTED_USER_HEADER must be the name of a header, like X-Forwarded-User; "
            f"got {settings.trusted_user_header!r}."
        )
    if settings.trusted_proxies.strip() in ("", "*"):
        raise BadSettingError(
            "REACHBOOK_TRUSTED_USER_HEADER needs the addresses of the proxies in "
            "REACHBOOK_TRUSTED_PROXIES: any other client could send the header, too."
        )


def _is_address(text: str) -> bool:
    return bool(_HOST_AND_PORT.fullmatch(text)) and int(text.rpartition(":")[2]) <= MAX_PORT


def _without_password(url: str) -> str:
    """Returns a URL without its password; hides more of a URL that cannot be parsed safely."""
    # The last @ ends the password, because a password that is not percent-encoded may contain one.
    user, at, host = url.rpartition("@")
    if at:
        scheme, slashes, user = user.partition("://")
        name, colon, _ = user.partition(":")
        url = f"{scheme}{slashes}{name}{colon and ':' + HIDDEN}@{host}"
    return _PASSWORD_PARAMETER.sub(rf"\1{HIDDEN}", url)


def _sentence(complaint: str) -> str:
    problem, _, where = complaint.partition(" - at `$.")
    return f"{PREFIX}{where.rstrip('`').upper()}: {problem[:1].lower()}{problem[1:]}.".replace(
        "`", ""
    )
