"""A value that a database does not accept is 400, and never 500.

The API refuses all such values that are known before they reach the database. So these tests make
each store stricter than it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import apsw
import pytest

from reachbook.domain.errors import Refusal
from reachbook.storage.sqlite.engine import Sqlite
from tests.support.http import refusal
from tests.support.personas import Api
from tests.support.raw_sql import sql_runner

pytestmark = pytest.mark.anyio

MakeStricter = Callable[[Api], Awaitable[None]]
LONG = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(8000))
TOO_LONG = {"custom": {"note": LONG}}


async def limit_row_length(api: Api) -> None:
    engine = api.store.engine
    assert isinstance(engine, Sqlite)
    await engine._writer.run(lambda connection: connection.limit(apsw.SQLITE_LIMIT_LENGTH, 20_000))


async def index_custom(api: Api) -> None:
    """Creates an index, whose entries are limited to a third of a page."""
    await sql_runner(api.database)("CREATE INDEX strict ON contact (team_id, custom)")


async def narrow_custom(api: Api) -> None:
    await sql_runner(api.database)("ALTER TABLE contact ALTER COLUMN custom TYPE varchar(100)")


async def narrow_number(api: Api) -> None:
    await sql_runner(api.database)(
        "ALTER TABLE contact ALTER COLUMN assigned_user_id TYPE smallint"
    )


SQLITE: list[tuple[MakeStricter, object]] = [(limit_row_length, TOO_LONG)]
POSTGRES: list[tuple[MakeStricter, object]] = [
    (index_custom, TOO_LONG),
    (narrow_custom, TOO_LONG),
    (narrow_number, {"assignee_id": 2**40}),
]
CASES = [
    *(pytest.param("sqlite", *case, id=case[0].__name__) for case in SQLITE),
    *(pytest.param("postgres", *case, id=case[0].__name__) for case in POSTGRES),
]


@pytest.mark.parametrize(("database", "make_stricter", "body"), CASES, indirect=["database"])
async def test_a_value_that_the_database_refuses_is_a_400(
    fresh_api: Api, caplog: pytest.LogCaptureFixture, make_stricter: MakeStricter, body: object
) -> None:
    """Tests a single write, a bulk write and a write with an idempotency key."""
    api = fresh_api
    uuid = await api.contact()
    await make_stricter(api)
    keyed = {**api.bob.by_key(), "idempotency-key": "one"}

    refused = [
        await api.request("POST", "/v2/contact", body),
        await api.request("PUT", f"/v2/contact/{uuid}", body),
        await api.request("PUT", f"/v2/contact/{uuid}", body, by=keyed),
    ]
    bulk = await api.request("POST", "/v2/contacts", {"contacts": [body, {"first": "Bob"}]})
    after = await api.request("PUT", f"/v2/contact/{uuid}", {"first": "Alice"}, by=keyed)

    assert [refusal(response) for response in refused] == [(400, "bad_value")] * 3
    assert [row["error_code"] for row in bulk.json()["failed_contacts"]] == ["bad_value"]
    assert [contact["first"] for contact in bulk.json()["contacts"]] == ["Bob"]
    assert (after.status_code, after.json()["rev"]) == (200, 2)
    assert "does not take a value" in caplog.text
    assert LONG not in refused[0].text


NUMBERS_AND_TEXTS = [2**63, -(2**63) - 1, 2**200, "\ud800", "a\udfffb"]


@pytest.mark.parametrize("value", NUMBERS_AND_TEXTS)
async def test_a_value_that_no_driver_can_send_is_refused(api: Api, value: object) -> None:
    """A bug could pass such a value to a statement."""
    statement = "use_api_key"  # team, id, now, unless_since
    values = (1, value, 1, 1) if isinstance(value, str) else (value, "rbk_1", 1, 1)

    for send in (api.store.engine.write, api.store.engine.read):
        with pytest.raises(Refusal, match="cannot store a value"):
            await send(statement, *values)
