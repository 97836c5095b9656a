"""The tests of tests.http.v2.test_channels with commits as single-shard steps."""

from tests.http.v2.test_channels import *
