"""Citus: the distribution of the tables over its nodes, and the lock timeout of its sessions."""

from __future__ import annotations

from graphlib import TopologicalSorter

import asyncpg

from reachbook.storage.postgres.connection import Connection

DISTRIBUTION_SECONDS = 3600.0

# In parallel, Citus uses several connections to a node, and refuses to create a foreign key to a
# table that another connection has changed in the same transaction.
SEQUENTIAL = "SET LOCAL citus.multi_shard_modify_mode TO 'sequential'"

# Citus cannot make a plan for all values: the value of team_id says which shard a statement is for.
SESSION = {"plan_cache_mode": "force_custom_plan"}
SET_SESSION = "SET plan_cache_mode = force_custom_plan"

_IS_INSTALLED = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"

# Every table that has team_id, the tables that its foreign keys name, and whether Citus manages it.
# Citus hides shards from pg_class.
_TABLES = """
SELECT c.relname::text AS name,
       ARRAY(SELECT parent.relname::text FROM pg_constraint AS f
             JOIN pg_class AS parent ON parent.oid = f.confrelid
             WHERE f.conrelid = c.oid AND f.contype = 'f' AND parent.oid <> c.oid) AS parents,
       EXISTS (SELECT FROM pg_dist_partition AS d WHERE d.logicalrelid = c.oid) AS is_managed
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = current_schema()
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'team_id' AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.relname"""

# team has a group of co-located tables of its own: it must not move together with the tables of
# another application.
_DISTRIBUTE = """
SELECT create_distributed_table(quote_ident($1)::regclass, 'team_id', colocate_with => $2::text)"""

# The copies of the rows that the coordinator had. No query sees them, but they would remain when a
# contact is erased, and a later unique index or foreign key would be checked on them.
_DELETE_COPIES = "SELECT truncate_local_data_after_distributing_table(quote_ident($1)::regclass)"

_IS_REFERENCE = """
SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'schema_version'::regclass)"""

_SET_LOCK_TIMEOUT = """
SELECT format('ALTER DATABASE %I SET lock_timeout = %L', current_database(), $1::text)"""

_ON_WORKERS = "SELECT nodename, nodeport, success FROM run_command_on_workers($1)"


async def is_installed(connection: Connection) -> bool:
    """Returns whether the database has the extension."""
    return bool(await connection.fetchval(_IS_INSTALLED))


async def distribute(connection: Connection) -> tuple[str, ...]:
    """Distribute each table of teams that is not distributed yet; returns the names of tables.

    The table `schema_version` is copied to every node. Call it inside the transaction of the
    migration: a foreign key of a local table to a distributed one does not see its rows.
    """
    tables = {row["name"]: row for row in await connection.fetch(_TABLES)}
    order = TopologicalSorter({name: row["parents"] for name, row in tables.items()})
    for name in tables.keys() - {"team"}:
        order.add(name, "team")
    changed = [name for name in order.static_order() if not tables[name]["is_managed"]]
    for name in changed:
        group = "none" if name == "team" else "team"
        await connection.fetch(_DISTRIBUTE, name, group, timeout=DISTRIBUTION_SECONDS)
    if not await connection.fetchval(_IS_REFERENCE):
        await connection.fetchval("SELECT create_reference_table('schema_version')")
        changed.append("schema_version")
    for name in changed:  # when all are distributed: it also empties the tables that refer to one
        await connection.fetch(_DELETE_COPIES, name, timeout=DISTRIBUTION_SECONDS)
    return tuple(changed)


async def set_lock_timeout(connection: Connection, value: str) -> tuple[str, ...]:
    """Set lock_timeout on the database of each node; returns the statements that had no effect.

    A session's own lock_timeout does not reach the sessions that Citus opens to shards. A statement
    has no effect if this user does not own the database, or if a worker does not answer.
    """
    statement = await connection.fetchval(_SET_LOCK_TIMEOUT, value)
    to_run = []
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        to_run.append(f"{statement};")
    workers = await connection.fetch(_ON_WORKERS, statement)
    if not all(row["success"] for row in workers):
        to_run.append(f"SELECT run_command_on_workers($$ {statement} $$);")
    return tuple(to_run)
