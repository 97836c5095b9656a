"""A migration on Citus distributes the tables; the functions of Citus are stand-ins.

The embedded PostgreSQL does not have Citus: `citus_stand_in` lists the behaviour that is tested.
"""

from __future__ import annotations

import asyncpg
import pytest

from reachbook.storage import migrations, open_store
from reachbook.storage.engine import SchemaChange
from reachbook.storage.postgres import citus
from reachbook.storage.postgres.connection import Connection
from reachbook.storage.postgres.pool import LOCK_TIMEOUT
from tests.support import catalogs, citus_stand_in
from tests.support.raw_sql import Raw, sql_runner

pytestmark = pytest.mark.anyio

NEWEST = migrations.newest("postgres")
MANAGED = "SELECT logicalrelid::text, kind, colocated_with FROM pg_dist_partition"
SETTINGS = """
SELECT setconfig FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase
WHERE d.datname = current_database()"""


@pytest.fixture
def raw(empty_postgres: str) -> Raw:
    return sql_runner(empty_postgres)


@pytest.fixture
async def with_citus(empty_postgres: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty database with the stand-ins."""
    await citus_stand_in.install(empty_postgres)
    pretend_citus_is_installed(monkeypatch)
    return empty_postgres


def pretend_citus_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def is_installed(_connection: Connection) -> bool:
        return True

    monkeypatch.setattr(citus, "is_installed", is_installed)


async def migrate(url: str) -> SchemaChange:
    store = await open_store(url, migrating=True)
    try:
        return await store.migrate()
    finally:
        await store.close()


async def test_every_table_with_team_id_is_distributed(with_citus: str, raw: Raw) -> None:
    change = await migrate(with_citus)

    managed = {name: (kind, group) for name, kind, group in await raw(MANAGED)}
    stand_ins = {"pg_dist_partition", "stand_in_call", "stand_in_worker"}
    tables = (await catalogs.of_postgres(raw)).keys() - stand_ins
    assert managed.pop("schema_version") == ("reference", None)
    assert managed.pop("team") == ("team_id", "none")
    assert managed.keys() == tables - {"team"}
    assert set(managed.values()) == {("team_id", "team")}
    assert change.distributed[0] == "team"
    assert set(change.distributed) == tables | {"schema_version"}
    assert (change.before, change.after, change.to_run) == (0, NEWEST, ())


async def test_the_coordinators_copies_are_truncated(with_citus: str, raw: Raw) -> None:
    change = await migrate(with_citus)

    calls = await raw("SELECT argument FROM stand_in_call WHERE name = 'truncate' ORDER BY n")
    assert tuple(row[0] for row in calls) == change.distributed


async def test_a_second_migration_distributes_nothing(with_citus: str, raw: Raw) -> None:
    await migrate(with_citus)
    before = await raw(MANAGED)

    assert await migrate(with_citus) == SchemaChange(NEWEST, NEWEST)
    assert await raw(MANAGED) == before


async def test_a_table_of_a_later_migration_is_distributed(with_citus: str, raw: Raw) -> None:
    await migrate(with_citus)
    await raw(
        "CREATE TABLE a_later (team_id bigint, id bigint, PRIMARY KEY (team_id, id), "
        "FOREIGN KEY (team_id, id) REFERENCES contact (team_id, id))"
    )

    assert (await migrate(with_citus)).distributed == ("a_later",)


async def test_tables_are_distributed_after_the_extension_is_added(
    empty_postgres: str, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await migrate(empty_postgres)
    await citus_stand_in.install(empty_postgres)
    pretend_citus_is_installed(monkeypatch)

    change = await migrate(empty_postgres)

    assert first == SchemaChange(0, NEWEST)
    assert change.distributed[0] == "team"
    assert len(change.distributed) == len(await raw(MANAGED))


async def test_a_failure_leaves_nothing_distributed(with_citus: str, raw: Raw) -> None:
    await raw(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN IF new.kind = 'reference' THEN RAISE 'a node is gone'; END IF; "
        "RETURN new; END $$"
    )
    await raw(
        "CREATE TRIGGER refuse BEFORE INSERT ON pg_dist_partition "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )

    with pytest.raises(asyncpg.RaiseError):
        await migrate(with_citus)

    assert await raw(MANAGED) == []
    assert await raw("SELECT version FROM schema_version") == []


async def test_the_lock_timeout_is_set_on_every_node(with_citus: str, raw: Raw) -> None:
    await migrate(with_citus)

    [[name]] = await raw("SELECT current_database()")
    assert await raw(SETTINGS) == [([f"lock_timeout={LOCK_TIMEOUT}"],)]
    calls = await raw("SELECT argument FROM stand_in_call WHERE name = 'workers'")
    assert calls == [(f"ALTER DATABASE {name} SET lock_timeout = '{LOCK_TIMEOUT}'",)]


async def test_the_statement_that_failed_on_a_worker_is_returned(with_citus: str, raw: Raw) -> None:
    await raw("UPDATE stand_in_worker SET success = false WHERE nodename = 'w2'")

    [statement] = (await migrate(with_citus)).to_run

    assert statement.startswith("SELECT run_command_on_workers($$ ALTER DATABASE ")
    await raw(statement)


async def test_a_user_who_does_not_own_the_database_gets_the_statement_to_run(
    with_citus: str, raw: Raw
) -> None:
    await migrate(with_citus)
    [[name]] = await raw("SELECT current_database()")
    role = f"other_{name}"
    connection = await asyncpg.connect(with_citus)
    await connection.execute(f"CREATE ROLE {role}")
    await connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    await connection.execute(f"SET ROLE {role}")

    to_run = await citus.set_lock_timeout(Connection(connection), LOCK_TIMEOUT)

    await connection.execute("RESET ROLE")
    await connection.execute(f"DROP OWNED BY {role}")
    await connection.execute(f"DROP ROLE {role}")
    await connection.close()
    assert to_run == (f"ALTER DATABASE {name} SET lock_timeout = '{LOCK_TIMEOUT}';",)


async def test_postgresql_without_the_extension_is_not_citus(empty_postgres: str) -> None:
    connection = await asyncpg.connect(empty_postgres)

    assert not await citus.is_installed(Connection(connection))

    await connection.close()
