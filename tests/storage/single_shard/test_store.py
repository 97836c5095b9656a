"""The tests of tests.storage.test_store with commits as single-shard steps."""

from tests.storage.test_store import *
