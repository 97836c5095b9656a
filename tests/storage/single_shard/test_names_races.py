"""The tests of tests.races.test_names with commits as single-shard steps."""

from tests.races.test_names import *
