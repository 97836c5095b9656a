"""Every statement finds its rows by an index, on both stores, however many rows there are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import asyncpg
import pytest

from reachbook.storage import open_store, sql
from tests.support import bulk_rows as filling
from tests.support import query_plans as plans

pytestmark = pytest.mark.anyio

FILLED = 5000
AT_THE_END = filling.BEGINNING + FILLED

TEAMS_ARE_FEW = "of teams and their credentials there are few, and it is asked at the terminal"
REASONS = {
    "teams": TEAMS_ARE_FEW,
    "any_api_secret": TEAMS_ARE_FEW,
    "suppression_keys": TEAMS_ARE_FEW,
    "discard_suppressions": "all of a team's suppressions are deleted when its key is lost",
    "discard_ended_suppressions": "all of a team's records are deleted when its key is lost",
    "unnumbered": "the index holds only what has no number, and the first is enough",
    "number_events": "the index holds only what has no number, and all of it gets one",
    "any_channel": "the first row is enough",
    "newest_seq": "the last entry of the index is enough",
    "identity_next_team": "the first entry of the index is enough",
    "doctor_next_team": "the first entry of each index is enough",
    "skip_used_ids": "the last entry of each index is enough",
}
"""Statements that go through more than they name, and why."""

FREELY = {
    "sqlite": REASONS.keys() - {"newest_seq"},
    "postgres": REASONS.keys()
    - {"teams", "any_api_secret", "suppression_keys"},  # it is asked of what grows only
}
VALUES: dict[str, dict[int, object]] = {
    "contacts_after": {
        2: filling.BEGINNING,
        3: 499,
        4: 1_000_000,
        5: filling.BEGINNING + 1_000_000,
        6: filling.BEGINNING,
        7: 5000,
        8: 10_500,
    },
    "contacts_before": {
        2: AT_THE_END,
        3: 499,
        4: 1_000_000,
        5: filling.BEGINNING + 1_000,
        6: AT_THE_END,
        7: 5000,
        8: 10_500,
    },
    "contact_ids_after": {2: 0, 3: 500, 4: 4000},
    "contact_ids_before": {2: AT_THE_END, 3: 500, 4: 4000},
    "contacts_of": {2: json.dumps(list(range(1, 1001)))},
    "owners": {
        2: json.dumps(
            [
                {"n": n, "channel_type": "phone", "identity": filling.phone(n), "scope": None}
                for n in range(1, 1001)
            ]
        )
    },
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
}
"""What a busy program binds; elsewhere a 1 will do."""

BAD = [
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
async def filled_sqlite(tmp_path: Path) -> AsyncIterator[apsw.Connection]:
    path = tmp_path / "reachbook.db"
    await (await open_store(f"sqlite:///{path}")).close()
    filling.fill_sqlite(str(path), range(1, FILLED + 1))
    connection = apsw.Connection(str(path))
    yield connection
    connection.close()


@pytest.fixture
async def filled_postgres(
    empty_postgres: str,
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    store = await open_store(empty_postgres)
    await store.migrate()
    await store.close()
    await filling.fill_postgres(empty_postgres, range(1, FILLED + 1))
    connection = await asyncpg.connect(empty_postgres)
    yield connection
    await connection.close()


def told(faults: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: some for name, some in faults.items() if some}


async def test_it_works_on_sqlite(filled_sqlite: apsw.Connection) -> None:
    pages = sql.statements("sqlite")
    faults = told({name: plans.of_sqlite(filled_sqlite, pages[name]) for name in pages})

    assert faults.keys() == FREELY["sqlite"], faults


async def test_it_works_on_postgresql(
    filled_postgres: asyncpg.Connection[asyncpg.Record],
) -> None:
    pages = sql.statements("postgres")
    faults = told(
        {
            name: await plans.of_postgres(filled_postgres, text, VALUES.get(name, {}))
            for name, text in pages.items()
        }
    )

    assert faults.keys() == FREELY["postgres"], faults
    assert VALUES.keys() <= pages.keys()


async def test_a_statement_without_an_index_is_seen_on_sqlite(
    filled_sqlite: apsw.Connection,
) -> None:
    for text in BAD:
        assert plans.of_sqlite(filled_sqlite, text.replace("$", "?")), text


async def test_a_statement_without_an_index_is_seen_on_postgresql(
    filled_postgres: asyncpg.Connection[asyncpg.Record],
) -> None:
    for text in BAD:
        assert await plans.of_postgres(filled_postgres, text, {}), text
