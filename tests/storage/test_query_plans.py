"""Every statement uses an index for its condition, with any statistics.

PostgreSQL chooses by statistics, so each statement runs in four states of them and with both kinds
of plans. SQLite has statistics only if an operator runs ANALYZE.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import asyncpg
import pytest

from reachbook.storage import open_store, sql
from reachbook.storage.name_search import AFTER_ALL
from tests.support import bulk_rows as filling
from tests.support import query_plans as plans
from tests.support.full_size import scaled

pytestmark = pytest.mark.anyio

FILLED = 5000
NEW_TEAM = 2
KNOWN_ROWS, NEW_ROWS = (scaled(20_000, 1_000_000), scaled(4_000, 100_000))
AFTER_PERSONS = f"person{AFTER_ALL}"
AT_THE_END = filling.START + FILLED
MODES: tuple[plans.PlanMode, ...] = ("force_custom_plan", "force_generic_plan")

TEAMS_ARE_FEW = "there are few teams and credentials, and only commands of an operator read all"
REASONS = {
    "teams": TEAMS_ARE_FEW,
    "any_api_secret": TEAMS_ARE_FEW,
    "suppression_keys": TEAMS_ARE_FEW,
    "discard_suppressions": "all of a team's suppressions are deleted when its key is lost",
    "discard_ended_suppressions": "all of a team's records are deleted when its key is lost",
    "unnumbered": "the index has only events without a number, and the first is enough",
    "number_events": "the index has only events without a number, and all get a number",
    "any_channel": "the first row is enough",
    "newest_seq": "the last entry of the index is enough",
    "identity_next_team": "the first entry of the index is enough",
    "names_next_team": "the first entry of the index is enough",
    "doctor_next_team": "the first entry of each index is enough",
    "skip_used_ids": "the last entry of each index is enough",
}
"""Statements that read more rows than their condition names, with the reason."""

PAGES = {"contacts_of": 1_000, "owners": 1_000}
FEW = 2
"""The most rows that a statement reads: one for each entry of a list, otherwise a few."""

RANGES = {
    *("contacts_after", "contacts_before", "contact_ids_after", "contact_ids_before"),
    *("feed", "number_events", "purge_expired_responses"),
    *("discard_suppressions", "discard_ended_suppressions"),
    *("doctor_contacts", "doctor_channels", "doctor_events", "doctor_bodies", "doctor_feed"),
    "doctor_duplicates",
    *("count_names", "name_at", "find_names", "names_between", "names_page"),
    *("count_contacts", "count_contacts_by_channels", "count_channels_by_type"),
}
"""Statements that read a range of a team's rows. PostgreSQL may sort a range that it expects to be
short, so they may read more rows than they return."""

INDEXES = {
    "channel_list": {"contact_channel_contact", "contact_uuid"},
    "contact": {"contact_channel_contact", "contact_uuid"},
    "contact_ever": {"contact_channel_contact", "contact_uuid"},
    "contacts_after": {"contact_channel_contact", "contact_updated"},
    "contacts_before": {"contact_channel_contact", "contact_updated"},
    "contact_ids_after": {"contact_updated"},
    "contact_ids_before": {"contact_updated"},
    "contacts_of": {"contact_channel_contact", "contact_pkey"},
    "contact_by_uuid": {"contact_uuid"},
    "contact_by_external_id": {"contact_external_id"},
    "known_external_ids": {"contact_external_id"},
    "ids_of_uuids": {"contact_uuid"},
    "set_contact": {"contact_pkey"},
    "revision": {"contact_pkey"},
    "lock_contacts": {"contact_uuid"},
    "owner": {"contact_channel_owner", "contact_pkey"},
    "owners": {"contact_channel_owner"},
    "owners_with_contacts": {"contact_channel_contact", "contact_channel_owner", "contact_pkey"},
    "channel_types": {"contact_channel_owner"},
    "commit": {
        "contact_channel_contact",
        "contact_channel_owner",
        "contact_channel_pkey",
        "contact_pkey",
        "suppression_pkey",
    },
    "commit_new_channel": {"contact_channel_owner", "contact_pkey", "suppression_pkey"},
    "step_owner": {"contact_channel_owner", "contact_pkey"},
    "step_revision": {"contact_pkey"},
    "step_remove": {"contact_channel_contact", "contact_channel_pkey"},
    "step_update": {"contact_channel_contact", "contact_channel_pkey"},
    "step_insert": {"contact_pkey"},
    "step_suppress": {"contact_pkey"},
    "step_names": {"contact_pkey"},
    "step_end_suppressions": {"suppression_pkey"},
    "step_end_suppression": {"contact_channel_owner", "suppression_pkey"},
    "step_delete_response_contacts": {"idempotency_contact_key"},
    "step_response_contacts": {"idempotency_pkey"},
    "doctor_next_team": {
        "contact_channel_contact",
        "contact_pkey",
        "event_body_pkey",
        "event_pkey",
        "suppression_pkey",
    },
    "doctor_contacts": {"contact_pkey"},
    "doctor_channels": {"contact_channel_contact"},
    "doctor_events": {"event_body_pkey", "event_revision"},
    "doctor_bodies": {"event_body_pkey", "event_pkey"},
    "doctor_duplicates": {"contact_channel_contact"},
    "doctor_feed": {"event_seq"},
    "doctor_set_revision": {"contact_pkey"},
    "doctor_remove_orphan": {"contact_channel_pkey", "contact_pkey"},
    "history": {"contact_pkey", "event_body_pkey", "event_revision"},
    "events_after": {"contact_pkey", "event_body_pkey", "event_revision"},
    "unnumbered": {"event_unnumbered"},
    "number_events": {"event_pkey", "event_seq", "event_unnumbered"},
    "newest_seq": {"event_seq"},
    "feed": {"contact_pkey", "event_body_pkey", "event_seq"},
    "erase_events": {"event_body_pkey", "event_revision"},
    "clear_request_ids": {"event_revision"},
    "stored_response": {"idempotency_pkey"},
    "store_response": {"idempotency_contact_key"},
    "store_responses": {"idempotency_contact_key"},
    "lock_response_contacts": {"contact_uuid"},
    "purge_expired_responses": {"idempotency_created"},
    "purge_responses": {"idempotency_contact_pkey", "idempotency_pkey"},
    "any_channel": {""},
    "identity_next_team": {"contact_channel_contact"},
    "identity_page": {"contact_channel_pkey"},
    "identity_holder": {"contact_channel_owner"},
    "identity_channel": {"contact_channel_pkey", "contact_pkey"},
    "set_identity": {"contact_channel_pkey"},
    "delete_names": {"contact_name_contact"},
    "names_between": {"contact_name_contact"},
    "names_next_team": {"contact_pkey"},
    "names_page": {"contact_pkey"},
    "count_names": {"contact_name_pkey"},
    "name_at": {"contact_name_pkey"},
    "find_names": {"contact_name_contact", "contact_name_pkey"},
    "count_contacts": {"contact_pkey"},
    "count_contacts_by_channels": {"contact_channel_contact"},
    "count_channels_by_type": {"contact_channel_contact"},
    "skip_used_ids": {"contact_channel_pkey", "contact_pkey", "event_pkey"},
    "suppressions": {"suppression_pkey"},
    "end_suppression": {"contact_channel_owner", "suppression_pkey"},
    "delete_bounces": {"suppression_pkey"},
    "coarsen_suppressions": {"suppression_pkey"},
    "delete_ended_suppressions": {"ended_suppression_pkey"},
    "discard_suppressions": {"suppression_pkey"},
    "discard_ended_suppressions": {"ended_suppression_pkey"},
}
"""The indexes that a statement uses on PostgreSQL."""

EITHER = {"contact_channel_contact", "contact_channel_pkey"}
WITH_EITHER = {"commit", "step_remove", "step_update"}
"""A commit finds the channels of its contact by their contact or by their ids."""

VALUES: dict[str, dict[int, object]] = {
    "contacts_after": {
        2: filling.START,
        3: 499,
        4: 1_000_000,
        5: filling.START + 1_000_000,
        6: filling.START,
        7: 5000,
        8: 10_500,
    },
    "contacts_before": {
        2: AT_THE_END,
        3: 499,
        4: 1_000_000,
        5: filling.START + 1_000,
        6: AT_THE_END,
        7: 5000,
        8: 10_500,
    },
    "commit_new_channel": {3: 99},  # not the revision, so that nothing is inserted
    "reserve_ids": {1: "contact", 3: "id"},
    "other_sessions": {1: "reachbook"},
    "lock_store_info": {1: "incarnation"},
    "set_store_info": {1: "incarnation"},
    "contact_ids_after": {2: 0, 3: 500, 4: 4000},
    "contact_ids_before": {2: AT_THE_END, 3: 500, 4: 4000},
    "contacts_of": {2: json.dumps(list(range(1, 1001)))},
    "owners_with_contacts": {
        2: json.dumps(
            [{"n": 1, "channel_type": "phone", "identity": filling.phone(1), "scope": None}]
        )
    },
    "owners": {
        2: json.dumps(
            [
                {"n": n, "channel_type": "phone", "identity": filling.phone(n), "scope": None}
                for n in range(1, 1001)
            ]
        )
    },
    "channel_types": {2: 32},
    "history": {3: 2**63 - 1, 4: 500, 5: 2**20},
    "events_after": {3: 0, 4: 1000, 5: 2**20},
    "feed": {2: 0, 3: 1000, 4: 2**20},
    "purge_expired_responses": {2: AT_THE_END, 3: 500},
    "number_events": {2: 1000},
    "doctor_contacts": {3: 500, 4: 500},
    "doctor_channels": {4: 500, 5: 500},
    "doctor_events": {5: 500, 6: 500, 7: 2**20},
    "doctor_bodies": {3: 500},
    "doctor_duplicates": {3: 500, 4: 500},
    "doctor_feed": {3: 500},
    "names_between": {2: 1, 3: 500},
    "names_page": {2: 1, 3: 500},
    "count_names": {2: "person", 3: AFTER_PERSONS, 4: 10_000},
    "name_at": {2: "person", 3: 1, 4: AFTER_PERSONS, 5: 4_000},
    "count_contacts": {2: 0, 3: 1000, 4: filling.START, 5: 86_400_000_000},
    "count_contacts_by_channels": {2: 0, 3: 1000},
    "count_channels_by_type": {2: 0, 3: 1000},
    "find_names": {
        **dict(enumerate(["person", 1, AFTER_PERSONS, 1, "person", "person0", "person1"], 2)),
        **dict(enumerate(["", AFTER_ALL, "", AFTER_ALL, 51], 9)),
    },
}
"""Values of the parameters as under load, by the number of the parameter; others are 1."""

WITHOUT_INDEX = [
    "SELECT uuid FROM contact WHERE team_id = $1 AND last = $2",
    "SELECT c.id FROM contact_channel AS c WHERE c.team_id = $1 AND c.channel_handle = $2",
    "SELECT id FROM event AS e WHERE e.team_id = $1 AND e.request_id = $2 ORDER BY at",
    "DELETE FROM idempotency WHERE team_id = $1 AND headers = $2",
    (
        "SELECT e.id FROM contact AS c JOIN event AS e ON e.team_id = c.team_id "
        "AND e.actor = c.last WHERE c.team_id = $1 AND c.uuid = $2"
    ),
]


@pytest.fixture
async def sqlite_connection(tmp_path: Path) -> AsyncIterator[apsw.Connection]:
    path = tmp_path / "reachbook.db"
    await (await open_store(f"sqlite:///{path}")).close()
    filling.fill_sqlite(str(path), range(1, FILLED + 1))
    connection = apsw.Connection(str(path))
    yield connection
    connection.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def migrated_postgres(empty_postgres: str) -> str:
    store = await open_store(empty_postgres)
    await store.migrate()
    await store.close()
    async with connected(empty_postgres) as connection:
        for table in plans.GROWING:
            # Statistics must not appear while the test runs.
            await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    return empty_postgres


async def never_analyzed(url: str) -> int:
    await filling.copy_postgres(url, range(1, FILLED + 1))
    return filling.TEAM


async def analyzed_when_empty(url: str) -> int:
    async with connected(url) as connection:
        await connection.execute("ANALYZE")
    return await never_analyzed(url)


async def new_team_in_a_known_table(url: str) -> int:
    await filling.fill_postgres(url, range(1, KNOWN_ROWS + 1))
    await filling.copy_postgres(url, range(1, NEW_ROWS + 1), NEW_TEAM)
    return NEW_TEAM


async def analyzed(url: str) -> int:
    await filling.fill_postgres(url, range(1, FILLED + 1))
    return filling.TEAM


STATES = [never_analyzed, analyzed_when_empty, new_team_in_a_known_table, analyzed]


async def scans(
    connection: asyncpg.Connection[asyncpg.Record],
    text: str,
    values: Mapping[int, object],
) -> list[plans.Scan]:
    try:
        found = [await plans.of_postgres(connection, text, values, mode) for mode in MODES]
    except asyncpg.IntegrityConstraintViolationError:
        assert text.startswith("INSERT"), text
        return []
    return [scan for each in found for scan in each]


@pytest.mark.parametrize("state", STATES)
async def test_postgresql_uses_the_same_indexes_with_any_statistics(
    migrated_postgres: str, state: Callable[[str], Awaitable[int]]
) -> None:
    team = await state(migrated_postgres)
    indexes, rows = {}, {}
    async with connected(migrated_postgres) as connection:
        for name, text in sql.statements("postgres").items():
            values = {1: team, **VALUES.get(name, {})}
            if found := await scans(connection, text, values):
                indexes[name] = {scan.index for scan in found}
                indexes[name] |= EITHER if name in WITH_EITHER else set()
                rows[name] = max(scan.rows for scan in found)

    assert indexes == INDEXES
    most = {name: PAGES.get(name, FEW) for name in rows if name not in RANGES}
    assert {name: rows[name] for name in most if rows[name] > most[name]} == {}


async def test_only_the_listed_statements_scan_tables_on_sqlite(
    sqlite_connection: apsw.Connection,
) -> None:
    texts = sql.statements("sqlite")
    faults = {name: plans.of_sqlite(sqlite_connection, texts[name]) for name in texts}

    assert {name for name in faults if faults[name]} == REASONS.keys() - {"newest_seq"}, faults


async def test_sqlite_uses_the_same_indexes_with_statistics(
    sqlite_connection: apsw.Connection,
) -> None:
    texts = sql.statements("sqlite")
    without = {name: plans.indexes_of_sqlite(sqlite_connection, texts[name]) for name in texts}
    sqlite_connection.execute("ANALYZE")
    sqlite_connection.execute("ANALYZE sqlite_schema")  # the connection reads the statistics again

    analyzed = {name: plans.indexes_of_sqlite(sqlite_connection, texts[name]) for name in texts}

    assert analyzed == without


async def test_a_statement_without_an_index_is_reported_on_sqlite(
    sqlite_connection: apsw.Connection,
) -> None:
    for text in WITHOUT_INDEX:
        assert plans.of_sqlite(sqlite_connection, text.replace("$", "?")), text


async def test_a_statement_without_an_index_is_reported_on_postgresql(
    migrated_postgres: str,
) -> None:
    team = await analyzed(migrated_postgres)
    async with connected(migrated_postgres) as connection:
        for text in WITHOUT_INDEX:
            found = await scans(connection, text, {1: team, 2: filling.uuid(1)})
            assert max(scan.rows for scan in found) > FEW, text
