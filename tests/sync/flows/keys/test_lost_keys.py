"""The tests of tests/keys/test_lost_keys.py, run for icure_sync."""

from tests.keys.test_lost_keys import *  # noqa: F403
