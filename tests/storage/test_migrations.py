"""Migrations from an empty database to the newest version, on both engines, and concurrently."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from reachbook.domain.errors import Reason, Refusal
from reachbook.storage import migrations, open_store
from reachbook.storage.migrations import Step
from reachbook.storage.postgres import pool, schema
from reachbook.storage.sqlite import engine as sqlite
from reachbook.storage.sqlite.connection import connect
from tests.support import catalogs as catalogue
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/reachbook.db"
    return str(request.getfixturevalue("empty_postgres"))


async def migrate(database: str) -> tuple[int, int]:
    store = await open_store(database)
    try:
        change = await store.migrate()
        return change.before, change.after
    finally:
        await store.close()


async def refusal(database: str) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await migrate(database)
    return refused.value


async def test_an_empty_database_is_migrated_to_the_newest_version(empty: str) -> None:
    newest = migrations.newest("sqlite")

    await migrate(empty)

    store = await open_store(empty)
    assert await store.engine.schema_version() == newest
    await store.require_schema()
    assert await store.teams() == []
    await store.close()
    steps = await sql_runner(empty)("SELECT version, name FROM schema_version ORDER BY version")
    assert steps == [(step.version, step.name) for step in migrations.steps("sqlite")]


async def test_a_second_migration_changes_nothing(empty: str) -> None:
    newest = migrations.newest("sqlite")
    await migrate(empty)
    before = await sql_runner(empty)("SELECT * FROM schema_version")

    assert await migrate(empty) == (newest, newest)
    assert await sql_runner(empty)("SELECT * FROM schema_version") == before


async def test_concurrent_migrations_run_each_step_once(empty: str) -> None:
    done = await asyncio.gather(*(migrate(empty) for _ in range(5)))

    newest = migrations.newest("sqlite")
    assert {after for _, after in done} == {newest}
    assert len(await sql_runner(empty)("SELECT * FROM schema_version")) == newest


async def test_a_newer_schema_is_refused(empty: str) -> None:
    await migrate(empty)
    await sql_runner(empty)("INSERT INTO schema_version VALUES (99, 'future', '2030-01-01')")

    error = await refusal(empty)

    assert error.reason is Reason.STORE_UNFIT
    assert "schema version 99" in error.message
    assert f"knows up to {migrations.newest('sqlite')}" in error.message


async def test_a_failed_step_is_rolled_back(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Step(1, "bad", "CREATE TABLE half (n INTEGER); INSERT INTO nothing VALUES (1);")
    monkeypatch.setattr(migrations, "steps", lambda _engine, *, after=0: [bad][after:])

    with pytest.raises(Exception, match="nothing"):
        await migrate(empty)

    monkeypatch.undo()
    await migrate(empty)
    assert "half" not in await catalogue_of(empty)


def test_both_engines_have_the_same_steps_numbered_without_gaps() -> None:
    steps = {engine: migrations.steps(engine) for engine in ("sqlite", "postgres")}

    assert [(step.version, step.name) for step in steps["sqlite"]] == [
        (step.version, step.name) for step in steps["postgres"]
    ]
    assert [step.version for step in steps["sqlite"]] == list(range(1, len(steps["sqlite"]) + 1))


BEFORE_BODIES = 3
OLD_ROWS = [
    "INSERT INTO team (team_id, name, created) VALUES (1, 'a', 1)",
    (
        "INSERT INTO contact (team_id, id, uuid, rev, updated, created, first, last, display_name,"
        " avatar, is_opted_out, custom, tags)"
        " VALUES (1, 1, 'u', 3, 1, 1, '', '', '', '', {no}, '{{}}', '[]')"
    ),
    *(
        "INSERT INTO event (team_id, id, contact_id, contact_rev, kind, before, after, actor,"
        f" request_id, at, seq) VALUES (1, {id_}, 1, {rev}, 'k', {values}, 'a', 'r', 1, {seq})"
        for id_, rev, values, seq in [
            (11, 1, "NULL, 'made'", 1),
            (12, 2, "'was', 'is'", "NULL"),
            (13, 3, "NULL, NULL", "NULL"),
        ]
    ),
]


async def test_the_values_of_events_are_moved_to_their_own_table(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The events are of a created, a changed and an erased contact."""
    every, raw = migrations.steps, sql_runner(empty)

    def older(engine: str, *, after: int = 0) -> list[Step]:
        return [step for step in every(engine, after=after) if step.version <= BEFORE_BODIES]

    monkeypatch.setattr(migrations, "steps", older)
    await migrate(empty)
    for statement in OLD_ROWS:
        await raw(statement.format(no="0" if empty.startswith("sqlite") else "false"))
    monkeypatch.undo()

    await migrate(empty)

    assert await raw("SELECT event_id, before, after FROM event_body ORDER BY event_id") == [
        (11, None, "made"),
        (12, "was", "is"),
    ]
    assert await raw("SELECT id, contact_rev, seq FROM event ORDER BY id") == [
        (11, 1, 1),
        (12, 2, None),
        (13, 3, None),
    ]


