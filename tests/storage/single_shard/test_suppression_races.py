"""The tests of tests.races.test_suppression with commits as single-shard steps."""

from tests.races.test_suppression import *
