"""Fixtures for tests of an integration: a sandbox that is reset for each test, and a client."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from reachbook.client import Client
from reachbook.testing import Faults, Sandbox, run_sandbox


@pytest.fixture(scope="session")
def reachbook_sandbox_process() -> Iterator[Sandbox]:
    """A sandbox for the session; with pytest-xdist each worker has its own."""
    with run_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def reachbook_sandbox(reachbook_sandbox_process: Sandbox) -> Sandbox:
    """The sandbox, as it was at its start."""
    reachbook_sandbox_process.reset()
    return reachbook_sandbox_process


@pytest.fixture
def reachbook_client(reachbook_sandbox: Sandbox) -> Iterator[Client]:
    """A client of the sandbox, with its API key."""
    # With a transport, httpx does not use a proxy of the environment: it is not for loopback.
    transport = httpx.HTTPTransport()
    credential = reachbook_sandbox.credential
    with Client(reachbook_sandbox.url, credential, transport=transport) as client:
        yield client


@pytest.fixture
def reachbook_faults(reachbook_sandbox: Sandbox) -> Faults:
    """The faults of the sandbox; none is queued at the start of a test."""
    return reachbook_sandbox.faults
