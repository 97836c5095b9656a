"""Which engine a database URL means."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from reachbook.metrics import Metrics
from reachbook.storage.engine import Engine, unfit
from reachbook.storage.store import Store


async def open_store(url: str, metrics: Metrics | None = None, *, migrating: bool = False) -> Store:
    """The store at `postgresql://...` or `sqlite:///PATH`, or a refusal with a sentence.

    SQLite files are made and migrated on the way; a PostgreSQL schema is left as it is found.
    If `migrating`, a session of PostgreSQL does not prevent a migration from starting.
    The drivers are imported only when they are needed: a command line should start at once.
    """
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
    """Whether a URL means the embedded store."""
    return _scheme(url) == "sqlite"


def sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///PATH` URL; four slashes begin an absolute path."""
    split = urlsplit(url)
    path = unquote(split.path.removeprefix("/"))
    if split.netloc or not path or "\0" in path:
        raise unfit("A SQLite URL names a file: sqlite:///relative.db or sqlite:////absolute.db.")
    return Path(path)


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        raise unfit("The database URL cannot be read; is its host written rightly?") from None
