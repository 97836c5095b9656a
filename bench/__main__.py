"""Run the benchmark: print its tables and write bench/results/<name>.json."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bench import databases, generator, machine, phases, tables
from bench.results import Results
from bench.runner import Options, Run

SMALL, MEDIUM, LARGE = 10_000, 1_000_000, 10_000_000
PHASES = {"postgres": phases.postgres, "sqlite": phases.sqlite}
SIZES = {"postgres": phases.postgres_sizes, "sqlite": phases.sqlite_sizes}
FULL_SECONDS, QUICK_SECONDS, LARGE_SECONDS = 14.5 * 60, 112.0, 2 * 3600.0


def main() -> None:
    """Parse the command line, measure, print and save."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the main figures, in two minutes")
    parser.add_argument("--large", action="store_true", help="add 10 million channels (hours)")
    parser.add_argument(
        "--sizes",
        action="store_true",
        help="Reachbook alone, at 10 thousand and 10 million channels (15 minutes)",
    )
    parser.add_argument("--store", choices=list(PHASES), action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, help="of each round")
    parser.add_argument("--name", help="of the file in bench/results")
    given = parser.parse_args()
    options = _options(given)
    stores = given.store or list(PHASES)
    if given.sizes:
        # One store after the other: the memory does not hold the large databases of both.
        stages = [partial(_to_its_end, SIZES[store]) for store in stores]
        _measure(options, given.name or "sizes", stages)
    else:
        name = given.name or ("quick" if given.quick else "full")
        _measure(options, name, [PHASES[store] for store in stores])


def _to_its_end(stage: Callable[[Run], phases.Rest], run: Run) -> phases.Rest:
    stage(run)()
    return lambda: None


def _options(given: argparse.Namespace) -> Options:
    if given.quick:
        seconds = given.seconds or 1
        return Options(
            given.rounds, seconds, seconds, [SMALL], QUICK_SECONDS, 3, warm=False, quick=True
        )
    channels = [SMALL, LARGE] if given.sizes else [SMALL, MEDIUM]
    channels += [LARGE] if given.large and not given.sizes else []
    limit = LARGE_SECONDS if LARGE in channels else FULL_SECONDS
    compared, alone = given.seconds or 3, given.seconds or 2
    return Options(given.rounds, compared, alone, channels, limit, 5, warm=True, quick=False)


def _measure(options: Options, name: str, stages: Sequence[Callable[[Run], phases.Rest]]) -> None:
    machine.pin_this_process()
    started = time.monotonic()
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    now = datetime.now(UTC).isoformat(timespec="seconds")
    facts = machine.describe()
    with (
        tempfile.TemporaryDirectory(prefix="reachbook-bench-") as made,
        databases.postgres(Path(made)) as cluster,
    ):
        asyncio.run(cluster.open())
        versions = machine.versions(cluster.version, generator.name())
        results = Results(name, command, machine.commit(), now, facts, versions)
        run = Run(options, results, Path(made), cluster)
        run.deadline = started + options.limit
        try:
            for rest in [stage(run) for stage in stages]:
                rest()
        finally:  # the measurements before an error are saved
            results.seconds = time.monotonic() - started
            saved = results.save().relative_to(machine.ROOT)
    print(f"\n{tables.everything(results)}\n\nwritten: {saved}")


if __name__ == "__main__":
    main()
