"""The tests of tests.service.test_bulk with commits as single-shard steps."""

from tests.service.conftest import *
from tests.service.test_bulk import *
