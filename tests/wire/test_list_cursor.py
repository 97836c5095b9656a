"""The time and the precision of a list's date, in the forms that date types of languages print."""

from __future__ import annotations

import pytest

from reachbook.domain.errors import Reason, Refusal
from reachbook.domain.list_cursor import Precision
from reachbook.wire.list_cursor import parse_cursor

TEN = 1_705_312_800_000_000  # 2024-01-15T10:00:00Z
SECOND, MILLISECOND, MICROSECOND = Precision.SECOND, Precision.MILLISECOND, Precision.MICROSECOND


@pytest.mark.parametrize(
    ("text", "offset", "precision"),
    [
        ("2024-01-15T10:00:00Z", 0, SECOND),
        ("2024-01-15t10:00:00z", 0, SECOND),
        ("2024-01-15T10:00:00+00:00", 0, SECOND),
        ("2024-01-15T10:00:00-00:00", 0, SECOND),
        ("2024-01-15T15:30:00+05:30", 0, SECOND),
        ("2024-01-14T22:00:00-12:00", 0, SECOND),
        ("2024-01-15 10:00:00+00", 0, SECOND),
        ("20240115T100000Z", 0, SECOND),
        ("2024-W03-1T10:00:00Z", 0, SECOND),
        ("2024-01-15T10:00Z", 0, SECOND),
        ("2024-01-15T10Z", 0, SECOND),
        ("2024-01-15T09:59:60Z", 0, SECOND),
        (" 2024-01-15T10:00:00Z\n", 0, SECOND),
        ("2024-01-15 10:00:00 UTC", 0, SECOND),
        ("2024-01-15 11:00:00 +0100", 0, SECOND),
        ("2024-01-15 07:00:00 -0300 -03", 0, SECOND),
        ("2024-01-15T11:00+01:00[Europe/Paris]", 0, SECOND),
        ("2024-01-15T10:00:00.0Z", 0, MILLISECOND),
        ("2024-01-15T10:00:00.1Z", 100_000, MILLISECOND),
        ("2024-01-15T10:00:00.12Z", 120_000, MILLISECOND),
        ("2024-01-15T10:00:00.123Z", 123_000, MILLISECOND),
        ("2024-01-15T10:00:00.000z", 0, MILLISECOND),
        ("2024-01-15T11:00:00.123+01:00", 123_000, MILLISECOND),
        ("2024-01-15 10:00:00.123 +0000 UTC", 123_000, MILLISECOND),
        ("2024-01-15T10:00:00.123Z[UTC]", 123_000, MILLISECOND),
        ("2024-01-15T10:00:00.1234Z", 123_400, MICROSECOND),
        ("2024-01-15T10:00:00.12345Z", 123_450, MICROSECOND),
        ("2024-01-15T10:00:00,123456Z", 123_456, MICROSECOND),
        ("2024-01-15 10:00:00.123456+00:00", 123_456, MICROSECOND),
        ("2024-01-15T10:00:00.000000Z", 0, MICROSECOND),
        ("2024-01-15T10:00:00.1234569Z", 123_456, MICROSECOND),
        ("2024-01-15T10:00:00.123456999Z", 123_456, MICROSECOND),
    ],
)
def test_a_date_is_parsed_with_its_precision(text: str, offset: int, precision: Precision) -> None:
    cursor = parse_cursor(text)
    assert (cursor.time, cursor.precision) == (TEN + offset, precision)


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "1705312800", "1705312800.123456", "2024-01-15", "2024-01-15Z"),
        *("2024-01-15T10:00:00", "2024-01-15T10:00:00.123456", "10:00:00Z"),
        *("2024-13-15T10:00:00Z", "2024-01-32T10:00:00Z", "2024-01-15T25:00:00Z"),
        *("2024-01-15T10:60:00Z", "2024-01-15T10:00:61Z", "2024-01-15T10:00:00+25:00"),
        *("2024-01-15T10:00:00.Z", "2024-01-15T10:00.5Z", "2024-01-15T10.5Z"),
        *("2024-01-15T10:00:00Z Z", "2024-01-15T10:00:00\x00Z", "٢٠٢٤-01-15T10:00:00Z"),
    ],
)
def test_a_malformed_date_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_cursor(text)
    assert caught.value.reason is Reason.BAD_VALUE
    assert caught.value.fields.keys() == {"date"}
    assert "2024-01-15T10:00:00.123456Z" in caught.value.message
