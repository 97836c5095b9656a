"""Ids of integrations: stored unchanged, and compared by their identity."""

from __future__ import annotations

import pytest

from reachbook.domain.address import handle
from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.limits import MAX_CHARACTERS


@pytest.mark.parametrize(
    ("kind", "text", "identity"),
    [
        ("facebook", "24681357", "24681357"),
        ("facebook", "Alice", "Alice"),
        ("facebook", "@alice", "@alice"),
        ("telegram", "@Alice", "alice"),
        ("telegram", "ALICE", "alice"),
        ("x", "@@alice", "@alice"),
        ("line", "U" * MAX_CHARACTERS, "U" * MAX_CHARACTERS),
    ],
)
def test_the_id_is_unchanged(kind: str, text: str, identity: str) -> None:
    assert handle.read(kind, text) == (text, identity)


@pytest.mark.parametrize("kind", ["facebook", "telegram"])
@pytest.mark.parametrize("text", ["", "@", "a" * (MAX_CHARACTERS + 1), "a\x00b", "a\ud800"])
def test_an_id_that_cannot_be_stored_is_refused(kind: str, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        handle.read(kind, text)

    assert refused.value.reason is Reason.BAD_CHANNEL_ID
    assert "channel_id" in refused.value.fields
