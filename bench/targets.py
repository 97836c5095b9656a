"""The targets, and whether a run meets them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import msgspec

from bench.databases import ANALYZED, NEVER_ANALYZED
from bench.peers.launches import FASTAPI
from bench.results import CEILING, PRODUCT, QUIET, Case, Results, Value
from bench.singles import CLIENT, COLD_START, MEMORY_IDLE, MEMORY_LOADED
from bench.workloads import ADD, GET, LIST, MANY_TEAMS, NEW_TOKENS, RESOLVE_HIT

STORES = ("postgres", "sqlite")
MET, STRETCH, NOT_MET, NOT_RUN = "met", "met, stretch too", "not met", "not run"


class Outcome(msgspec.Struct, frozen=True):
    """A target and the figure that was measured, or None.

    `by_cpu` is the same ratio of the CPU times, upside down, so that more is better as well. Other
    programs on the machine change it less, and it decides nothing.
    """

    figure: str
    wanted: float
    measured: float | None
    unit: str = ""
    stretch: float | None = None
    at_most: bool = False
    by_cpu: float | None = None

    @property
    def verdict(self) -> str:
        """Returns whether the target is met."""
        if self.measured is None:
            return NOT_RUN
        if self._reaches(self.stretch):
            return STRETCH
        return MET if self._reaches(self.wanted) else NOT_MET

    def _reaches(self, bound: float | None) -> bool:
        if bound is None or self.measured is None:
            return False
        return self.measured <= bound if self.at_most else self.measured >= bound


def outcomes(results: Results) -> list[Outcome]:
    """Returns all targets with the figures of a run."""
    return [
        *_against_ceiling(results),
        *_against_peers(results),
        *_within(results),
        *_by_size(results),
        *_by_statistics(results),
        *_bulk(results),
        *_process(results),
    ]


def sizes(results: Results) -> list[int]:
    """Returns the sizes of the databases that were measured, smallest first."""
    return sorted({each.case.channels for each in results.measurements})


def case(results: Results, server: str, store: str, workload: str) -> Case:
    """Returns the main case of a workload: the small database, analyzed."""
    smallest = min(sizes(results), default=0)
    return Case(server, store, workload, smallest, ANALYZED if store == "postgres" else "")


def _against_ceiling(results: Results) -> Iterator[Outcome]:
    for server, wanted, stretch in ((QUIET, 0.65, 0.75), (PRODUCT, 0.60, None)):
        for store in STORES:
            for workload in (GET, LIST, ADD):
                own = case(results, server, store, workload)
                ceiling = case(results, CEILING, store, workload)
                figure = f"{store}, {workload}: {server} / ceiling"
                yield _compared(results, figure, (own, ceiling), (wanted, stretch))


def _against_peers(results: Results) -> Iterator[Outcome]:
    for workload, wanted, stretch in ((GET, 9.0, 12.0), (ADD, 6.0, 8.0)):
        own = case(results, PRODUCT, "postgres", workload)
        peer = case(results, FASTAPI, "postgres", workload)
        figure = f"postgres, {workload}: {PRODUCT} / {FASTAPI}"
        yield _compared(results, figure, (own, peer), (wanted, stretch))


def _within(results: Results) -> Iterator[Outcome]:
    pairs = ((RESOLVE_HIT, GET, 0.7), (NEW_TOKENS, GET, 0.7), (ADD, MANY_TEAMS, 0.8))
    for store in STORES:
        for workload, other, wanted in pairs:
            cases = case(results, PRODUCT, store, workload), case(results, PRODUCT, store, other)
            yield _compared(results, f"{store}: {workload} / {other}", cases, (wanted, None))
    measured = results.measurement(case(results, PRODUCT, "postgres", GET))
    tail = None
    if measured is not None:
        tail = statistics.median(each.p99 / max(each.p50, 1e-9) for each in measured.rounds)
    yield Outcome("postgres, get: p99 / p50", 3.0, tail, stretch=2.0, at_most=True)


def _by_size(results: Results) -> Iterator[Outcome]:
    small, *larger = sizes(results) or [0]
    for store in STORES:
        for workload in (GET, LIST, RESOLVE_HIT):
            main = case(results, PRODUCT, store, workload)
            for size in larger or [0]:
                other = msgspec.structs.replace(main, channels=size)
                ratio = results.ratio(other, main, "p50")
                name = f"{size:,}" if size else "more"
                figure = f"{store}, {workload}: p50 at {name} / at {small:,} channels"
                yield Outcome(figure, 1.3, ratio, stretch=1.1, at_most=True)


def _by_statistics(results: Results) -> Iterator[Outcome]:
    for size in sizes(results):
        for workload in (GET, LIST, RESOLVE_HIT):
            above = Case(PRODUCT, "postgres", workload, size, NEVER_ANALYZED)
            below = msgspec.structs.replace(above, state=ANALYZED)
            figure = f"postgres, {workload}, {size:,} channels: never analyzed / analyzed"
            yield _compared(results, figure, (above, below), (0.9, None))
        name = f"bulk create, into {size:,} channels, "
        ratio = _quotient(
            results.value(name + NEVER_ANALYZED, "postgres"),
            results.value(name + ANALYZED, "postgres"),
        )
        figure = f"postgres, bulk create, {size:,} channels: never analyzed / analyzed"
        yield Outcome(figure, 0.9, ratio)


def _bulk(results: Results) -> Iterator[Outcome]:
    for value in results.values:
        if value.name.startswith("bulk create"):
            figure = f"{value.store}, {value.name}"
            yield Outcome(figure, 5_000, value.median(), value.unit, 10_000)
            copied = results.value(value.name.replace("bulk create", "COPY"), value.store)
            ratio = _quotient(value, copied)
            yield Outcome(f"{figure}: / COPY", 0.10, ratio, stretch=0.25)


def _process(results: Results) -> Iterator[Outcome]:
    for store in STORES:
        for name, wanted in ((MEMORY_IDLE, 70.0), (MEMORY_LOADED, 110.0)):
            value = results.value(name, store)
            yield Outcome(f"{store}, {name}", wanted, _median(value), "MiB", at_most=True)
    latency = _median(results.value(CLIENT, "sqlite"))
    yield Outcome(f"sqlite, {CLIENT}", 1.15, latency, at_most=True)
    start = _median(results.value(COLD_START, "sqlite"))
    yield Outcome(f"sqlite, {COLD_START}", 0.7, start, "s", 0.4, at_most=True)


def _compared(
    results: Results, figure: str, cases: tuple[Case, Case], bounds: tuple[float, float | None]
) -> Outcome:
    """Returns the outcome for the requests a second of one case divided by those of another."""
    wanted, stretch = bounds
    ratio = results.ratio(*cases)
    by_cpu = results.ratio(cases[1], cases[0], "cpu")
    return Outcome(figure, wanted, ratio, stretch=stretch, by_cpu=by_cpu)


def _median(value: Value | None) -> float | None:
    return None if value is None else value.median()


def _quotient(above: Value | None, below: Value | None) -> float | None:
    if above is None or below is None:
        return None
    return above.median() / max(below.median(), 1e-9)
