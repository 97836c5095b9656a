"""The five operations of the seeds, on both stores."""

from __future__ import annotations

import pytest

from cast import Book

pytestmark = pytest.mark.anyio


async def test_it_works(book: Book) -> None:
    uuid = await book.contact(("phone", "+1 510-555-3344"))

    answer = await book.ask(
        "POST",
        f"/v2/contact/{uuid}/channel",
        {"channel_type": "email", "channel_id": "alice@example.com"},
    )

    assert answer.status_code == 200, answer.text
    assert [one["channel_id"] for one in answer.json()] == ["15105553344", "alice@example.com"]
