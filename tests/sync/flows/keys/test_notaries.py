"""The tests of tests/keys/test_notaries.py, run for icure_sync."""

from tests.keys.test_notaries import *  # noqa: F403
