"""A value that a database does not take is the request's fault, and never a 500.

The API refuses all such values that we know of before they come that far. So each store is made
stricter here than it is, and takes less than the API lets through.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import apsw
import pytest

from asks import refusal
from cast import Book
from reachbook.errors import Refusal
from reachbook.storage.sqlite import Sqlite
from tables import beside

pytestmark = pytest.mark.anyio

Stricter = Callable[[Book], Awaitable[None]]
LONG = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(8000))
TOO_LONG = {"custom": {"note": LONG}}


async def short_rows(book: Book) -> None:
    engine = book.store.engine
    assert isinstance(engine, Sqlite)
    await engine._writer.run(lambda one: one.limit(apsw.SQLITE_LIMIT_LENGTH, 20_000))


async def index_of_custom(book: Book) -> None:
    """An entry of an index is at most a third of a page."""
    await beside(book.database)("CREATE INDEX strict ON contact (team_id, custom)")


async def narrow_custom(book: Book) -> None:
    await beside(book.database)("ALTER TABLE contact ALTER COLUMN custom TYPE varchar(100)")


async def narrow_number(book: Book) -> None:
    await beside(book.database)("ALTER TABLE contact ALTER COLUMN assigned_user_id TYPE smallint")


SQLITE: list[tuple[Stricter, object]] = [(short_rows, TOO_LONG)]
POSTGRES: list[tuple[Stricter, object]] = [
    (index_of_custom, TOO_LONG),
    (narrow_custom, TOO_LONG),
    (narrow_number, {"assignee_id": 2**40}),
]
CASES = [
    *(pytest.param("sqlite", *one, id=one[0].__name__) for one in SQLITE),
    *(pytest.param("postgres", *one, id=one[0].__name__) for one in POSTGRES),
]


@pytest.mark.parametrize(("database", "stricter", "body"), CASES, indirect=["database"])
async def test_it_is_refused(
    fresh_book: Book, caplog: pytest.LogCaptureFixture, stricter: Stricter, body: object
) -> None:
    """A write by itself, in a bulk, and one that keeps its answer; others go on."""
    book = fresh_book
    uuid = await book.contact()
    await stricter(book)
    keyed = {**book.bob.by_key(), "idempotency-key": "one"}

    refused = [
        await book.ask("POST", "/v2/contact", body),
        await book.ask("PUT", f"/v2/contact/{uuid}", body),
        await book.ask("PUT", f"/v2/contact/{uuid}", body, by=keyed),
    ]
    bulk = await book.ask("POST", "/v2/contacts", {"contacts": [body, {"first": "Bob"}]})
    after = await book.ask("PUT", f"/v2/contact/{uuid}", {"first": "Alice"}, by=keyed)

    assert [refusal(one) for one in refused] == [(400, "bad_value")] * 3
    assert [one["error_code"] for one in bulk.json()["failed_contacts"]] == ["bad_value"]
    assert [one["first"] for one in bulk.json()["contacts"]] == ["Bob"]
    assert (after.status_code, after.json()["rev"]) == (200, 2)
    assert "does not take a value" in caplog.text
    assert LONG not in refused[0].text


NUMBERS_AND_TEXTS = [2**63, -(2**63) - 1, 2**200, "\ud800", "a\udfffb"]


@pytest.mark.parametrize("value", NUMBERS_AND_TEXTS)
async def test_what_no_driver_can_send_is_refused(book: Book, value: object) -> None:
    """As a statement that was given too much by a bug would be."""
    statement = "use_api_key"  # team, id, now, unless_since
    given = (1, value, 1, 1) if isinstance(value, str) else (value, "rbk_1", 1, 1)

    for ask in (book.store.engine.write, book.store.engine.read):
        with pytest.raises(Refusal, match="cannot store a value"):
            await ask(statement, *given)
