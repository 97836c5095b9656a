"""Alternating rounds: each workload on each server in turn, several times."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import psutil  # type: ignore[import-untyped]

from bench import generator, rows, servers, workloads
from bench.databases import Cluster, Database
from bench.generator import LoadError, NoResponseError
from bench.plans import Plan
from bench.results import PRODUCT, Case, Measurement, Results, Round, Value
from bench.servers import Launch, Server, StartError
from bench.tokens import sign

WARM_SECONDS = 1
TRIES = 3
OVERHEAD_SECONDS = 0.4


class Options(msgspec.Struct, frozen=True):
    """The extent of a run. `seconds` is the length of a round, `alone` if no other server runs."""

    rounds: int
    seconds: int
    alone: int
    channels: list[int]
    limit: float
    samples: int
    warm: bool
    quick: bool


class Contestant:
    """A server that takes part, the workloads that it gets, and how their plans are made."""

    def __init__(
        self,
        server: Server,
        case: Case,
        durability: str,
        wanted: Sequence[str],
        plan: Callable[[str], Plan],
    ) -> None:
        self.server = server
        self.case = case
        self.durability = durability
        self.wanted = list(wanted)
        self.plan = plan


class Run:
    """One run of the benchmark: its options, its results so far, and its time limit."""

    def __init__(self, options: Options, results: Results, folder: Path, cluster: Cluster) -> None:
        self.options = options
        self.results = results
        self.folder = folder
        self.cluster = cluster
        self.deadline = time.monotonic() + options.limit
        self._generator = generator.name()

    def note_absent(self, name: str, why: object) -> None:
        """Note and print that a measurement is absent, and why."""
        self.results.absent.setdefault(name, str(why))
        print(f"  absent: {name}: {why}", flush=True)

    def has_time(self, name: str, seconds: float = 0.0) -> bool:
        """Returns whether the time limit allows a measurement; notes it as absent if not."""
        if time.monotonic() + seconds <= self.deadline:
            return True
        self.note_absent(name, "the time limit was reached")
        return False

    def add_value(self, value: Value) -> None:
        """Keep a figure that is not a rate of requests."""
        self.results.values.append(value)
        print(f"  {value.name}, {value.store}: {value.median():,.2f} {value.unit}", flush=True)

    def add_round(self, case: Case, durability: str, measured: Round, tool: str = "") -> None:
        """Keep a round of a case; `tool` made the load if the load generator did not."""
        found = self.results.measurement(case)
        if found is None:
            found = Measurement(case, durability, tool or self._generator)
            self.results.measurements.append(found)
        found.rounds.append(measured)

    def start(self, stack: ExitStack, name: str, launch: Launch) -> Server | None:
        """Start a server until the stack is closed; returns None if it does not start."""
        try:
            return stack.enter_context(servers.running(launch, self.folder))
        except (StartError, OSError) as error:
            self.note_absent(name, error)
            return None


def contestant(server: Server, name: str, database: Database, wanted: Sequence[str]) -> Contestant:
    """Returns a contestant that speaks the API of Reachbook."""
    case = Case(name, database.store, "", database.channels, database.state)
    return Contestant(
        server, case, database.durability, wanted, lambda name: workloads.plan(name, database)
    )


def compare(run: Run, contestants: Sequence[Contestant]) -> None:
    """Measure all contestants: in each round each workload, and for each workload each server.

    The order of the servers is reversed in every other round, so that none is always first on
    lists that grow.
    """
    names = [name for name in workloads.NAMES if any(name in each.wanted for each in contestants)]
    if run.options.warm:
        _warm_up(run, contestants)
    for number in range(run.options.rounds):
        for workload in names:
            print(f"  round {number + 1} of {run.options.rounds}: {workload}", flush=True)
            taking_part = [each for each in contestants if workload in each.wanted]
            _measure_each(run, taking_part if number % 2 == 0 else taking_part[::-1], workload)


def require_same_responses(contestants: Sequence[Contestant], database: Database) -> None:
    """Raise `LoadError` if a server responds to a get or a list with other JSON than the product.

    A ceiling with shorter responses would be no upper bound.
    """
    team = database.large_team
    path = f"/v2/contact/{rows.uuid(team.first_contact)}/"
    for end in ("channel/phone", "channels"):
        responses = {}
        for each in contestants:
            status, body = servers.ask(each.server.port, "GET", path + end, sign(team))
            responses[each.case.server] = (status, json.loads(body))
        expected = responses[PRODUCT]
        for name, response in responses.items():
            if response != expected:
                raise LoadError(f"{name} responds to {end} with {response}, not {expected}")


def measure(server: Server, plan: Plan, seconds: int) -> Round:
    """Returns one round of a plan on a server."""
    before = server.cpu_seconds()
    load = generator.send(plan, server.port, seconds)
    spent = server.cpu_seconds() - before
    return Round(
        load.requests / load.seconds,
        load.p50,
        load.p99,
        spent / load.requests * 1e6,
        load.refused,
        load.failed,
    )


def _warm_up(run: Run, contestants: Sequence[Contestant]) -> None:
    print("  warming up", flush=True)
    for each in contestants:
        for workload in each.wanted.copy():
            _try(run, each, workload, WARM_SECONDS)


def _measure_each(run: Run, contestants: Sequence[Contestant], workload: str) -> None:
    """One round of a workload on each server in turn."""
    options = run.options
    seconds = options.seconds if len(contestants) > 1 else options.alone
    for each in contestants:
        name = f"{each.case.server}, {each.case.store}, {workload}, some rounds"
        if not run.has_time(name, seconds + OVERHEAD_SECONDS):
            continue
        measured = _try(run, each, workload, seconds)
        if measured is not None:
            case = msgspec.structs.replace(each.case, workload=workload)
            run.add_round(case, each.durability, measured)


def _try(run: Run, each: Contestant, workload: str, seconds: int) -> Round | None:
    """One round; a workload that fails on a server is noted, and left out from then on."""
    try:
        for _ in range(TRIES - 1):
            with suppress(NoResponseError):
                return measure(each.server, each.plan(workload), seconds)
        return measure(each.server, each.plan(workload), seconds)
    except (LoadError, psutil.Error) as error:
        case = each.case
        name = f"{case.server}, {case.store}, {case.channels:,} channels {case.state}, {workload}"
        run.note_absent(name, error)
        each.wanted.remove(workload)
        return None
