"""The tests of tests.http.x.test_erase with commits as single-shard steps."""

from tests.http.x.test_erase import *
