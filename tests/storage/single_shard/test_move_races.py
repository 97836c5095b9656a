"""The races of moves with commits as single-shard steps."""

from tests.races.test_move import (
    pytestmark,
    test_a_created_contact_takes_moved_addresses_from_each_owner,
    test_a_deadlock_is_retried,
    test_a_move_is_retried_after_a_conflict,
    test_an_update_can_move_an_address_to_another_channel,
    test_moves_do_not_deadlock,
)

__all__ = [
    "pytestmark",
    "test_a_created_contact_takes_moved_addresses_from_each_owner",
    "test_a_deadlock_is_retried",
    "test_a_move_is_retried_after_a_conflict",
    "test_an_update_can_move_an_address_to_another_channel",
    "test_moves_do_not_deadlock",
]
