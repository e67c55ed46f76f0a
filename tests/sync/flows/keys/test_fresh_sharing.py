"""The tests of tests/keys/test_fresh_sharing.py, run for icure_sync."""

from tests.keys.test_fresh_sharing import *  # noqa: F403
