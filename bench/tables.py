"""The tables of a run, as Markdown that is readable in a terminal as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench import targets
from bench.results import CEILING, Case, Measurement, Results
from bench.workloads import NAMES

_STORES = ("postgres", "sqlite")


def everything(results: Results, *, all_targets: bool = True) -> str:
    """Returns all tables, one after the other; without `all_targets`, the measured ones alone."""
    sections = [
        ("Conditions", conditions(results)),
        ("Requests", requests(results)),
        ("Other figures", values(results)),
        ("Targets", outcomes(results, all_targets=all_targets)),
        ("Not measured", absent(results)),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections if text)


def conditions(results: Results) -> str:
    """Returns the machine, the versions and the commit."""
    facts = {
        "command": f"`{results.command}`",
        "commit": results.commit,
        "started": f"{results.started}, {results.seconds:.0f} s",
        **results.machine,
        **results.versions,
    }
    return table(("condition", "value"), facts.items())


def requests(results: Results) -> str:
    """Returns the rates, the CPU times and the latencies of every case."""
    head = (
        *("store", "channels", "workload", "server", "requests/s", "of ceiling"),
        *("CPU µs a request", "CPU of ceiling", "p50 ms", "p99 ms", "refused", "durability"),
    )
    ordered = sorted(results.measurements, key=_place)
    return table(head, (_request_row(results, each) for each in ordered))


def values(results: Results) -> str:
    """Returns the figures that are not rates of requests."""
    rows = [
        (each.store, each.name, number(each.median()), each.unit, each.durability, each.note)
        for each in results.values
    ]
    return table(("store", "figure", "median", "unit", "durability", "note"), rows)


def outcomes(results: Results, *, all_targets: bool = True) -> str:
    """Returns the targets; without `all_targets`, those that were measured."""
    rows = [
        (
            each.figure,
            ("at most " if each.at_most else "at least ") + f"{each.wanted:g} {each.unit}".strip(),
            "" if each.stretch is None else f"{each.stretch:g}",
            "" if each.measured is None else number(each.measured),
            "" if each.by_cpu is None else number(each.by_cpu),
            each.verdict,
        )
        for each in targets.outcomes(results)
        if all_targets or each.measured is not None
    ]
    return table(("figure", "target", "stretch", "measured", "by CPU", "verdict"), rows)


def absent(results: Results) -> str:
    """Returns what was not measured, and why."""
    return table(("not measured", "why"), results.absent.items()) if results.absent else ""


def table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Returns a Markdown table whose columns are aligned."""
    cells = [[str(cell).replace("|", "/").replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[place]) for row in [list(head), *cells]) for place in range(len(head))]
    lines = [list(head), ["-" * width for width in widths], *cells]
    return "\n".join(
        "| "
        + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        + " |"
        for row in lines
    )


def number(value: float) -> str:
    """Returns a number with about three digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 20 else f"{value:.2f}"


def _request_row(results: Results, each: Measurement) -> tuple[str, ...]:
    case = each.case
    ceiling = Case(CEILING, case.store, case.workload, case.channels, case.state)
    rate, cpu = results.ratio(case, ceiling), results.ratio(ceiling, case, "cpu")
    workers = f", {case.workers} workers" if case.workers > 1 else ""
    return (
        case.store,
        f"{case.channels:,} {case.state}".strip(),
        case.workload,
        f"{case.server}{workers}",
        number(each.median("per_second")),
        "" if rate is None else f"{rate:.2f}",
        number(each.median("cpu")),
        "" if cpu is None else f"{cpu:.2f}",
        number(each.median("p50")) if each.median("p50") else "",
        number(each.median("p99")) if each.median("p99") else "",
        str(sum(each.refused for each in each.rounds) or ""),
        each.durability if _writes(case.workload) else "",
    )


def _writes(workload: str) -> bool:
    return workload.startswith(("add", "move", "replace", "90 get"))


def _place(each: Measurement) -> tuple[int, int, str, int]:
    case = each.case
    store = _STORES.index(case.store) if case.store in _STORES else len(_STORES)
    workload = NAMES.index(case.workload) if case.workload in NAMES else len(NAMES)
    return store, case.channels, case.state, workload