async def catalogue_of(database: str) -> dict[str, catalogue.Table]:
    raw = sql_runner(database)
    of = catalogue.of_sqlite if database.startswith("sqlite") else catalogue.of_postgres
    return await of(raw)


async def test_both_engines_have_the_same_tables(empty_postgres: str, tmp_path: Path) -> None:
    """Columns in order, nullability, keys, and unique indexes with their conditions are equal."""
    on_sqlite = f"sqlite:///{tmp_path}/reachbook.db"
    for database in (on_sqlite, empty_postgres):
        await migrate(database)

    small, big = await catalogue_of(on_sqlite), await catalogue_of(empty_postgres)

    assert small.keys() == big.keys()
    assert len(small) >= 7
    for name, table in small.items():
        assert list(table.columns.items()) == list(big[name].columns.items()), name
        assert table == big[name], name


async def test_the_comparison_detects_a_difference(empty_postgres: str) -> None:
    raw = sql_runner(empty_postgres)
    await migrate(empty_postgres)
    before = await catalogue_of(empty_postgres)
    for change in (
        "ALTER TABLE team ALTER COLUMN default_region SET NOT NULL",
        "DROP INDEX contact_external_id",
        "CREATE UNIQUE INDEX contact_external_id ON contact (team_id, external_id)",
        "CREATE INDEX more ON event (team_id, at)",
        "ALTER TABLE event DROP CONSTRAINT event_team_id_contact_id_fkey",
    ):
        await raw(change)
        after = await catalogue_of(empty_postgres)
        assert after != before, change
        before = after


