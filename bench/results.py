"""The results of one run: what was measured, and where; saved as JSON."""

from __future__ import annotations

import statistics
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent / "results"

PRODUCT = "reachbook"
QUIET = "reachbook, no log line"
CEILING = "ceiling"


class Case(msgspec.Struct, frozen=True):
    """The subject of a measurement. `channels` is the size of the database before the run.

    `state` is `analyzed` or `never analyzed` on PostgreSQL, and empty on other stores.
    """

    server: str
    store: str
    workload: str
    channels: int
    state: str = ""
    workers: int = 1


class Round(msgspec.Struct, frozen=True):
    """One run of the load generator: times in milliseconds, CPU in microseconds a request.

    `refused` counts the responses with a status of 400 or more, `failed` the socket errors.
    """

    per_second: float
    p50: float
    p99: float
    cpu: float
    refused: int
    failed: int


class Measurement(msgspec.Struct):
    """All rounds of a case, with the generator that was used and the durability of writes."""

    case: Case
    durability: str
    generator: str
    rounds: list[Round] = []

    def median(self, name: str) -> float:
        """Returns the median of a field over the rounds."""
        return float(statistics.median(getattr(each, name) for each in self.rounds))


class Value(msgspec.Struct):
    """A figure that is not a rate of requests: a start, a size, or rows a second."""

    name: str
    store: str
    unit: str
    samples: list[float]
    durability: str = ""
    note: str = ""

    def median(self) -> float:
        """Returns the median of the samples."""
        return statistics.median(self.samples)


class Results(msgspec.Struct):
    """All results of a run of the benchmark."""

    name: str
    command: str
    commit: str
    started: str
    machine: dict[str, str]
    versions: dict[str, str]
    measurements: list[Measurement] = []
    values: list[Value] = []
    absent: dict[str, str] = {}
    """Programs and cases that were not measured, and why."""
    seconds: float = 0.0

    def measurement(self, case: Case) -> Measurement | None:
        """Returns the measurement of a case, or None if it was not measured."""
        return next((each for each in self.measurements if each.case == case), None)

    def value(self, name: str, store: str) -> Value | None:
        """Returns a value by its name and store, or None if it was not measured."""
        named = (each for each in self.values if (each.name, each.store) == (name, store))
        return next(named, None)

    def ratio(self, case: Case, other: Case, field: str = "per_second") -> float | None:
        """Returns the median over the rounds of `case` divided by `other`, pair by pair."""
        above, below = self.measurement(case), self.measurement(other)
        if above is None or below is None or not (above.rounds and below.rounds):
            return None
        pairs = zip(above.rounds, below.rounds, strict=False)
        ratios = [getattr(a, field) / max(getattr(b, field), 1e-9) for a, b in pairs]
        return float(statistics.median(ratios))

    def save(self) -> Path:
        """Write the results to bench/results; returns the path."""
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{self.name}.json"
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")
        return path


def load(path: Path) -> Results:
    """Returns saved results."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
