"""The tests of tests/keys/test_known_keys.py, run for icure_sync."""

from tests.keys.test_known_keys import *  # noqa: F403
