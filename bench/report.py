"""Write the figures of a results file into README.md and docs/benchmarks.md, and draw the chart.

Usage: python -m bench.report [bench/results/full.json]
The figures of bench/results/sizes.json are written into docs/benchmarks-sizes.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench import chart, tables, targets
from bench.machine import ROOT
from bench.peers import launches, pocketbase
from bench.results import CEILING, FOLDER, PRODUCT, QUIET, Results, load
from bench.workloads import ADD, GET, LIST

BEGIN = "<!-- The figures up to the end are written by python -m bench.report. -->"
END = "<!-- end of the figures -->"
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "benchmarks.md"
SIZES = FOLDER / "sizes.json"
SIZES_PAGE = ROOT / "docs" / "benchmarks-sizes.md"
CHART = ROOT / "docs" / "benchmarks.svg"

_NAMES = {"postgres": "PostgreSQL", "sqlite": "SQLite"}
_PEERS = (launches.FASTAPI, launches.DJANGO, pocketbase.NAME)


def main() -> None:
    """Write everything."""
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER / "full.json"
    results = load(given)
    CHART.write_text(chart.svg(results))
    texts = {README: summary(results), PAGE: tables.everything(results)}
    if SIZES.exists():
        texts[SIZES_PAGE] = tables.everything(load(SIZES), all_targets=False)
    for page, text in texts.items():
        page.write_text(replaced(page.read_text(), text))
    print(f"written: {', '.join(str(each.relative_to(ROOT)) for each in (CHART, *texts))}")


def summary(results: Results) -> str:
    """Returns the section of the README: the conditions, a table and the chart."""
    rounds = max(len(each.rounds) for each in results.measurements)
    commit = results.commit.removesuffix("+changes")[:10]
    machine, versions = results.machine, results.versions
    sentence = (
        f"Measured at {commit} on {machine['cores']} cores ({machine['architecture']}, "
        f"{machine['processor']}) with Python {versions['python']} and PostgreSQL "
        f"{versions['postgresql']}: one process on one core, {versions['load generator']} with "
        f"32 connections and PostgreSQL on the other, medians of {rounds} alternating rounds."
    )
    head = (
        *("store", "request", "a second", "p99 ms", "CPU µs each", "of the ceiling"),
        *("without the log line", *(f"{name}, a second" for name in _PEERS)),
    )
    rows = [_row(results, store, name) for store in _NAMES for name in (GET, LIST, ADD)]
    image = f"![{chart.description(results)}](docs/{CHART.name})"
    return "\n\n".join([sentence, tables.table(head, [row for row in rows if row]), image])


def replaced(page: str, text: str) -> str:
    """Returns a page with other text between the marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"A page lacks the marks {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _row(results: Results, store: str, workload: str) -> list[str]:
    product = targets.case(results, PRODUCT, store, workload)
    found = results.measurement(product)
    if found is None:
        return []
    ceiling = targets.case(results, CEILING, store, workload)
    quiet = targets.case(results, QUIET, store, workload)
    peers = [results.measurement(targets.case(results, name, store, workload)) for name in _PEERS]
    return [
        _NAMES[store],
        workload,
        tables.number(found.median("per_second")),
        tables.number(found.median("p99")),
        tables.number(found.median("cpu")),
        *(_ratio(results.ratio(each, ceiling)) for each in (product, quiet)),
        *("" if each is None else tables.number(each.median("per_second")) for each in peers),
    ]


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    main()
