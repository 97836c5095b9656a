"""A PostgreSQL server that the fault tests may stop, and a report of measured values."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.postgres_cluster import Cluster, running

Note = Callable[[str], None]

_NOTES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Return a function that prints a note at the end of the run."""
    notes = request.config.stash.setdefault(_NOTES, [])
    return lambda text: notes.append(f"{request.node.nodeid}: {text}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if notes := terminalreporter.config.stash.get(_NOTES, []):
        terminalreporter.section("measured by the fault tests")
        for line in notes:
            terminalreporter.write_line(line)
