"""The tests of tests.http.v2.test_suppression_model with commits as single-shard steps."""

from tests.http.v2.test_suppression_model import *
