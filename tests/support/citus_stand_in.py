"""Functions and a table with the names of those of Citus, for a PostgreSQL that does not have it.

This is not Citus, and distributes nothing. It records the calls, and refuses those that Citus
refuses: a table that is distributed already, one whose foreign keys name a local table, and a group
of co-located tables that does not exist. Whether real Citus accepts the rest is not tested by it.
"""

from __future__ import annotations

import asyncpg

_NAMES = """
CREATE TABLE pg_dist_partition (
    logicalrelid regclass PRIMARY KEY, kind text NOT NULL, colocated_with text
);
CREATE TABLE stand_in_call (n bigint GENERATED ALWAYS AS IDENTITY, name text, argument text);
CREATE TABLE stand_in_worker (nodename text, nodeport int, success boolean);

CREATE FUNCTION create_distributed_table(
    table_name regclass, distribution_column text, colocate_with text DEFAULT 'default'
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('citus.multi_shard_modify_mode', true) IS DISTINCT FROM 'sequential' THEN
        RAISE 'the transaction is not sequential';
    END IF;
    IF EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = table_name) THEN
        RAISE 'table % is already distributed', table_name;
    END IF;
    IF colocate_with <> 'none' AND NOT EXISTS (
        SELECT FROM pg_dist_partition WHERE logicalrelid = colocate_with::regclass) THEN
        RAISE 'relation % is not distributed', colocate_with;
    END IF;
    IF EXISTS (
        SELECT FROM pg_constraint WHERE conrelid = table_name AND contype = 'f'
          AND confrelid NOT IN (SELECT logicalrelid FROM pg_dist_partition)) THEN
        RAISE 'a foreign key of % names a local table', table_name;
    END IF;
    INSERT INTO pg_dist_partition VALUES (table_name, distribution_column, colocate_with);
END $$;

CREATE FUNCTION create_reference_table(table_name regclass) RETURNS void LANGUAGE sql AS $$
    INSERT INTO pg_dist_partition VALUES (table_name, 'reference', NULL) $$;

CREATE FUNCTION truncate_local_data_after_distributing_table(function_name regclass)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_constraint WHERE confrelid = function_name AND contype = 'f'
          AND conrelid NOT IN (SELECT logicalrelid FROM pg_dist_partition)) THEN
        RAISE 'a foreign key of a local table names %', function_name;
    END IF;
    INSERT INTO stand_in_call (name, argument) VALUES ('truncate', function_name::text);
END $$;

CREATE FUNCTION run_command_on_workers(
    command text, parallel boolean DEFAULT true,
    OUT nodename text, OUT nodeport int, OUT success boolean, OUT result text
) RETURNS SETOF record LANGUAGE sql AS $$
    INSERT INTO stand_in_call (name, argument) VALUES ('workers', command);
    SELECT nodename, nodeport, success, '' FROM stand_in_worker $$
"""


async def install(url: str) -> None:
    """Create the functions, with two workers that execute commands."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_NAMES)
        await connection.execute(
            "INSERT INTO stand_in_worker VALUES ('w1', 5432, true), ('w2', 5432, true)"
        )
    finally:
        await connection.close()
