"""The tests of tests.races.test_erase with commits as single-shard steps."""

from tests.races.test_erase import *
