"""Retries and duplicates with commits as single-shard steps."""

from tests.races.test_retries import (
    pytestmark,
    test_a_concurrent_duplicate_waits_and_replays,
    test_a_contact_that_somebody_holds_too_long_is_contended,
    test_a_duplicate_that_does_not_end_in_time_is_in_progress,
    test_concurrent_requests_that_differ_share_no_key,
)

__all__ = [
    "pytestmark",
    "test_a_concurrent_duplicate_waits_and_replays",
    "test_a_contact_that_somebody_holds_too_long_is_contended",
    "test_a_duplicate_that_does_not_end_in_time_is_in_progress",
    "test_concurrent_requests_that_differ_share_no_key",
]
