"""How the peers are started."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec

from bench.databases import Database, copy_environment
from bench.servers import Launch

FASTAPI = "FastAPI + SQLAlchemy"
DJANGO = "Django REST framework"
THREADS = 10


def fastapi(database: Database) -> Launch:
    """FastAPI on uvicorn, one worker."""
    flags = ["--port", "PORT", "--no-access-log", "--log-level", "warning"]
    command = [sys.executable, "-m", "uvicorn", "bench.peers.fastapi_app:app", *flags]
    return Launch(command, copy_environment(database))


def django(database: Database) -> Launch:
    """Django on gunicorn, one worker with threads that keep connections alive."""
    flags = ["--bind", "127.0.0.1:PORT", "--worker-class", "gthread", "--workers", "1"]
    flags += ["--threads", str(THREADS), "--log-level", "warning"]
    command = [sys.executable, "-m", "gunicorn", *flags, "bench.peers.django_app:application"]
    return Launch(command, copy_environment(database))


PEERS: dict[str, tuple[Callable[[Database], Launch], tuple[str, ...]]] = {
    FASTAPI: (fastapi, ("fastapi", "sqlalchemy", "greenlet", "jwt")),
    DJANGO: (django, ("django", "rest_framework", "gunicorn", "psycopg", "jwt")),
}
"""The peers on PostgreSQL by name: how each is started, and the modules that it needs."""


def missing(modules: tuple[str, ...]) -> list[str]:
    """Returns those of the modules that are not installed."""
    return [each for each in modules if find_spec(each) is None]
