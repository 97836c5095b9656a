"""The tests of tests.storage.test_store_ids with commits as single-shard steps."""

from tests.storage.test_store_ids import *
