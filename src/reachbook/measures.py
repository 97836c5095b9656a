"""What the program counts about itself, for Prometheus: by route template, never by path.

One `Measures` is made when a process starts and handed to the rooms that count. With several
workers the numbers live in files that all share (`PROMETHEUS_MULTIPROC_DIR`, set by the parent
before a worker imports anything), and whichever worker is asked adds them up.
"""

from __future__ import annotations

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

SHARED_DIR = "PROMETHEUS_MULTIPROC_DIR"

disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def all_workers(shared_dir: str) -> CollectorRegistry:
    """A registry that adds up what every worker keeps in the shared folder."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, shared_dir)  # type: ignore[no-untyped-call]
    return registry


class Measures:
    """Counters, gauges and one histogram; each is documented by its help text."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests answered.", "method", "route", "status")
        self.refusals = self._counter("refusals", "Requests refused, by error_code.", "error_code")
        self.seconds = Histogram(
            "reachbook_request_seconds",
            "Seconds from the first byte of a request's head to the end of its answer.",
            ["route"],
            registry=self.registry,
            buckets=_SECONDS,
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
        self.connections_busy = self._gauge("connections_busy", "Database connections in use.")

    def text(self) -> bytes:
        """The exposition format, for all workers."""
        if SHARED_DIR not in os.environ:
            return generate_latest(self.registry)
        return generate_latest(all_workers(os.environ[SHARED_DIR]))

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"reachbook_{name}", help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(
            f"reachbook_{name}", help_text, registry=self.registry, multiprocess_mode="livesum"
        )
