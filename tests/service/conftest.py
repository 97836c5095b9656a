"""Fixtures of the tests of use cases, which run on both stores."""

from __future__ import annotations

import pytest

from reachbook.service import WriteContext
from tests.support.personas import Api


@pytest.fixture
def bob(api: Api) -> WriteContext:
    """The context of a write by Bob, without an Idempotency-Key."""
    return WriteContext(api.bob.secret.team_id, api.bob.key.id, "request-1")


@pytest.fixture
def charlie(api: Api) -> WriteContext:
    """The context of a write by Charlie, who is in another team."""
    return WriteContext(api.charlie.secret.team_id, api.charlie.key.id, "request-2")
