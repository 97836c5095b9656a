"""Use cases, called as the handlers call them, on both stores."""

from __future__ import annotations

import pytest

from reachbook.service import WriteContext
from tests.support.personas import Book


@pytest.fixture
def bob(book: Book) -> WriteContext:
    """The context of a write by Bob, without an Idempotency-Key."""
    return WriteContext(book.bob.secret.team_id, book.bob.key.id, "request-1")


@pytest.fixture
def charlie(book: Book) -> WriteContext:
    """The context of a write by Charlie, who is in another team."""
    return WriteContext(book.charlie.secret.team_id, book.charlie.key.id, "request-2")
