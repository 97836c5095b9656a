"""Tests of other packages on PostgreSQL, with commits that are written as for Citus.

PostgreSQL without Citus runs the same steps, so this tests their outcomes, not their plans.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reachbook.storage.postgres.engine import Postgres


@pytest.fixture(autouse=True)
def has_citus() -> Iterator[None]:
    """Make every store of the test write its commits as steps."""
    always = property(lambda _engine: True, lambda _engine, _found: None)
    # The fixture `monkeypatch` is not used, because some tests undo it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Postgres, "has_citus", always, raising=False)
        yield


@pytest.fixture
def database(copied_postgres: str) -> str:
    """Only PostgreSQL: the steps are not those of SQLite."""
    return copied_postgres


@pytest.fixture
def api_database(request: pytest.FixtureRequest, shared_postgres: str) -> str:
    if getattr(request, "param", "postgres") == "sqlite":
        pytest.skip("a test of SQLite")
    return shared_postgres
