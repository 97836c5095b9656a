"""What the drills share: a PostgreSQL that they may stop, and a place for their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.postgres_cluster import Cluster, running

Note = Callable[[str], None]

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as one:
        yield one


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Keeps a drill's figures for the end of the run."""
    figures = request.config.stash.setdefault(_FIGURES, [])
    return lambda said: figures.append(f"{request.node.nodeid}: {said}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if figures := terminalreporter.config.stash.get(_FIGURES, []):
        terminalreporter.section("figures of the drills")
        for line in figures:
            terminalreporter.write_line(line)
