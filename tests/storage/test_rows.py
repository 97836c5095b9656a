"""Rows are decoded by the names of their columns, and each list of columns is defined once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import apsw
import asyncpg
import pytest

from reachbook.domain.channel import ChannelList, ContactChannel
from reachbook.domain.contact import Contact
from reachbook.metrics import Metrics
from reachbook.storage import rows, sql
from reachbook.storage.sqlite.engine import Sqlite

pytestmark = pytest.mark.anyio

CONTACT_ROW = (*rows.CONTACT, *rows.CHANNEL)
ROWS: Mapping[str, tuple[str, ...]] = {
    "channel_list": (*rows.CONTACT_HEAD, *rows.CHANNEL),
    **dict.fromkeys(
        ("contact", "contact_ever", "contacts_after", "contacts_before", "contacts_of"), CONTACT_ROW
    ),
    "owner": rows.OWNER,
    **dict.fromkeys(("api_secret", "api_key", "api_secrets", "api_keys"), rows.CREDENTIAL),
    "suppressions": rows.SUPPRESSION,
    "stored_response": rows.STORED_RESPONSE,
    "doctor_contacts": rows.CONTACT,
    "doctor_channels": ("contact_id", *rows.CHANNEL),
}
PAGES = [page for page in files(sql).iterdir() if page.name.endswith(".sql")]


@pytest.mark.parametrize("statement", ROWS)
async def test_a_statement_returns_the_decoded_columns_on_sqlite(
    statement: str, tmp_path: Path
) -> None:
    engine = await Sqlite.open(tmp_path / "reachbook.db", Metrics())
    await engine.close()
    text = sql.statements("sqlite")[statement]
    connection = apsw.Connection(str(tmp_path / "reachbook.db"))
    described: list[str] = []

    def record_columns(cursor: apsw.Cursor, _text: object, _values: object) -> bool:
        described.extend(column[0] for column in cursor.get_description())
        return False  # the statement is not run

    connection.exec_trace = record_columns
    values = [None] * max(int(number) for number in re.findall(r"\?(\d+)", text))
    with pytest.raises(apsw.ExecTraceAbort):
        connection.execute(text, values)

    assert tuple(described) == ROWS[statement]


@pytest.mark.parametrize("statement", ROWS)
async def test_a_statement_returns_the_decoded_columns_on_postgres(
    statement: str, shared_postgres: str
) -> None:
    connection = await asyncpg.connect(shared_postgres)
    prepared = await connection.prepare(sql.statements("postgres")[statement])

    assert tuple(column.name for column in prepared.get_attributes()) == ROWS[statement]
    await connection.close()


def test_the_columns_are_the_fields_of_the_structs() -> None:
    fields = ContactChannel.__struct_fields__
    fixed = {"id", "channel_type", "created"}

    assert fields == rows.CHANNEL
    assert sql.columns("channel_changes") == tuple(name for name in fields if name not in fixed)
    assert {*rows.CONTACT_HEAD, *rows.NOT_IN_ROW} == {*ChannelList.__struct_fields__}
    assert {*rows.CONTACT, *rows.NOT_IN_ROW} == {*Contact.__struct_fields__}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_list_of_columns_is_defined_once(page: object) -> None:
    """A new column of a channel is added only to the lists of contact_channel.sql."""
    text = re.sub(r"^-- columns: .*?;$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)  # type: ignore[attr-defined]

    assert "consent_source" not in text
    assert "display_name" not in text


def test_an_unknown_list_of_columns_raises() -> None:
    with pytest.raises(LookupError, match=r"no \.sql file has a list of columns nothing"):
        sql.columns("nothing")


def test_a_row_is_decoded_by_column_names() -> None:
    decoder = rows.RowDecoder(ContactChannel, ("id", *reversed(rows.CHANNEL)), begin=1)
    channel = ContactChannel(7, "phone", "1", "", "1", "", "", None, 1, 2)  # type: ignore[arg-type]
    values = dict(zip(rows.CHANNEL, rows.channel_values(channel), strict=True))

    assert decoder.decode((99, *reversed([*values.values()]))) == channel


def test_a_missing_column_raises() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        rows.RowDecoder(ContactChannel, rows.CHANNEL[:-1])
