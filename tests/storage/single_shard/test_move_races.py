"""The races of moves with commits as single-shard steps."""

from tests.races.test_move import (
    pytestmark,
    test_a_contact_made_with_moved_addresses_takes_them_from_each_owner,
    test_a_deadlock_is_retried,
    test_an_address_that_goes_away_and_comes_back_is_taken_once,
    test_an_update_may_pass_its_own_address_on,
    test_moves_do_not_deadlock,
)

__all__ = [
    "pytestmark",
    "test_a_contact_made_with_moved_addresses_takes_them_from_each_owner",
    "test_a_deadlock_is_retried",
    "test_an_address_that_goes_away_and_comes_back_is_taken_once",
    "test_an_update_may_pass_its_own_address_on",
    "test_moves_do_not_deadlock",
]