async def test_stored_responses_of_the_previous_release_get_their_contacts(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Responses with unknown or erased contacts are deleted; an erasure can still be retried."""
    known = {engine: migrations.steps(engine) for engine in ("sqlite", "postgres")}
    monkeypatch.setattr(migrations, "steps", lambda engine, *, after=0: known[engine][after:2])
    await migrate(empty)
    raw, blob = sql_runner(empty), "BLOB" if empty.startswith("sqlite") else "bytea"
    await raw("INSERT INTO team (team_id, name, created) VALUES (1, 'team', 1)")
    for number, erased in ((1, "NULL"), (2, "5")):
        await raw(
            "INSERT INTO contact (team_id, id, uuid, rev, updated, created, erased, first, last, "
            "display_name, avatar, is_opted_out, custom, tags) VALUES "
            f"(1, {number}, 'uuid-{number}', 1, 1, 1, {erased}, '', '', '', '', "
            f"{'0' if blob == 'BLOB' else 'false'}, '{{}}', '[]')"
        )
        await raw(
            "INSERT INTO event (team_id, id, contact_id, contact_rev, kind, actor, request_id, at) "
            f"VALUES (1, {number}, {number}, 1, 'contact_created', 'a', 'request-{number}', 1)"
        )
    for key, contact, body in (
        ("single", "1", '{"first": "Alice"}'),
        ("bulk", "NULL", '{"contacts": []}'),
        ("late", "2", '{"first": "Bob"}'),
        ("erasure", "2", '"contact erased"'),
    ):
        await raw(
            "INSERT INTO idempotency (team_id, key, request_hash, status, headers, body, "
            f"contact_id, created) VALUES (1, '{key}', CAST('' AS {blob}), 200, '[]', "
            f"CAST('{body}' AS {blob}), {contact}, 1)"
        )
    monkeypatch.undo()

    await migrate(empty)

    assert await raw("SELECT key FROM idempotency ORDER BY key") == [("erasure",), ("single",)]
    named = await raw("SELECT team_id, contact_uuid, key FROM idempotency_contact")
    assert named == [(1, "uuid-1", "single")]
    assert await raw("SELECT request_id FROM event ORDER BY id") == [("request-1",), ("",)]


# ── another program has the lock ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("migrated", [False, True], ids=["empty", "migrated"])
async def test_migrate_is_refused_after_waiting_for_the_lock(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch, migrated: bool
) -> None:
    """Both timeouts are shortened by the same factor, so the same timeout ends first."""
    if migrated:
        await migrate(empty_postgres)
    shorter = pool.STATEMENT_SECONDS / schema.LOCK_SECONDS
    monkeypatch.setattr(schema, "LOCK_SECONDS", 1)
    monkeypatch.setattr(pool, "STATEMENT_SECONDS", shorter)
    other = await asyncpg.connect(empty_postgres)
    transaction = other.transaction()
    await transaction.start()
    try:
        await other.execute(schema._VERSION_TABLE)
        await other.execute("LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE")
        error = await refusal(empty_postgres)
    finally:
        await transaction.rollback()
        await other.close()

    assert error.reason is Reason.STORE_UNFIT
    assert "Another program is migrating this database" in error.message
    assert (await migrate(empty_postgres))[1] == migrations.newest("postgres")


async def test_migrate_continues_if_the_lock_is_released_in_time(empty_postgres: str) -> None:
    other = await asyncpg.connect(empty_postgres)
    transaction = other.transaction()
    await transaction.start()
    await other.execute(schema._VERSION_TABLE)
    ours = asyncio.create_task(migrate(empty_postgres))
    await asyncio.sleep(0.2)
    assert not ours.done()
    await transaction.commit()
    await other.close()

    assert await asyncio.wait_for(ours, 10) == (0, migrations.newest("postgres"))


async def test_a_step_may_take_longer_than_the_statement_timeout(
    empty_postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Creating an index on a large table takes minutes; a request has seconds."""
    await migrate(empty_postgres)
    known = migrations.steps("postgres")
    newest = known[-1].version
    long = Step(newest + 1, "long", "SELECT pg_sleep(0.5)")
    monkeypatch.setattr(
        migrations, "steps", lambda _engine, *, after=0: [*known, long][after:] or [long]
    )
    monkeypatch.setattr(pool, "STATEMENT_SECONDS", 0.2)

    assert await migrate(empty_postgres) == (newest, newest + 1)


async def test_migrate_is_refused_after_waiting_for_a_locked_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = f"sqlite:///{tmp_path}/reachbook.db"
    raw = sql_runner(database)
    await raw("PRAGMA journal_mode=WAL")
    monkeypatch.setattr(sqlite, "WRITER_WAITS_MS", 200)
    holder = connect(tmp_path / "reachbook.db", 0)
    holder.execute("BEGIN IMMEDIATE")

    error = await refusal(database)
    holder.execute("ROLLBACK")
    holder.close()

    assert error.reason is Reason.STORE_UNAVAILABLE
    await migrate(database)
