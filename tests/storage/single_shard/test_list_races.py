"""The tests of tests.races.test_contact_list with commits as single-shard steps."""

from tests.races.test_contact_list import *
