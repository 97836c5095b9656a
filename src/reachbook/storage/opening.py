"""Opens the store of a database URL."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from reachbook.metrics import Metrics
from reachbook.storage.engine import Engine, unfit
from reachbook.storage.store import Store


async def open_store(url: str, metrics: Metrics | None = None, *, migrating: bool = False) -> Store:
    """Returns the store at `postgresql://...` or `sqlite:///PATH`; raises a refusal if it cannot.

    A SQLite file is created and migrated if necessary; the schema of PostgreSQL is not changed. If
    `migrating`, the sessions of this store do not prevent a migration from starting.
    """
    # Drivers are imported only when they are needed, so that a command starts fast.
    metrics = metrics or Metrics()
    scheme = _scheme(url)
    engine: Engine
    if scheme in ("postgresql", "postgres"):
        from reachbook.storage.postgres.engine import Postgres
        from reachbook.storage.postgres.pool import APPLICATION, MIGRATING_APPLICATION

        application = MIGRATING_APPLICATION if migrating else APPLICATION
        engine = await Postgres.open(url, metrics, application)
    elif scheme == "sqlite":
        from reachbook.storage.sqlite.engine import Sqlite

        engine = await Sqlite.open(sqlite_path(url), metrics)
    else:
        raise unfit(
            "A database URL begins with postgresql:// or sqlite:///, "
            "for example sqlite:////var/lib/reachbook/reachbook.db."
        )
    return Store(engine, metrics)


def is_behind(url: str) -> bool:
    """Returns whether there is a SQLite store of an older release. The file is not changed."""
    from reachbook.storage.sqlite.engine import is_behind as is_file_behind

    return is_file_behind(sqlite_path(url))


def is_sqlite(url: str) -> bool:
    """Returns whether a URL is that of a SQLite store."""
    return _scheme(url) == "sqlite"


def sqlite_path(url: str) -> Path:
    """Returns the file of a `sqlite:///PATH` URL; four slashes begin an absolute path."""
    split = urlsplit(url)
    path = unquote(split.path.removeprefix("/"))
    if split.netloc or not path or "\0" in path:
        raise unfit("A SQLite URL names a file: sqlite:///relative.db or sqlite:////absolute.db.")
    return Path(path)


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        raise unfit("The database URL cannot be read; check its host.") from None
