"""The tests of tests.http.v2.test_bulk with commits as single-shard steps."""

from tests.http.v2.test_bulk import *
