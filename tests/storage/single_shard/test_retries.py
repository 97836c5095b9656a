"""Retries and duplicates with commits as single-shard steps."""

from tests.races.test_retries import (
    pytestmark,
    test_a_concurrent_duplicate_waits_and_replays,
    test_a_concurrent_request_with_a_used_key_is_refused,
    test_a_duplicate_gets_409_while_the_first_request_runs,
    test_a_write_to_a_contact_locked_for_too_long_gets_503,
)

__all__ = [
    "pytestmark",
    "test_a_concurrent_duplicate_waits_and_replays",
    "test_a_concurrent_request_with_a_used_key_is_refused",
    "test_a_duplicate_gets_409_while_the_first_request_runs",
    "test_a_write_to_a_contact_locked_for_too_long_gets_503",
]
