"""The tests of tests.storage.test_store_locks with commits as single-shard steps."""

from tests.storage.test_store_locks import *
