"""Formatting of addresses for people."""

from __future__ import annotations

import pytest

from reachbook.domain.address.display import readable


@pytest.mark.parametrize(
    ("kind", "stored", "formatted"),
    [
        ("phone", "15105553344", "+1 510-555-3344"),
        ("whatsapp", "4930123456", "+49 30 123456"),
        ("sms", "32665", "32665"),
        ("sms", "Acme", "Acme"),
        ("email", "alice@example.com", "alice@example.com"),
        ("facebook", "15105553344", "15105553344"),
    ],
)
def test_only_phone_numbers_are_formatted(kind: str, stored: str, formatted: str) -> None:
    assert readable(kind, stored) == formatted
