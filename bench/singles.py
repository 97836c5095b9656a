"""Figures that are not rates of requests: starts, memory, and bulk writes beside COPY."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import httpx
import msgspec

from bench import databases, rows, servers
from bench.databases import Database
from bench.plans import first_number
from bench.results import Value
from bench.runner import Run
from bench.servers import Server
from bench.tokens import sign
from reachbook.client import ApiSecret, Client

BULK_ROWS = 1_000
BULK_SECONDS = 6.0
BULK_REQUESTS = 10
COPIED_CONTACTS, QUICK_CONTACTS = 20_000, 5_000
COPY_GAP = 1_000_000
"""Copied contacts have numbers, and so ids, far beyond those that a server has given out."""

COLD_START = "cold start to first answer"
CLIENT = "reachbook.client: time of a get / of httpx alone"
CLIENT_GETS = 200
MEMORY_IDLE, MEMORY_LOADED = "memory, idle", "memory, under load"


def bulk_name(database: Database) -> str:
    """Returns the name of the figure for bulk writes into a database of this size and state."""
    return f"bulk create, {_where(database)}"


def copy_name(database: Database) -> str:
    """Returns the name of the figure for COPY into the same tables."""
    return f"COPY, {_where(database)}"


def starts(run: Run, database: Database) -> None:
    """Measure the time from the start of the process to the first answer, and the memory then."""
    times, memory = [], []
    team = database.large_team
    path = f"/v2/contact/{rows.uuid(team.first_contact)}/channel/phone"
    for _ in range(run.options.samples):
        if not run.has_time(f"{COLD_START}, {database.store}", 2.0):
            break
        with ExitStack() as stack:
            started = time.perf_counter()
            server = run.start(stack, COLD_START, servers.product(database))
            if server is None:
                return
            status, _ = servers.ask(server.port, "GET", path, sign(team))
            times.append(time.perf_counter() - started)
            memory.append(server.memory())
            if status != 200:
                run.note_absent(COLD_START, f"the first answer has status {status}")
                return
    if times:
        run.add_value(Value(COLD_START, database.store, "s", times))
        run.add_value(Value(MEMORY_IDLE, database.store, "MiB", memory))


def memory_under_load(run: Run, store: str, server: Server) -> None:
    """Note the memory of a server that has had all workloads."""
    run.add_value(Value(MEMORY_LOADED, store, "MiB", [server.memory()]))


def client(run: Run, database: Database, server: Server) -> None:
    """Measure what `reachbook.client` adds to the latency of a get, in alternating requests."""
    team = database.large_team
    url, uuid = f"http://127.0.0.1:{server.port}", rows.uuid(team.first_contact)
    path = f"/v2/contact/{uuid}/channel/phone"
    with (
        Client(url, ApiSecret(team.secret_id, team.secret_key)) as ours,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {sign(team)}"}) as bare,
    ):
        pair = (lambda: ours.get_channel(uuid, "phone"), lambda: bare.get(path).json())
        ratios = [_ratio(*pair) for _ in range(run.options.samples + 1)]
    run.add_value(Value(CLIENT, database.store, "times", ratios[1:]))  # the first one warms up


def _ratio(first: Callable[[], object], second: Callable[[], object]) -> float:
    times = [(_seconds(first), _seconds(second)) for _ in range(CLIENT_GETS)]
    above, below = (statistics.median(each) for each in zip(*times, strict=True))
    return float(above / below)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def bulk(run: Run, empty: Database, filled: Sequence[Database]) -> None:
    """Measure bulk writes, and COPY of such rows, into an empty database and into filled ones."""
    for database in [empty, *filled]:
        label = bulk_name(database)
        if not run.has_time(f"{label}, {database.store}", BULK_SECONDS + 2.0):
            continue
        with ExitStack() as stack:
            server = run.start(stack, label, servers.product(database))
            if server:
                _bulk(run, database, server)
        # Last, because an empty store would not be empty after it.
        run.add_value(_copy(database, QUICK_CONTACTS if run.options.quick else COPIED_CONTACTS))


def _copy(database: Database, contacts: int) -> Value:
    last = max(team.first_contact + team.contacts for team in database.teams)
    team = msgspec.structs.replace(
        database.large_team, first_contact=last + COPY_GAP, contacts=contacts
    )
    if database.store == "postgres":
        rate = asyncio.run(databases.timed_copy(database.url, team))
        name = copy_name(database)
        return Value(name, database.store, "contacts/s", [rate], database.durability)
    rate = databases.fill_sqlite(Path(database.url.removeprefix("sqlite://")), [team], durable=True)
    note = "one transaction of prepared INSERTs, as SQLite has no COPY"
    return Value(
        copy_name(database), database.store, "contacts/s", [rate], database.durability, note
    )


def _bulk(run: Run, database: Database, server: Server) -> None:
    rates: list[float] = []
    seconds = BULK_SECONDS / 3 if run.options.quick else BULK_SECONDS
    ends = time.monotonic() + seconds
    while len(rates) < BULK_REQUESTS and (not rates or time.monotonic() < ends):
        body = _body(first_number())
        started = time.perf_counter()
        try:
            token = sign(database.large_team)
            status, content = servers.ask(server.port, "POST", "/v2/contacts", token, body)
        except OSError as error:
            run.note_absent(f"{bulk_name(database)}, {database.store}", error)
            break
        took = time.perf_counter() - started
        failed = json.loads(content).get("failed_contacts") if status == 200 else None
        if status != 200 or failed:
            why = f"status {status}, {len(failed or [])} rows failed: {content[-200:]!r}"
            run.note_absent(f"{bulk_name(database)}, {database.store}", why)
            break
        rates.append(BULK_ROWS / took)
    if rates:
        name = bulk_name(database)
        run.add_value(Value(name, database.store, "contacts/s", rates, database.durability))


def _body(start: int) -> bytes:
    """Returns a bulk request with new contacts of a phone and an email each."""
    contacts = [
        {
            "first": "Bulk",
            "phone": f"+4915{(start + number) % 10**9:09d}",
            "email": f"bulk{start + number}@example.com",
        }
        for number in range(BULK_ROWS)
    ]
    return json.dumps({"contacts": contacts}).encode()


def _where(database: Database) -> str:
    if not database.channels:
        return "into an empty store"
    state = f", {database.state}" if database.state else ""
    return f"into {database.channels:,} channels{state}"
