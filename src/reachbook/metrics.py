"""The metrics of the program, for Prometheus; requests are labelled by route template, not by path.

A `Metrics` is made when a process starts and passed to the code that counts. Several workers write
their values to files in a shared directory (`PROMETHEUS_MULTIPROC_DIR`, which the parent sets
before a worker imports anything), and any worker adds them up. Counters of dead workers remain in
the totals; their gauges are dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from glob import glob
from pathlib import Path
from typing import Literal, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from reachbook import __version__

SHARED_DIR = "PROMETHEUS_MULTIPROC_DIR"

disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

# A client may send any of some forty methods; each would be a time series of its own.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "other"

BackgroundTask = Literal[
    "closing",
    "credential_use",
    "event_loop",
    "expired_responses",
    "metrics_server",
    "sqlite_scan",
    "sqlite_writer",
    "thread",
    "unraisable",
]
"""The names under which `background` counts errors of work that nobody awaits."""


def all_workers(shared_dir: str) -> CollectorRegistry:
    """Returns a registry that adds up the files of all workers in the shared directory."""
    registry = CollectorRegistry()
    registry.register(_Workers(None, shared_dir))  # type: ignore[no-untyped-call]
    return registry


class Metrics:
    """Counters, gauges and one histogram; each is documented by its help text."""

    registry: CollectorRegistry
    idle_connections_closed: Counter
    commits: Counter
    transactions: Counter
    stale: Counter
    token_known: Counter
    token_new: Counter
    writers_waiting: Gauge
    connections_waiting: Gauge
    connections_busy: Gauge
    background_errors: Counter
    log_lines_dropped: Counter

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = self._counter(
            "requests", "Requests answered, by route template.", "method", "route", "status"
        )
        self._refusals = self._counter("refusals", "Requests refused, by reason.", "error_code")
        self._seconds = Histogram(
            "reachbook_request_seconds",
            "Seconds from the end of a request's head to the end of its answer; the time its "
            "body took to arrive is in it.",
            ["method", "route"],
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._bound: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.idle_connections_closed = self._counter(
            "idle_connections_closed", "Idle connections closed to make room for new ones."
        )
        self.commits = self._counter("commits", "Changes of contacts written.")
        self.transactions = self._counter(
            "transactions", "Database transactions that carried commits; an fsync each."
        )
        self.stale = self._counter("stale_retries", "Commits redone because a contact had moved.")
        tokens = self._counter(
            "tokens", "JWTs seen, by whether they were verified before.", "known"
        )
        self.token_known, self.token_new = tokens.labels("yes"), tokens.labels("no")
        self.writers_waiting = self._gauge("writers_waiting", "Writes waiting for the store.")
        self.connections_waiting = self._gauge(
            "connections_waiting", "Requests waiting for a database connection."
        )
        self.connections_busy = self._gauge("connections_busy", "Database connections in use.")
        self._count_faults()
        self._gauge("workers", "Processes that serve, by release.", "version").labels(
            __version__
        ).set(1)

    def _count_faults(self) -> None:
        self.background_errors = self._counter(
            "background_errors",
            "Unexpected exceptions of work that no request waits for; the log has each of them.",
            "task",
        )
        # Exported as 0 from the start, so that a rate sees the first error.
        for task in get_args(BackgroundTask):
            self.background_errors.labels(task)
        self.log_lines_dropped = self._counter(
            "log_lines_dropped",
            "Log lines that were not written, because standard error did not take them in time.",
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        # The child of a set of labels is looked up once, and not for each request.
        bound = self._bound.get((method, route, status)) or self._bind(method, route, status)
        bound[0].inc()
        bound[1].observe(seconds)

    def refusal(self, error_code: str) -> None:
        """Count a request that has been refused."""
        self._refusals.labels(error_code).inc()

    def text(self) -> bytes:
        """Returns the metrics of all workers in the exposition format."""
        if SHARED_DIR not in os.environ:
            return generate_latest(self.registry)
        return generate_latest(all_workers(os.environ[SHARED_DIR]))

    def _bind(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        named = method if method in _METHODS else OTHER_METHOD
        bound = (
            self._requests.labels(named, route, status),
            self._seconds.labels(named, route),
        )
        self._bound[method, route, status] = bound
        return bound

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"reachbook_{name}", help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return Gauge(
            f"reachbook_{name}",
            help_text,
            labels,
            registry=self.registry,
            multiprocess_mode="livesum",
        )


class _Workers(MultiProcessCollector):
    """Adds up the files of all workers, without the gauges of workers that have ended.

    The parent removes the gauges of a worker that died when it replaces the worker. It does not
    remove them when a signal makes it restart the workers.
    """

    def collect(self) -> Iterable[Metric]:
        """Returns the sums over the files of the shared directory."""
        files = glob(f"{self._path}/*.db")  # noqa: PTH207 - as strings, which the merge takes apart
        return self.merge([file for file in files if not _is_left_behind(file)])  # type: ignore[no-untyped-call,no-any-return]


def _is_left_behind(file: str) -> bool:
    """Returns whether a file holds the live gauges of a process that has ended."""
    path = Path(file)
    if not path.name.startswith("gauge_live"):
        return False
    try:
        os.kill(int(path.stem.rpartition("_")[2]), 0)
    except (ProcessLookupError, PermissionError):  # another user's process may have the pid by now
        return True
    return False
