"""The tests of tests.http.v2.test_contacts with commits as single-shard steps."""

from tests.http.v2.test_contacts import *
