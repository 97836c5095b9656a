"""The tests of tests.http.v2.test_suppression with commits as single-shard steps."""

from tests.http.v2.test_suppression import *
